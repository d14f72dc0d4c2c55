"""Replicas that read our feed by themselves: those that call this device, and those that are met by bundle.

There is no outbox that names what they lack. What they hold is known by a place in our feed: everything up to it, and
what came from themselves after `floor`. All else they lack, as far as is known here.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from crdt_sync.errors import StoreCorrupt
from crdt_sync.limits import STATUS_ENTRIES_MAX, STATUS_EXAMINED_MAX
from crdt_sync.storage.port import LoggedRecords, Records
from crdt_sync.storage.values import LogEntry

_PAGE = 512


@dataclass(frozen=True, slots=True)
class Reader:
    """One of them: it has read our feed up to `place`; `name` is empty where it is not known."""

    replica: bytes
    name: str
    place: int
    floor: int

    @property
    def label(self) -> str:
        """What people are told: its name, or the beginning of its replica id."""
        return self.name or self.replica.hex()[:8]


def since(store: Records, record: str, place: int) -> list[LogEntry] | None:
    """The updates of a record after `place`; None where compaction leaves that unknown. Raises `StoreCorrupt`."""
    after = [update for update in store.history(record) if update.seq > place]
    return after if after and after[0].previous <= place else None


def of_others(updates: list[LogEntry], reader: bytes, floor: int) -> list[LogEntry]:
    """Those that did not come from the reader itself after `floor`."""
    return [update for update in updates if update.origin != reader or update.seq <= floor]


def lacks(store: Records, reader: Reader, record: str) -> bool:
    """Whether the reader is not known to hold the record as it is here, which must be held."""
    try:
        head = store.record_head(record)
        if head is None or head.seq <= reader.place:
            return False
        updates = since(store, record, reader.place)
        return updates is None or bool(of_others(updates, reader.replica, reader.floor))
    except StoreCorrupt:
        return True


def lacking(store: LoggedRecords, reader: Reader) -> Iterator[str]:
    """Records that the reader is not known to hold, in the order of their last change.

    It looks at the first `STATUS_ENTRIES_MAX` that changed after the reader's place.
    """
    looked, after = 0, reader.place
    while looked < STATUS_ENTRIES_MAX and (page := store.feed(after, min(_PAGE, STATUS_ENTRIES_MAX - looked))):
        yield from (entry.record for entry in page if lacks(store, reader, entry.record))
        after, looked = page[-1].seq, looked + len(page)


def count_lacking(store: LoggedRecords, reader: Reader) -> int:
    """How many those are at most, as far as the first `STATUS_EXAMINED_MAX` and `Store.behind` tell."""
    try:
        examined = store.feed(reader.place, STATUS_EXAMINED_MAX)
        records, _ = store.behind(reader.place)
    except StoreCorrupt:
        return store.count()
    return max(0, records - sum(1 for entry in examined if not lacks(store, reader, entry.record)))
