"""What a device hands in for review once it was shut out: all edits that its relay had not taken, while they fit.

They stay here as they are; that they were handed in is noted once the relay has them on its disk, and told by the
status.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import cbor2

from crdt_sync.errors import StoreCorrupt
from crdt_sync.limits import HANDED_IN_BYTES_MAX, HANDED_IN_RECORDS_MAX
from crdt_sync.protocol.entries import PushEntry
from crdt_sync.records.updates import state_vector as vectors
from crdt_sync.replica import unsent
from crdt_sync.replica.context import Context
from crdt_sync.replica.readable import readable
from crdt_sync.replica.status import outbox_page
from crdt_sync.storage.port import Settings
from crdt_sync.storage.values import Batch

_NOTED = "handed_in"
_PAGE = 256


@dataclass(frozen=True, slots=True)
class HandedIn:
    """That it was: when, in microseconds since 1970, and how many records were edited."""

    at: int
    records: int


@dataclass(frozen=True, slots=True)
class Unsent:
    """What is to be handed in; `left` counts records that are not among it, as they do not fit or cannot be read."""

    entries: tuple[PushEntry, ...]
    left: int

    @property
    def records(self) -> int:
        """How many records were edited."""
        return len({entry.record for entry in self.entries})


def noted(store: Settings) -> HandedIn | None:
    """What was handed in; None where nothing was."""
    try:
        raw = store.meta(_NOTED)
        return None if raw is None else HandedIn(*cbor2.loads(raw))
    except (StoreCorrupt, cbor2.CBORDecodeError, TypeError):
        return HandedIn(0, 0)


def note(context: Context, handed: HandedIn) -> None:
    """Keep that. Raises `StoreError`."""
    with context.lock:
        context.store.commit([Batch(meta={_NOTED: cbor2.dumps([handed.at, handed.records])})])


def to_hand_in(context: Context, relay: bytes) -> Unsent:
    """What the partner `relay`, a replica id, has not taken; all that is held where that is empty, as it never met one.

    What the relay refused is not among it.
    """
    entries: list[PushEntry] = []
    size = left = 0
    for entry in _entries(context, relay):
        fits = entry is not None and len(entries) < HANDED_IN_RECORDS_MAX
        if entry is None or not fits or size + len(entry.update) > HANDED_IN_BYTES_MAX:
            left += 1
            continue
        entries.append(entry)
        size += len(entry.update)
    return Unsent(tuple(entries), left)


def _entries(context: Context, relay: bytes) -> Iterator[PushEntry | None]:
    """One after the other; None for one that cannot be read."""
    store = context.store
    for record, acknowledged in _waiting(context, relay):
        diff = readable(lambda record=record, known=acknowledged: context.diff(record, known))  # type: ignore[misc]
        yield None if diff is None else PushEntry(record, diff.update)
    for each in unsent.known(store):
        update = readable(lambda each=each: unsent.update_of(store, each))  # type: ignore[misc]
        yield PushEntry(each.record, update) if update else None


def _waiting(context: Context, relay: bytes) -> Iterator[tuple[str, bytes]]:
    store, after = context.store, ""
    if not relay:
        yield from ((record, vectors.EMPTY) for record in store.records("", store.count()))
        return
    while page := outbox_page(store, relay, after, _PAGE):
        yield from ((entry.record, entry.acknowledged) for entry in page if entry.refusal is None)
        after = page[-1].record
