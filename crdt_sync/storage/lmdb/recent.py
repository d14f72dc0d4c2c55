"""The digests of the records that changed last, in memory: whoever follows commit by commit reads no disk."""

import threading
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from crdt_sync.storage.lmdb.codec import State
from crdt_sync.storage.values import ChangedDigests

RECORDS_MAX = 4096  # 1 MB


class Touched(NamedTuple):
    """A record that a commit touched: its seq and digest after it, and whether the commit gave it that seq."""

    record: str
    seq: int
    digest: bytes | None
    moved: bool


class RecentDigests:
    """See the module. Thread-safe; it knows the state that it was told last, and what changed since it began."""

    def __init__(self, state: State) -> None:
        self._lock = threading.Lock()
        self._digests: dict[str, tuple[int, bytes | None]] = {}  # by record, in the order of their seqs
        self._state = state
        self._since = state.seq  # everything that changed behind it is known

    def restart(self, state: State) -> None:
        """Know nothing but the state: what is stored was changed by something else than a commit, or may have been."""
        with self._lock:
            self._digests.clear()
            self._state, self._since = state, state.seq

    def take(self, state: State, touched: Iterable[Touched]) -> None:
        """A commit led to `state`; `touched` is sorted by seq."""
        with self._lock:
            digests = self._digests
            for record, seq, digest, moved in touched:
                if moved:
                    digests.pop(record, None)  # it goes to the end
                    digests[record] = (seq, digest)
                elif record in digests:
                    digests[record] = (seq, digest)
            while len(digests) > RECORDS_MAX:
                oldest = next(iter(digests))
                self._since, _ = digests.pop(oldest)
            self._state = state

    def changed(self, after: int, limit: int, also: Sequence[str]) -> ChangedDigests | None:
        """See `Store.changed_digests`; None where the disk must be asked."""
        with self._lock:
            if after < self._since or not all(record in self._digests for record in also):
                return None
            found = {record: self._digests[record][1] for record in also}
            for behind, (record, (seq, digest)) in enumerate(reversed(self._digests.items())):
                if seq <= after:
                    break
                if behind == limit:
                    return None
                found[record] = digest
            return ChangedDigests(self._state.seq, self._state.root, found)
