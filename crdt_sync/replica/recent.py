"""What partners lack after the latest edits, as those edits were made: small, where a difference is not.

A difference made from a document carries everything that was ever deleted, since a state vector does not tell which
deletions a partner has: 13 kB for each character typed into a note that was edited a hundred thousand times.

Rules:

1. Kept is what was edited since a moment at which the partner lacked nothing of the record: its outbox, which names
   every record that it may lack something of, did not name it; or it stored all that was pushed until then.
2. It belongs to the outbox entry that the last of these edits made. Whatever else changes the entry, updates of another
   partner or a comparison, gives it another number, and then the difference is sent.
3. Nothing of it goes before the partner said that it is on its disk; any other answer, but for one that puts it off,
   drops all of it.
4. It is not durable and bounded: who asks in vain makes the difference.
"""

import threading
from collections import OrderedDict
from dataclasses import dataclass, field

from crdt_sync import limits
from crdt_sync.protocol.source import Diff
from crdt_sync.records.updates import bytes_diff

_Key = tuple[bytes, str]  # partner and record


@dataclass(slots=True)
class _Lacking:
    """Updates by the number of their edit, ascending, and the state vector that they lead to.

    `after`: the partner lacks more, until it has stored what was pushed for the outbox entry of this number.
    """

    after: int | None
    updates: dict[int, bytes] = field(default_factory=dict)
    state_vector: bytes = b""

    @property
    def last(self) -> int:
        """The number of the latest edit."""
        return next(reversed(self.updates))

    @property
    def full(self) -> bool:
        """Whether it is more than is kept."""
        updates = self.updates
        return len(updates) > limits.RECENT_EDITS_MAX or sum(map(len, updates.values())) > limits.RECENT_BYTES_MAX


class RecentEdits:
    """The latest edits of one replica, for each partner. Calls may come from any thread."""

    def __init__(self) -> None:
        self._lacking: OrderedDict[_Key, _Lacking] = OrderedDict()
        self._lock = threading.Lock()

    def edited(
        self, partner: bytes, record: str, before: int | None, edit: int, update: bytes, state_vector: bytes
    ) -> None:
        """An edit was stored; `before` is the number of the outbox entry that the partner had, None without one."""
        key = (partner, record)
        with self._lock:
            lacking = self._lacking.pop(key, None)
            if lacking is None or before is None or lacking.last != before:
                lacking = _Lacking(before)
            lacking.updates[edit] = update
            lacking.state_vector = state_vector
            if lacking.full:
                return
            self._lacking[key] = lacking
            if len(self._lacking) > limits.RECENT_RECORDS_MAX:
                self._lacking.popitem(last=False)

    def diff(self, partner: bytes, record: str, edit: int) -> Diff | None:
        """What the partner lacks, if all of it is known for the outbox entry of this number."""
        with self._lock:
            lacking = self._lacking.get((partner, record))
            if lacking is None or lacking.after is not None or lacking.last != edit:
                return None
            return Diff(bytes_diff.joined(tuple(lacking.updates.values())), lacking.state_vector)

    def stored(self, partner: bytes, record: str, edit: int) -> None:
        """The partner has on its disk what was pushed for the outbox entry of this number."""
        key = (partner, record)
        with self._lock:
            lacking = self._lacking.get(key)
            if lacking is None:
                return
            if lacking.after is not None and lacking.after <= edit:
                lacking.after = None
            if lacking.after is None:
                for number in [number for number in lacking.updates if number <= edit]:
                    del lacking.updates[number]
            if not lacking.updates:
                del self._lacking[key]

    def forget(self, partner: bytes, record: str) -> None:
        """What the partner lacks of the record is to be made from the document."""
        with self._lock:
            self._lacking.pop((partner, record), None)
