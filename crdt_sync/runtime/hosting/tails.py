"""How many updates follow each record's snapshot: known here, so that no push waits for a read of the store.

A snapshot is due after `TAIL_UPDATES_MAX` updates, and not before they are a share of it: a large record is not written
anew for some hundred bytes. So many times that limit it is due all the same, for whoever loads the record.

A large update counts as several: what a text was before it was rewritten stays stored until the next snapshot. What is
counted is only ever too low, and only by what is on its way to the disk when a record is read: its next snapshot comes
a little later, which is harmless.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from crdt_sync import limits
from crdt_sync.protocol.hub import StoredUpdates

_COUNTED_BYTES = 16 * limits.KIB  # of an update, as which it counts once more
_RECORDS_MAX = 32_768  # about 5 MB; beyond it everything is read again


def length(updates: int, size: int) -> int:
    """As how many so many updates of `size` bytes in all count."""
    return updates + size // _COUNTED_BYTES


def _share(snapshot: int) -> int:
    """What follows a snapshot of that size before the next: no record grows by it beyond what is done quickly."""
    room = limits.QUICK_ITEM_BYTES_MAX - snapshot
    return min(snapshot // limits.TAIL_SHARE, room // 2) if room > 0 else snapshot // limits.TAIL_SHARE


@dataclass(slots=True)
class _Tail:
    length: int
    lacking: int = 0  # bytes before it is the share of its snapshot; nothing where that was not seen


class Tails:
    """See the module. `read` gives the `length` of a record's tail as it is stored."""

    def __init__(self, read: Callable[[str], int]) -> None:
        self._read = read
        self._known: dict[str, _Tail] = {}

    def snapshot_due(self, record: str) -> bool:
        """Whether the record's tail has grown so long that the next integration should bring a snapshot."""
        tail = self._known.get(record)
        if tail is None:
            if len(self._known) >= _RECORDS_MAX:
                self._known.clear()
            tail = self._known[record] = _Tail(self._read(record))
        limit = limits.TAIL_UPDATES_MAX
        return tail.length >= limit and (tail.lacking <= 0 or tail.length >= limits.TAIL_LONGEST * limit)

    def grow(self, changes: Iterable[StoredUpdates]) -> None:
        """These are on their way to the disk."""
        known = self._known
        for change in changes:
            if change.snapshot is not None:
                known[change.record] = _Tail(0, _share(len(change.snapshot)))
            elif (tail := known.get(change.record)) is not None:
                size = sum(map(len, change.updates))
                tail.length += length(len(change.updates), size)
                tail.lacking -= size

    def forget(self) -> None:
        """A commit failed: what was counted is not what is stored."""
        self._known.clear()
