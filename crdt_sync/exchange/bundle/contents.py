"""What goes into a bundle: which records, and of each the state vector that the partner is known to have.

Where the partner told by a bundle how far it has read our feed, that is what changed behind that place and did not
come from the partner itself. Where sessions told, it is the partner's outbox. Where both did, it is the shorter one.
Where the partner told by calling this device, it is all that changed behind that place: a caller says nothing of its
own lives, so nothing rests on what came from it, and the bundle suits whoever has read as far.
Where only another device told of the partner, what that one has read of our feed is taken to have come by way of the
partner, as in a ring. That may be wrong: whoever applies a bundle checks that it begins where the last one ended.
Making a bundle counts for nothing: it may be lost on its way.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from crdt_sync.errors import StoreCorrupt, UpdateRefused
from crdt_sync.exchange.bundle.header import Addressee
from crdt_sync.exchange.bundle.partner import Partner
from crdt_sync.ids import is_reserved, section_of
from crdt_sync.records import EMPTY_STATE_VECTOR, decode_state_vector, encode_state_vector, scan
from crdt_sync.replica.heard import guessed_place
from crdt_sync.replica.readers import of_others, since
from crdt_sync.storage.port import Log, LoggedRecords, Outbox, Store
from crdt_sync.storage.values import FeedEntry, LogEntry, OutboxEntry

_PAGE = 512
_NOBODY = b""


@dataclass(frozen=True, slots=True)
class Contents:
    """`base`, `head` and `partner` are those of the header.

    `records` gives (record, state vector known there), each record once, or again where it changed meanwhile;
    `records_max` is how many they are at most, as far as can be told before.
    """

    base: int
    head: int
    partner: Addressee | None
    records_max: int
    records: Iterator[tuple[str, bytes]]


def everything(store: LoggedRecords) -> Contents:
    """For anybody, whatever they have."""
    head = store.head()
    records = ((entry.record, EMPTY_STATE_VECTOR) for entry in feed_of(store, 0))
    return Contents(0, head, None, store.count(), records)


def in_parts(store: LoggedRecords) -> Iterator[Iterator[tuple[str, bytes]]]:
    """Everything, in the order in which it can be judged by a policy: schemas, then records, then their companions."""
    for kind in range(3):
        yield ((record, known) for record, known in everything(store).records if _kind(record) == kind)


def _kind(record: str) -> int:
    return 0 if is_reserved(record) else 2 if section_of(record) else 1


def lacking(store: Store, partner: Partner) -> Contents:
    """What the partner is not known to have."""
    head = store.head()  # before anything is read: what changes from now on may be in it, or come with the next
    known = partner.carried
    base = known.told_now(store) if known is not None else 0
    outstanding, _ = store.outbox_count(partner.replica)
    if partner.peer is not None and (known is None or outstanding <= head - base):
        owed = ((entry.record, entry.acknowledged) for entry in _outbox(store, partner.replica))
        return Contents(0, head, Addressee(partner.replica, partner.peer.epoch, partner.peer.head), outstanding, owed)
    if known is None and partner.caller is not None:
        base = partner.caller.reader(store).place
        return Contents(base, head, None, min(head - base, store.count()), _changed(store, base, _NOBODY, 0))
    if known is None:
        return _through_another(store, partner, head)
    changed = _changed(store, base, known.replica, known.floor)
    count = min(head - base, store.count())
    return Contents(base, head, Addressee(partner.replica, known.epoch, known.head), count, changed)


def _through_another(store: Store, partner: Partner, head: int) -> Contents:
    told = partner.told
    assert told is not None
    base = guessed_place(store, told)
    changed = _changed(store, base, partner.replica, head)  # what came from it by way of others cannot be told apart
    count = min(head - base, store.count())
    return Contents(base, head, Addressee(told.replica, told.epoch, told.cursor), count, changed)


def _changed(store: LoggedRecords, base: int, partner: bytes, floor: int) -> Iterator[tuple[str, bytes]]:
    for entry in feed_of(store, base):
        try:
            updates = since(store, entry.record, base)
        except StoreCorrupt:  # who makes the bundle comes by it, too
            updates = None
        if updates is None:
            yield entry.record, EMPTY_STATE_VECTOR  # compaction has been there: who knows what came when
            continue
        missing = of_others(updates, partner, floor)
        if base == 0 and len(missing) == len(updates):
            yield entry.record, EMPTY_STATE_VECTOR
        elif missing:
            yield entry.record, _before(entry, missing)


def _before(entry: FeedEntry, updates: list[LogEntry]) -> bytes:
    """The record's state vector without these updates, which came last or side by side with others that came last."""
    vector = decode_state_vector(entry.state_vector)
    try:
        for update in updates:
            for writer, (start, _) in scan(update.update).clients.items():
                vector[writer] = min(vector.get(writer, 0), start)
    except UpdateRefused:
        return EMPTY_STATE_VECTOR
    return encode_state_vector(vector)


def feed_of(store: Log, after: int) -> Iterator[FeedEntry]:
    """The feed to its very end: a record that changes meanwhile moves there and must not be missed."""
    while page := store.feed(after, _PAGE):
        yield from page
        after = page[-1].seq


def _outbox(store: Outbox, partner: bytes) -> Iterator[OutboxEntry]:
    after = ""
    while page := store.outbox(partner, after, _PAGE):
        yield from page
        after = page[-1].record
