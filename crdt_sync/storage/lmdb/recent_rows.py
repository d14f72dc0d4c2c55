"""What records show that were asked about last, in memory: whoever edits and follows asks again and again.

Reads go on while a commit is under way, and one may have begun before it. So a row that a commit changes is not known
from before it until after it, and what was read from the disk is kept only where no commit was under way meanwhile.
"""

import threading
from collections.abc import Iterable, Mapping, Sequence

from crdt_sync.storage.places import Row

ROWS_MAX = 8192  # 4 MB


class RecentRows:
    """See the module. By the keys of records. Thread-safe, for one writer at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rows: dict[bytes, Row] = {}
        self._moment = 0  # odd while a write is under way that changes rows, and another one after each
        self._closed = False

    @property
    def moment(self) -> int:
        """To be asked before the disk is read, and handed to `keep`."""
        return self._moment

    def row(self, key: bytes) -> Row | None:
        """The row of a record; None where the disk must be asked."""
        return self._rows.get(key)

    def known(self, keys: Sequence[bytes]) -> Mapping[bytes, Row] | None:
        """The rows of records, of one moment; None where the disk must be asked."""
        with self._lock:
            rows = self._rows
            found = {key: rows[key] for key in keys if key in rows}
        return found if len(found) == len(keys) else None

    def keep(self, rows: Mapping[bytes, Row], moment: int) -> None:
        """These were read from the disk, in a transaction that began after `moment` was told."""
        with self._lock:
            if moment == self._moment and not moment % 2 and not self._closed:
                if len(self._rows) + len(rows) > ROWS_MAX:
                    self._rows.clear()
                if len(rows) <= ROWS_MAX:
                    self._rows.update(rows)

    def forget(self, keys: Iterable[bytes] | None = None) -> None:
        """The write that is under way, and not committed, changes these rows; without keys, any."""
        with self._lock:
            self._moment |= 1
            if keys is None:
                self._rows.clear()
            else:
                for key in keys:
                    self._rows.pop(key, None)

    def end(self) -> None:
        """The write is over, whatever became of it."""
        if self._moment % 2:
            with self._lock:
                self._moment += 1

    def close(self) -> None:
        """Nothing is known from now on."""
        with self._lock:
            self._closed = True
            self._rows.clear()
