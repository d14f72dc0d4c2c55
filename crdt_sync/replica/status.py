"""Where a replica and each of its records stand with its partners.

Rules:

1. Nothing is claimed that is not known. What a partner holds is known from the outbox alone, which names every record
   that it may lack something of; while its history has changed and was not compared yet, nothing is known.
2. What a partner has for us is known as of the last contact: the head that it told, and how far its feed was read.
3. Who calls this device, or is met by bundle, has no outbox: it holds what it said that it has read, and what it
   brought.
4. Looking costs what waits, up to a limit, and never what is held. Beyond the limit a figure is a least one.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from crdt_sync import ids
from crdt_sync.errors import StoreCorrupt, UnknownRecord
from crdt_sync.limits import BUNDLE_HEARD_SHOWN_MAX, STATUS_BYTES_MAX, STATUS_ENTRIES_MAX, STATUS_SIZED_MAX
from crdt_sync.records.updates import state_vector as vectors
from crdt_sync.replica import awaiting, reading, unread, unsent
from crdt_sync.replica.callers import Caller, callers
from crdt_sync.replica.carried import Carried, carried
from crdt_sync.replica.collections import Schemaless
from crdt_sync.replica.context import Context
from crdt_sync.replica.heard import Heard, guessed_place, heard
from crdt_sync.replica.holds import Hold, read_hold
from crdt_sync.replica.names import names
from crdt_sync.replica.readers import count_lacking, lacks
from crdt_sync.replica.told import is_compared, read_told, to_fetch
from crdt_sync.replica.unsent import Unsent
from crdt_sync.replica.whereabouts import companions_of
from crdt_sync.storage.port import LoggedRecords, Store
from crdt_sync.storage.values import OutboxEntry, Peer

_PAGE = 512


@dataclass(frozen=True, slots=True)
class Waiting:
    """A record that a partner lacks: since when (microseconds since 1970), and why it was not stored there yet."""

    record: str
    since: int
    reason: str


@dataclass(frozen=True, slots=True)
class PartnerStatus:
    """One partner: what it may still lack, what it refused, and what it had for us at the last contact.

    `pending` and `refused` count records. `to_fetch` is how many records, at most, changed behind our cursor; None
    where that is not known: its history has changed, so that all `is_compared` at the next session, or it does not say.
    `to_fetch_bytes` is about what their updates come to, None where the partner did not say. `percent` is 100 only
    where nothing is left on either side, and None where that is not known. `missing` counts records of which it has
    something that is not here: it could not read them, or they were not taken; `Status.unreadable` says why.
    `last_seen` is when this was so, in microseconds since 1970, by the device's clock. `put_off` is until when it
    takes nothing more, as it said.
    """

    url: str
    replica: str  # hexadecimal
    pending: int
    refused: int
    cursor: int
    last_seen: int
    to_fetch: int | None = None
    to_fetch_bytes: int | None = None
    percent: int | None = None
    name: str = ""  # where it is known, see `crdt_sync.replica.names`
    missing: int = 0
    put_off: Hold | None = None
    is_compared: bool = False


@dataclass(frozen=True, slots=True)
class Backlog:
    """What is to be sent to one partner: bytes of the differences of `sized` records, and the oldest that waits.

    Where `sized` is less than the records pending, `bytes` is the least that it can be. `oldest` is the oldest of the
    first `STATUS_ENTRIES_MAX` by record id, and `reserved` how many of those to be sent are no records that people
    entered: definitions of collections, books of imported tables, and sections of records that are to be sent as well.
    """

    bytes: int
    sized: int
    oldest: Waiting | None
    reserved: int = 0


@dataclass(frozen=True, slots=True)
class CarriedStatus:
    """One partner that is met by bundle only: what the next bundle for it would hold, at most.

    That is `to_send` records with about `to_send_bytes`, as of its newest bundle, made `as_of` (µs since 1970). What it
    has for us is not known before a bundle of it comes. `through` is who told of it, by name, where no bundle of its
    own ever came; then what it has of ours is a guess, which it checks.
    """

    name: str
    replica: str  # hexadecimal
    to_send: int
    to_send_bytes: int
    as_of: int
    through: str = ""


@dataclass(frozen=True, slots=True)
class CallerStatus:
    """A device that calls this one while it listens: how many records, at most, wait for its next call.

    `name` is empty where it did not tell one. What it has for us is not known before it calls. `last_seen` is when it
    was heard last, in microseconds since 1970, by the device's clock.
    """

    name: str
    replica: str  # hexadecimal
    waiting: int
    last_seen: int


@dataclass(frozen=True, slots=True)
class Status:
    """The whole replica. `unreadable` names records of which partners have something that is not here, and why: it
    could not be integrated, or the partner could not read it.

    `damaged` are records whose stored bytes fail their checksums, as far as anybody came by them, and what is wrong.
    `unsent` are edits that a partner had not taken when it said that their record may not be held here any more, the
    oldest first.

    `backlogs` is by the replica id of a partner, in hexadecimal. `carried` are partners that are met by bundle only,
    `callers` those that only call. `schemaless` are collections of which records are here and no schema.
    """

    name: str
    records: int
    partners: tuple[PartnerStatus, ...]
    unreadable: dict[str, str] = field(default_factory=dict)
    backlogs: dict[str, Backlog] = field(default_factory=dict)
    carried: tuple[CarriedStatus, ...] = ()
    callers: tuple[CallerStatus, ...] = ()
    schemaless: tuple[Schemaless, ...] = ()
    damaged: dict[str, str] = field(default_factory=dict)
    unsent: tuple[Unsent, ...] = ()


@dataclass(frozen=True, slots=True)
class RecordStatus:
    """One record, by the addresses of the partners.

    `state` is the worst of it: `damaged` here or `refused`, with a reason, `pending`, `stored`, or `local` where nobody
    else is known to hold it. `unknown_at` are partners that were not compared with since their history changed; the
    record counts as pending there. `held_by` are devices, by name or the beginning of their id, that fetched it as it
    is here, or brought it, and `waits_for` those that did not: each with `call` or `bundle`, by which it comes. It is
    pending for their sake only where nobody holds it.
    """

    state: str
    stored_at: tuple[str, ...]
    reason: str = ""
    pending_at: dict[str, str] = field(default_factory=dict)  # and why
    refused_at: dict[str, str] = field(default_factory=dict)  # and why
    unknown_at: tuple[str, ...] = ()
    held_by: dict[str, str] = field(default_factory=dict)
    waits_for: dict[str, str] = field(default_factory=dict)


def percentage(records: int, to_send: int, to_fetch: int | None, *, unreadable: bool) -> int | None:
    """How much of everything both sides hold; 100 only where nothing is left, None where that is not known."""
    if to_fetch is None:
        return None
    left = to_send + to_fetch
    if not left:
        return 99 if unreadable else 100
    whole = max(records + to_fetch, left)
    return min(99, 100 * (whole - left) // whole)


def status(context: Context) -> Status:
    """See `Replica.status`."""
    store = context.store
    met = partners(store, context.wall_clock())
    backlogs = {known.replica: _backlog(context, bytes.fromhex(known.replica)) for known in met}
    calling = [known for known in callers(store).values() if known.replica.hex() not in backlogs]
    called = {known.replica for known in calling}
    by_bundle = [known for known in carried(store).values() if known.replica.hex() not in backlogs]
    carriers = [_carried_status(store, known) for known in by_bundle if known.replica not in called]
    known = {*called, *(known.replica for known in by_bundle), *map(bytes.fromhex, backlogs)}
    told = {row.replica: row for row in heard(store) if row.replica not in known}
    newest = sorted(told.values(), key=lambda row: row.at, reverse=True)[:BUNDLE_HEARD_SHOWN_MAX]
    called_so = names(store) if newest else {}
    return Status(
        context.name,
        reading.count(store),
        met,
        unread.reasons(store),
        backlogs,
        (
            *sorted(carriers, key=lambda known: known.name),
            *(_heard_status(store, row, called_so) for row in newest),
        ),
        tuple(_caller_status(store, known) for known in sorted(calling, key=lambda known: known.name)),
        reading.schemaless(context),
        {**awaiting.waiting(context), **context.still_damaged()},
        tuple(unsent.known(store)),
    )


def partners(store: Store, wall: int) -> tuple[PartnerStatus, ...]:
    """See `Replica.partners`. `wall` is the time, in microseconds since 1970."""
    noted = unread.known(store)
    told = names(store)
    return tuple(
        _partner_status(store, peer, told.get(peer.replica, ""), noted, wall) for peer in store.peers() if peer.url
    )


def _partner_status(store: Store, peer: Peer, name: str, noted: unread.Known, wall: int) -> PartnerStatus:
    """The standing of one partner, at the cost of a few reads."""
    entries, refused = store.outbox_count(peer.replica)
    told = read_told(store, peer.replica)
    records, size = to_fetch(peer, told)
    return PartnerStatus(
        peer.url,
        peer.replica.hex(),
        pending=entries - refused,
        refused=refused,
        cursor=peer.cursor,
        last_seen=max(peer.last_seen, told.at if told else 0),
        to_fetch=records,
        to_fetch_bytes=size,
        percent=percentage(store.count(), entries, records, unreadable=bool(noted)),
        name=name,
        missing=len(unread.of(noted, peer.replica)),
        put_off=read_hold(store, peer.replica, wall),
        is_compared=is_compared(peer, told),
    )


def _carried_status(store: LoggedRecords, partner: Carried) -> CarriedStatus:
    """The standing of a partner that is met by bundle, at the cost of `count_lacking`."""
    reader = partner.reader(store)
    _, size = store.behind(reader.place)
    records = count_lacking(store, reader)
    size = size if records else 0
    return CarriedStatus(partner.name, partner.replica.hex(), records, size, partner.created)


def _heard_status(store: Store, row: Heard, called: Mapping[bytes, str]) -> CarriedStatus:
    """The standing of a replica that others told of. `called` is what replicas are called."""
    records, size = store.behind(guessed_place(store, row))
    through = called.get(row.via, row.via.hex()[:8])
    return CarriedStatus("", row.replica.hex(), records, size, row.at, through)


def _caller_status(store: LoggedRecords, caller: Caller) -> CallerStatus:
    """The standing of a caller, at the cost of `count_lacking`."""
    waiting = count_lacking(store, caller.reader(store))
    return CallerStatus(caller.name, caller.replica.hex(), waiting, caller.at)


def _backlog(context: Context, peer: bytes) -> Backlog:
    """What waits for one partner, looked at up to the limits of `crdt_sync.limits`."""
    size = sized = reserved = 0
    oldest: OutboxEntry | None = None
    for entry in _outbox(context.store, peer):
        if oldest is None or entry.edit < oldest.edit:
            oldest = entry
        reserved += entry.refusal is None and _is_counted_apart(context, peer, entry.record)
        if entry.refusal is None and sized < STATUS_SIZED_MAX and size < STATUS_BYTES_MAX:
            try:
                diff = context.diff(entry.record, entry.acknowledged)
            except StoreCorrupt as corrupt:
                context.note_damage(entry.record, corrupt.message)
                continue
            size += len(diff.update) if diff else 0
            sized += 1
    return Backlog(size, sized, None if oldest is None else Waiting(oldest.record, oldest.edit, why(oldest)), reserved)


def _is_counted_apart(context: Context, peer: bytes, record: str) -> bool:
    """Whether something that is owed is no record that people entered, or part of one that is owed as well."""
    if ids.section_of(record):
        return context.store.outbox_entry(peer, ids.whole_record(record)) is not None
    return ids.is_reserved(record)


def why(entry: OutboxEntry) -> str:
    """Why a partner does not hold a record as it is here."""
    if entry.refusal is not None:
        return f"{entry.refusal}: {entry.reason}"
    if entry.reason:
        return f"not now: {entry.reason}"
    return "not known to be stored there" if entry.acknowledged == vectors.EMPTY else "edited since it was stored there"


def record_status(context: Context, record: str) -> RecordStatus:
    """See `Replica.record_status`."""
    try:
        head = context.store.record_head(ids.check_record(record))
    except StoreCorrupt as corrupt:
        context.note_damage(record, corrupt.message)
        return RecordStatus("damaged", (), corrupt.message)
    if head is None:
        raise UnknownRecord(record)
    found = _record_status(context.store, record)
    for companion in companions_of(context.store, record):
        if context.store.record_head(companion) is not None:
            found = _together(found, _record_status(context.store, companion))
    return found


def _together(one: RecordStatus, other: RecordStatus) -> RecordStatus:
    """The standing of a record and of what it has in a section: with each partner the worse of the two."""
    refused = {**one.refused_at, **other.refused_at}
    pending = {url: why for url, why in {**one.pending_at, **other.pending_at}.items() if url not in refused}
    waits_for = {**one.waits_for, **other.waits_for}
    unknown = dict.fromkeys((*one.unknown_at, *other.unknown_at))
    return _stands(
        stored=[url for url in one.stored_at if url in other.stored_at],
        pending=pending,
        refused=refused,
        unknown=[url for url in unknown if url not in refused and url not in pending],
        held_by={label: way for label, way in one.held_by.items() if label not in waits_for},
        waits_for=waits_for,
    )


def _record_status(store: Store, record: str) -> RecordStatus:
    """The standing of one record with all partners."""
    stored: list[str] = []
    unknown: list[str] = []
    pending: dict[str, str] = {}
    refused: dict[str, str] = {}
    readers = _readers(store, record)
    for peer in store.peers():
        if not peer.url:
            continue  # another partner answers at its address now
        entry = store.outbox_entry(peer.replica, record)
        reads = readers.pop(peer.replica, None)
        if entry is not None and entry.refusal is not None:
            refused[peer.url] = why(entry)
        elif reads is not None and reads.holds:
            stored.append(peer.url)  # it fetched it by itself, which our own next session will notice
        elif entry is not None:
            pending[peer.url] = why(entry)
        elif is_compared(peer, read_told(store, peer.replica)):
            unknown.append(peer.url)
        else:
            stored.append(peer.url)
    held_by = {reads.label: reads.way for reads in readers.values() if reads.holds}
    waits_for = {reads.label: reads.way for reads in readers.values() if not reads.holds}
    return _stands(stored, pending, refused, unknown, held_by, waits_for)


def _stands(
    stored: Sequence[str],
    pending: dict[str, str],
    refused: dict[str, str],
    unknown: Sequence[str],
    held_by: dict[str, str],
    waits_for: dict[str, str],
) -> RecordStatus:
    """The worst of it, in a word."""
    if refused:
        state = "refused"
    elif pending or unknown:
        state = "pending"
    elif stored or held_by:
        state = "stored"
    else:
        state = "pending" if waits_for else "local"
    reason = next(iter(refused.values()), "")
    return RecordStatus(state, tuple(stored), reason, pending, refused, tuple(unknown), held_by, waits_for)


class _Reads(NamedTuple):
    """Where one record stands with a replica that reads our feed by itself: by `call` or `bundle`."""

    label: str
    way: str
    holds: bool


def _readers(store: Store, record: str) -> dict[bytes, _Reads]:
    """By replica id. Who is met both ways holds what it got either way."""
    found: dict[bytes, _Reads] = {}
    called: set[str] = set()
    for way, known in (("call", callers(store)), ("bundle", carried(store))):
        for one in known.values():
            reader = one.reader(store)
            before = found.get(reader.replica)
            holds = not lacks(store, reader, record)
            if before is not None:
                found[reader.replica] = before if before.holds or not holds else before._replace(way=way, holds=True)
                continue
            label = reader.label if reader.label not in called else f"{reader.label} ({reader.replica.hex()[:8]})"
            called.add(label)
            found[reader.replica] = _Reads(label, way, holds)
    return found


def outbox_page(store: Store, peer: bytes, after: str, limit: int) -> list[OutboxEntry]:
    """A page of an outbox; damaged entries are mended: their records are sent whole."""
    try:
        return store.outbox(peer, after, limit)
    except StoreCorrupt:
        store.mend("outbox")
        return store.outbox(peer, after, limit)


def _outbox(store: Store, peer: bytes) -> Iterator[OutboxEntry]:
    after, seen = "", 0
    while seen < STATUS_ENTRIES_MAX and (
        page := outbox_page(store, peer, after, min(_PAGE, STATUS_ENTRIES_MAX - seen))
    ):
        yield from page
        after, seen = page[-1].record, seen + len(page)
