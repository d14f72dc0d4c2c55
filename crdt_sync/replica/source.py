"""What an accepting session reads from a store, without ever building a document."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Protocol

from crdt_sync.errors import LogCompacted, StoreCorrupt, StoreFailed, StoreFull
from crdt_sync.ids import Space
from crdt_sync.limits import UPDATE_BYTES_MAX
from crdt_sync.protocol.entries import Behind
from crdt_sync.protocol.hub import StoredUpdates
from crdt_sync.protocol.source import Change, Diff, LogUpdate
from crdt_sync.records.updates import bytes_diff
from crdt_sync.records.updates import state_vector as vectors
from crdt_sync.replica.readable import readable
from crdt_sync.storage import values
from crdt_sync.storage.port import Identity, LoggedRecords
from crdt_sync.storage.values import SEVERAL_ORIGINS


class Offered(Identity, LoggedRecords, Protocol):
    """What is offered to partners."""


class StoreSource:
    """An `AcceptorSource` over any store. `on_corrupt` hears of records whose bytes are damaged, or none."""

    def __init__(self, store: Offered, on_corrupt: Callable[[StoreCorrupt], None]) -> None:
        self._store = store
        self._on_corrupt = on_corrupt
        self.followed_max: int | None = None  # set by a host whose commits are seen before they are answered

    @property
    def replica(self) -> bytes:
        """This replica's id."""
        return self._store.replica

    @property
    def space(self) -> Space:
        """The space that the records belong to."""
        return self._store.space

    def join(self, space: bytes) -> None:
        """See `AcceptorSource.join`. Once in the life of a store, so it may wait for the disk where it is called."""
        with suppress(StoreFull, StoreFailed):  # the next partner tells it, too
            self._store.join(space)

    @property
    def epoch(self) -> bytes:
        """The epoch in which cursors are handed out."""
        return self._store.epoch

    def reach(self, epoch: bytes) -> int | None:
        """See `AcceptorSource.reach`."""
        return self._store.reach(epoch)

    def head(self) -> int:
        """The newest sequence number."""
        return self._store.head()

    def followed(self) -> int:
        """See `AcceptorSource.followed`."""
        head = self._store.head()
        return head if self.followed_max is None else min(head, self.followed_max)

    def feed(self, after: int, limit: int) -> Sequence[Change]:
        """See `AcceptorSource.feed`."""
        return [
            Change(entry.seq, entry.record, entry.state_vector or vectors.EMPTY)
            for entry in self._store.feed(after, limit)
        ]

    def behind(self, after: int) -> Behind | None:
        """See `AcceptorSource.behind`."""
        try:
            return Behind(*self._store.behind(after))
        except StoreCorrupt as corrupt:
            self._on_corrupt(corrupt)
            return None

    def log(self, after: int, limit: int, bytes_max: int) -> Sequence[LogUpdate] | None:
        """See `AcceptorSource.log`. A corrupt entry sends the reader to the feed, as a compacted one does."""
        try:
            entries = self._store.log(after, limit, bytes_max)
        except LogCompacted:
            return None
        except StoreCorrupt as corrupt:
            self._on_corrupt(corrupt)
            return None
        followed = self.followed()
        return [LogUpdate(entry.seq, entry.record, entry.update) for entry in entries if entry.seq <= followed]

    def is_renewed(self, record: str) -> bool:
        """See `AcceptorSource.is_renewed`. Of what cannot be read nothing is sent anyway."""
        try:
            head = self._store.record_head(record)
        except StoreCorrupt:
            return False
        return head is not None and head.lineage != 0

    def diff(self, record: str, state_vector: bytes) -> Diff | None:
        """See `AcceptorSource.diff`."""
        try:
            stored = self._store.load(record)
        except StoreCorrupt as corrupt:
            self._on_corrupt(corrupt)
            return None
        if stored.head is None:
            return None
        update = readable(lambda: bytes_diff.diff(stored.updates, state_vector))
        if update is None:
            vectors.decode(state_vector)  # raises where this is what cannot be read
            self._on_corrupt(StoreCorrupt(f"the stored bytes of {record} are no record", record=record))
            return None
        parts: tuple[bytes, ...] = ()
        if len(update) > UPDATE_BYTES_MAX:
            update, parts = b"", bytes_diff.parts(stored.updates, state_vector) or (bytes_diff.NOTHING,)
        return Diff(update, stored.head.state_vector, stored.head.seq, sum(map(len, stored.updates)), parts)


def change_of(stored: StoredUpdates, now: int, fields: bytes = b"") -> values.Change:
    """What the hub asks to be stored, as a change of the store. `now`: microseconds of the wall clock.

    `fields` names the filter fields by which it was seen what the record shows.
    """
    origins = stored.origins
    origin = origins[0] if len(origins) == 1 or len(set(origins)) == 1 else SEVERAL_ORIGINS
    return values.Change(
        stored.record,
        stored.updates,
        origin,
        "",
        now,
        stored.state_vector,
        stored.snapshot,
        renewed=stored.lineage is not None,
        lineage=stored.lineage,
        principals=stored.principals,
        brought_by=stored.brought_by,
        forms=stored.forms,
        fields=fields,
    )
