"""Mending a damaged store.

Rules:

1. What is sound is saved before anything is dropped, in one transaction per group of records: see `replica.rescue`.
2. What is lost is named. What a partner held all of at the last contact is not lost, but awaited, and what is sound and
   builds on it is kept until then.
3. Everything damaged is set aside, so that a second look finds nothing; see `storage.lmdb.aside`.
4. The next session with each partner compares everything.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Protocol

from crdt_sync.errors import StoreCorrupt, UnknownRecord, UpdateRefused
from crdt_sync.ids import EPOCH_BYTES, is_record
from crdt_sync.limits import REPAIR_RECORDS
from crdt_sync.records import Document, reading_of
from crdt_sync.records.lineages.holding import holds, in_dots
from crdt_sync.records.updates import state_vector as vectors
from crdt_sync.replica import awaiting, damage, heard
from crdt_sync.replica.carried import forgotten_cursors
from crdt_sync.replica.context import Context
from crdt_sync.replica.guessing import guessed
from crdt_sync.replica.loading import stored_document
from crdt_sync.replica.peers import SERVED
from crdt_sync.replica.readable import readable
from crdt_sync.replica.rescue import Loss, Rewriting, View, is_complete, is_completed_by, rescued
from crdt_sync.replica.views import RecordView, encode_view
from crdt_sync.storage.port import Outbox, Records, Store
from crdt_sync.storage.values import Batch, Change, Head, OutboxEntry, Peer, Remains

_PAGE = 1000
_NO_EPOCH = bytes(EPOCH_BYTES)
_SCHEMA = "schema/"
REPLICA = "store/replica"  # among damaged settings: who the replica is


@dataclass(frozen=True, slots=True)
class Repair:
    """What a repair found and did.

    `salvaged` are damaged records that are here again, `lost` those that are not. `rewritten` are fields, by record,
    that were written again as new edits, from what was shown. `awaited` are records, and the addresses of the partners
    who held all of each at the last contact: they come back with the next sync. `shown` is what these showed, by field,
    and show no more, as far as that is known; what partners turn out not to have, `settle` writes again or names.
    `losses` is what is gone for good. `identity` is the new replica id, in hexadecimal, where the old one was damaged:
    to its partners it is another device from now on.
    """

    findings: int
    salvaged: tuple[str, ...]
    lost: tuple[str, ...]
    rewritten: Mapping[str, Sequence[str]] = field(default_factory=dict)
    awaited: Mapping[str, Sequence[str]] = field(default_factory=dict)
    shown: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    losses: tuple[Loss, ...] = ()
    identity: str = ""


@dataclass(slots=True)
class _Work:
    """What a repair has come to."""

    salvaged: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    rewritten: dict[str, Sequence[str]] = field(default_factory=dict)
    awaited: dict[str, Sequence[str]] = field(default_factory=dict)
    shown: dict[str, Mapping[str, object]] = field(default_factory=dict)
    losses: list[Loss] = field(default_factory=list)

    def result(self, findings: int) -> Repair:
        """What to tell."""
        return Repair(
            findings,
            tuple(self.salvaged),
            tuple(sorted(self.lost)),
            self.rewritten,
            self.awaited,
            self.shown,
            tuple(self.losses),
        )


def repair(context: Context, settings: Sequence[str] = ()) -> Repair:
    """Mend what can be mended here, and have the next session with each partner compare everything.

    `settings` are damaged values of `meta` that were set aside already.
    """
    store = context.store
    findings = len(store.verify().findings) + len(settings)
    work = _Work()
    missing = findings > 0 or bool(store.quarantined())
    damaged = _unreadable(store) if missing else _without_sense(store)
    if missing or damaged:
        settings = (*settings, *store.mend("meta"))
        back = {_SCHEMA + collection for collection in context.schemas}
        work.losses += [lost for key in settings if key not in back and (lost := _lost_setting(key)) is not None]
        partners, served = _partners(store), _has_served(store)
        store.renew_epoch()  # first: who opens sessions with us believes that what is set aside is still here
        with suppress(StoreCorrupt):  # and now: a disk that is full later must not leave cursors that lie
            _forget_cursors(store)
        for start in range(0, len(damaged), REPAIR_RECORDS):
            _replace(context, damaged[start : start + REPAIR_RECORDS], partners, served, work)
        work.lost += [record for record in store.rebuild() if record not in work.lost]
        _make_views(context)
        _forget_cursors(store)  # once more: they may not have been readable before
        store.commit([Batch(meta={**damage.forgotten(), **({SERVED: b"1"} if served else {})})])
    _settle(context, work)
    context.mended()
    return replace(work.result(findings), identity=store.replica.hex() if REPLICA in settings else "")


class Shown(Protocol):
    """What shows records."""

    def get(self, record: str) -> RecordView:
        """See `Replica.get`."""


def still_lost(replica: Shown, losses: Sequence[Loss]) -> tuple[Loss, ...]:
    """The losses of a repair that no partner has brought back since: a field that shows again what it did is none."""
    return tuple(loss for loss in losses if loss.shown is None or _shown(replica, loss) != loss.shown)


def _shown(replica: Shown, loss: Loss) -> object:
    with suppress(UnknownRecord, StoreCorrupt):
        return replica.get(loss.record).raw.get(loss.field)
    return None


def settle(context: Context) -> Repair:
    """After a sync: of what was awaited and did not come, write again or name as lost what was shown."""
    work = _Work()
    _settle(context, work)
    return work.result(0)


def _settle(context: Context, work: _Work) -> None:
    settled = awaiting.settle(context)
    for record, fields in settled.rewritten.items():
        work.rewritten[record] = sorted({*work.rewritten.get(record, ()), *fields})
    work.losses += settled.losses
    for record, kept in settled.waiting.items():
        work.awaited[record] = tuple(kept.urls)
        work.shown[record] = kept.shown


def _unreadable(store: Store) -> list[str]:
    """The records that cannot be loaded, sorted."""
    return sorted({record for record in store.damaged() if is_record(record)} | set(_without_sense(store)))


def _without_sense(store: Records) -> list[str]:
    """Records that no document can be built from, also where their bytes are sound."""
    return [record for record in _records(store) if readable(partial(_document, store, record)) is None]


def _forget_cursors(store: Store) -> None:
    """What partners are believed to hold, and how far they were read, rests on what was damaged."""
    strangers = tuple(replace(peer, epoch=_NO_EPOCH, cursor=0, head=0) for peer in store.peers())
    store.commit([Batch(peers=strangers, meta={**forgotten_cursors(store), **heard.forgotten(store)})])


@dataclass(frozen=True, slots=True)
class _Held:
    """What partners hold of a record: the addresses of those that had all of it at the last contact, or all that is
    lost here, what others of them acknowledged, and whether there is one of whom nothing is known.
    """

    whole_at: tuple[str, ...]
    acknowledged: tuple[bytes, ...]
    unknown: bool

    def may_have(self, missing: Document, head: Head | None) -> bool:
        """Whether any of them may hold operations of the record that the document lacks, and that were here."""
        return self.unknown or any(not holds(missing, _lost(known, head, missing)) for known in self.acknowledged)


def _lost(acknowledged: bytes, head: Head | None, document: Document) -> bytes:
    """What both a partner and the record as it was held, or may have held where they may be of two lineages."""
    if head is None:
        return acknowledged
    whole, unknown = in_dots(head.state_vector, head.lineage, document)
    ours, theirs = vectors.decode(vectors.merge(whole, head.state_vector)), vectors.decode(acknowledged)
    if unknown or not theirs.keys() <= ours.keys():
        return acknowledged  # one of the two lineages may have been made of what the other has
    return vectors.encode({writer: min(clock, theirs.get(writer, 0)) for writer, clock in ours.items()})


def _partners(store: Outbox) -> list[Peer]:
    """The partners as they were known before this repair; none where that cannot be read."""
    with suppress(StoreCorrupt):
        return [peer for peer in store.peers() if peer.url]
    return []


def _has_served(store: Store) -> bool:
    """Whether there may be others than the partners, whose holdings are not known: who read our feed in sessions of
    theirs or from bundles, and partners that were replaced or forgotten.
    """
    with suppress(StoreCorrupt):
        replaced = any(not peer.url for peer in store.peers())
        return replaced or len(store.known_lives) > 1 or store.meta(SERVED) is not None
    return True


def _held(
    store: Outbox, record: str, partners: Sequence[Peer], served: bool, completes: Callable[[bytes], bool]
) -> _Held:
    """`completes` tells whether a partner who acknowledged a state vector holds all operations that are lost here."""
    whole_at: list[str] = []
    acknowledged: list[bytes] = []
    unknown = served
    for peer in partners:
        try:
            entry = store.outbox_entry(peer.replica, record)
        except StoreCorrupt:
            unknown = True
            continue
        if entry is not None:
            acknowledged.append(entry.acknowledged)
            if completes(entry.acknowledged):
                whole_at.append(peer.url)
        elif peer.epoch == _NO_EPOCH:
            unknown = True
        else:
            whole_at.append(peer.url)
    return _Held(tuple(whole_at), tuple(acknowledged), unknown)


def _replace(context: Context, records: Sequence[str], partners: Sequence[Peer], served: bool, work: _Work) -> None:
    """Put what is left of these records in their places, in one transaction."""
    store = context.store
    changes: list[Change] = []
    outbox: list[tuple[bytes, OutboxEntry]] = []
    meta: dict[str, bytes | None] = {}
    for record, remains in store.remains(records).items():
        try:
            document, left = rescued(record, remains)
            held = _held(store, record, partners, served, partial(_completes, remains, document, left))
            document, edited = _mended(context, record, remains, document, left, held, work)
            if record in work.awaited:
                meta |= _kept(context, record, remains, held, document, left)
        except (UpdateRefused, ValueError) as error:  # one that nothing can be made of stops no other
            work.awaited.pop(record, None)
            work.lost.append(record)
            work.losses.append(Loss(record, "", "record", f"what is left of it here cannot be read: {error}"))
            continue
        if document.state_vector() == vectors.EMPTY:
            work.lost.append(record)
            continue
        work.salvaged.append(record)
        changes.append(_whole(context, record, document))
        if edited:
            known = {peer.replica: store_entry(store, peer.replica, record) for peer in partners}
            outbox += [
                (peer, OutboxEntry(record, acknowledged, context.next_edit())) for peer, acknowledged in known.items()
            ]
    store.replace(records, Batch(changes=tuple(changes), outbox=tuple(outbox), meta=meta))


def store_entry(store: Outbox, peer: bytes, record: str) -> bytes:
    """What a partner acknowledged of a record; nothing where that is not known."""
    with suppress(StoreCorrupt):
        if entry := store.outbox_entry(peer, record):
            return entry.acknowledged
    return vectors.EMPTY


def _completes(remains: Remains, document: Document, left: Sequence[bytes], acknowledged: bytes) -> bool:
    head = remains.head
    return head is not None and is_completed_by(acknowledged, document, left, head.state_vector)


def _mended(
    context: Context,
    record: str,
    remains: Remains,
    document: Document,
    left: Sequence[bytes],
    held: _Held,
    work: _Work,
) -> tuple[Document, bool]:
    """The record as it can be had here, and whether anything was written anew; what is lost is noted.

    `document` is what its sound operations lead to, `left` are those that need others.
    """
    if is_complete(document, remains):
        return document, False
    if held.whole_at:
        work.awaited[record] = held.whole_at
        return document, False
    schema = context.schema_of(record)
    if remains.view is None:
        told = guessed(record, schema, View.of(reading_of(document, schema)), remains)
        known = "" if told else ", and what it held is not known"
        if document.state_vector() == vectors.EMPTY and not held.unknown and not held.acknowledged:
            work.losses.append(Loss(record, "", "record", f"nothing of it is left here, and no partner had it{known}"))
        else:
            later = f"; {len(left)} later updates need them" if left else ""
            work.losses.append(Loss(record, "", "edits", f"edits whose values nothing here shows{later}{known}"))
        work.losses += told
        return document, False
    shown = View.stored(remains.view)
    shared = held.may_have(document, remains.head)
    opposed = View.of(reading_of(document, schema)).conflicts
    copy = Document.load([document.diff()], context.new_writer())
    stamp = _last_sound(context, remains)
    written, losses = Rewriting(record, copy, schema, context.name, stamp, shared).run(shown, opposed)
    work.losses += losses
    if written:
        work.rewritten[record] = written
    return (copy, True) if written else (document, False)


def _kept(
    context: Context, record: str, remains: Remains, held: _Held, document: Document, left: Sequence[bytes]
) -> dict[str, bytes | None]:
    """The meta that keeps what the record was until a partner was asked."""
    shown = View.stored(remains.view) if remains.view is not None else None
    now, head = View.of(reading_of(document, context.schema_of(record))), remains.head
    vector, lineage = in_dots(head.state_vector, head.lineage, document) if head else (b"", 0)
    pending = [*awaiting.pending(context.store, record), *left]  # a repair may have kept some before
    stamp, edited = _last_sound(context, remains), bool(held.acknowledged)
    kept = awaiting.kept(held.whole_at, shown, now, vector, stamp, pending, edited, lineage)
    return awaiting.note(record, kept)


def _last_sound(context: Context, remains: Remains) -> int:
    """When the last sound update was made, as a stamp."""
    return max((entry.received_at for entry in remains.entries), default=context.wall_clock()) + context.clock.offset


def _whole(context: Context, record: str, document: Document) -> Change:
    whole, view = document.diff(), encode_view(document, context.schema_of(record))
    now = context.wall_clock()
    lineage = document.lineage_writer()
    return Change(
        record, (whole,), context.id, context.name, now, document.state_vector(), whole, view, None, True, lineage
    )


def _make_views(context: Context) -> None:
    store = context.store
    for record in _records(store):
        if store.view(record) is None:
            document = _document(store, record)
            store.commit([Batch(views={record: encode_view(document, context.schema_of(record))})])


def _document(store: Records, record: str) -> Document:
    return stored_document(store, record)


def _records(store: Records) -> Iterator[str]:
    after = ""
    while page := store.records(after, _PAGE):
        yield from page
        after = page[-1]


# --- settings ------------------------------------------------------------------------------------------------


def mend_settings(store: Store) -> tuple[str, ...]:
    """Set aside damaged settings, so that the replica can be opened; returns their keys.

    The name comes back from the log, and the list of schemas from the schemas.
    """
    damaged = store.mend("meta")
    meta: dict[str, bytes | None] = {}
    if "schemas" in damaged or any(key.startswith(_SCHEMA) for key in damaged):
        meta["schemas"] = " ".join(key.removeprefix(_SCHEMA) for key in store.meta_keys(_SCHEMA)).encode()
    if "name" in damaged:
        meta["name"] = (_name_in_log(store) or f"device-{store.replica.hex()[:6]}").encode()
    if meta:
        store.commit([Batch(meta=meta)])
    return damaged


def schemas_of(settings: Sequence[str]) -> list[str]:
    """The collections whose schemas are among these settings."""
    return [key.removeprefix(_SCHEMA) for key in settings if key.startswith(_SCHEMA)]


def _name_in_log(store: Store) -> str:
    """The name under which this replica signed its last edit that the log still tells of."""
    for record in _records(store):
        with suppress(StoreCorrupt):
            for entry in reversed(store.history(record)):
                if entry.origin == store.replica and entry.actor:
                    return entry.actor
    return ""


def _lost_setting(key: str) -> Loss | None:
    """What is lost with a setting; None for what is derived, or told again by partners."""
    if key.startswith(_SCHEMA):
        name = key.removeprefix(_SCHEMA)
        return Loss("", key, "setting", f"the schema of {name!r}: add it again with 'crdt-sync schema add FILE'")
    if key == "name":
        return Loss("", key, "setting", "the name of this device, taken from its edits: see 'crdt-sync status'")
    return awaiting.lost_note(key)
