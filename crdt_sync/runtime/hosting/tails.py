"""How many updates follow each record's snapshot: known here, so that no push waits for a read of the store.

A large update counts as several: what a text was before it was rewritten stays stored until the next snapshot. A large
snapshot is written less often, as making it takes as much longer; of those that were written before the start the size
is not known. What is counted is else only ever too low, and only by what is on its way to the disk when a record is
read: its next snapshot comes a little later, which is harmless.
"""

from collections.abc import Callable, Iterable

from crdt_sync import limits
from crdt_sync.protocol.hub import StoredUpdates

_COUNTED_BYTES = 16 * limits.KIB  # of an update, as which it counts once more
_RECORDS_MAX = 32_768  # about 4 MB; beyond it everything is read again


def length(updates: int, size: int) -> int:
    """As how many so many updates of `size` bytes in all count."""
    return updates + size // _COUNTED_BYTES


class Tails:
    """See the module. `read` gives the `length` of a record's tail as it is stored."""

    def __init__(self, read: Callable[[str], int]) -> None:
        self._read = read
        self._known: dict[str, int] = {}

    def snapshot_due(self, record: str) -> bool:
        """Whether the record's tail has grown so long that the next integration should bring a snapshot."""
        tail = self._known.get(record)
        if tail is None:
            if len(self._known) >= _RECORDS_MAX:
                self._known.clear()
            tail = self._known[record] = self._read(record)
        return tail >= limits.TAIL_UPDATES_MAX

    def grow(self, changes: Iterable[StoredUpdates]) -> None:
        """These are on their way to the disk."""
        known = self._known
        for change in changes:
            if change.snapshot is not None:
                known[change.record] = -(len(change.snapshot) // limits.TAIL_SNAPSHOT_BYTES)
            elif change.record in known:
                known[change.record] += length(len(change.updates), sum(map(len, change.updates)))

    def forget(self) -> None:
        """A commit failed: what was counted is not what is stored."""
        self._known.clear()
