"""What was shown of records whose lost edits are awaited from a partner, kept until it is known whether they come.

A partner that held all of a record at the last contact may hold it no more when it is met again. So the fields that an
intact view showed otherwise than what a repair could save are kept in the store. Once such a partner was met and the
operations did not come with it, those that nobody has changed since are written again, or named as lost.

Sound updates that build on what is awaited are kept beside them, and taken up as soon as it has come.
"""

import json
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

from crdt_sync.errors import StoreCorrupt, StoreError, StoreFailed
from crdt_sync.ids import EPOCH_BYTES
from crdt_sync.limits import DAMAGED_NAMED_MAX
from crdt_sync.records import Document, reading_of
from crdt_sync.records.lineages.holding import holds
from crdt_sync.records.updates import state_vector as vectors
from crdt_sync.replica import unread
from crdt_sync.replica.context import Context
from crdt_sync.replica.intake import Intake
from crdt_sync.replica.loading import stored_document
from crdt_sync.replica.origin import Origin
from crdt_sync.replica.rescue import Loss, Rewriting, View, differing, differs, said
from crdt_sync.replica.views import encode_view
from crdt_sync.storage.port import Partners, Settings
from crdt_sync.storage.values import Batch, Change, OutboxEntry

_PREFIX = "awaited/"  # meta
_NO_EPOCH = bytes(EPOCH_BYTES)


@dataclass(frozen=True, slots=True)
class Awaited:
    """A record of which operations are awaited from the partners at `urls`.

    `shown` and `held` are carriers of the fields that differed when the store was mended: before it, and after.
    `seen`: its view was intact. `state_vector` (hex) is what the record had; empty where that is not known. `lineage`
    is the one of that vector where it is not known what the lineage was made of, else 0. `stamp` is the time of its
    last sound update. `pending` are sound updates (base64) that build on what is awaited, as they came. `edited`:
    partners lacked edits of ours, and no state vector tells of deletions: what was shown is to be so again.
    """

    urls: Sequence[str]
    shown: Mapping[str, Any]
    held: Mapping[str, Any]
    conflicts: Sequence[str]
    deleted: tuple[bool, bool]
    seen: bool
    state_vector: str
    stamp: int
    pending: Sequence[str] = ()
    edited: bool = False
    lineage: int = 0

    def has_come(self, document: Document, held: View) -> bool | None:
        """Whether the record, which shows `held`, is again what it was, or has moved on from it.

        None: it shows something else, and was renewed, so that nothing tells whether that is older or newer.
        """
        whole = holds(document, bytes.fromhex(self.state_vector), self.lineage) if self.state_vector else True
        if whole is False:
            return False
        if whole and self.state_vector and not self.edited:
            return True
        expected = self.expected(held)
        same = expected.deleted == held.deleted and set(expected.conflicts) == set(held.conflicts)
        if document.state_vector() != vectors.EMPTY and same and not differing(expected, held):
            return True
        return False if whole else None

    def expected(self, held: View) -> View:
        """What is to be shown: as before the damage, where nobody has changed a field since."""
        fields = dict(held.fields)
        for field, value in self.shown.items():
            if not differs(held.fields.get(field), self.held.get(field)):
                fields[field] = value
        shown, saved = self.deleted
        same = {field for field in self.conflicts if fields.get(field) == self.shown.get(field)}
        return View(fields, sorted({*held.conflicts, *same}), shown if held.deleted == saved else held.deleted)


def kept(
    urls: Sequence[str],
    shown: View | None,
    held: View,
    state_vector: bytes,
    stamp: int,
    pending: Sequence[bytes],
    edited: bool,
    lineage: int = 0,
) -> Awaited:
    """What to keep of a record that showed `shown`, None where that is not known, and of which `held` was saved."""
    seen = shown is not None
    shown = shown or held
    opposed = sorted(set(shown.conflicts) - set(held.conflicts))
    fields = sorted({*differing(shown, held), *opposed})
    return Awaited(
        urls,
        {field: shown.fields.get(field) for field in fields},
        {field: held.fields.get(field) for field in fields},
        opposed,
        (shown.deleted, held.deleted),
        seen,
        state_vector.hex(),
        stamp,
        [b64encode(update).decode("ascii") for update in pending],
        edited,
        lineage,
    )


def note(record: str, awaited: Awaited) -> dict[str, bytes | None]:
    """The meta to commit."""
    return {_PREFIX + record: json.dumps(asdict(awaited), sort_keys=True).encode()}


def lost_note(key: str) -> Loss | None:
    """What is lost with a damaged note; None where the key is of none."""
    if not key.startswith(_PREFIX):
        return None
    return Loss(key.removeprefix(_PREFIX), "", "edits", "what it showed before an earlier repair; sync may bring it")


def awaited(store: Settings) -> Iterator[tuple[str, Awaited]]:
    """Each record, and what is kept of it."""
    for key in store.meta_keys(_PREFIX):
        with suppress(StoreCorrupt):
            if (kept_of := _read(store, key)) is not None:
                yield key.removeprefix(_PREFIX), kept_of


def _read(store: Settings, key: str) -> Awaited | None:
    value = store.meta(key)
    if value is None:
        return None
    fields = json.loads(value)
    return Awaited(**{**fields, "deleted": tuple(fields["deleted"])})


def pending(store: Settings, record: str) -> list[bytes]:
    """The sound updates that are kept of a record, in their order."""
    with suppress(StoreCorrupt):
        if (kept_of := _read(store, _PREFIX + record)) is not None:
            return [b64decode(update) for update in kept_of.pending]
    return []


def take_up(context: Context, records: Iterable[str]) -> list[str]:
    """Apply what is kept of these records, of which something was stored, where what it builds on is here by now;
    returns those that it changed.

    Nothing that fails here fails what was stored: what cannot be stored now waits for the next call, or for `settle`.
    """
    noted: set[str] = set()
    with suppress(StoreError):
        noted.update(context.store.meta_keys(_PREFIX))
    taken_up = []
    for record in records:
        try:
            if _PREFIX + record in noted and _taken_up(context, record):
                taken_up.append(record)
        except StoreFailed:
            taken_up.append(record)  # it may be found whole, and then our sessions have to push it
        except StoreError:
            continue
    return taken_up


def _taken_up(context: Context, record: str) -> bool:
    store = context.store
    waits = pending(store, record)
    if not waits:
        return False
    intake = Intake(context)
    try:
        intake.take(record, waits, Origin.of("kept", context.id), actor=context.name)
    except StoreCorrupt:
        return False  # damaged anew: the next repair keeps them on
    if intake.changes:
        store.commit([intake.batch()])
    return bool(intake.changes)


def waiting(context: Context) -> dict[str, str]:
    """Records that lack what they showed before the store was mended, and what to do, for the status; the first."""
    told = {}
    for record, kept_of in islice(awaited(context.store), DAMAGED_NAMED_MAX):
        with suppress(StoreCorrupt):
            document = stored_document(context.store, record)
            if not kept_of.has_come(document, View.of(reading_of(document, context.schema_of(record)))):
                lacking = ", ".join(sorted(kept_of.shown)) or "edits"
                urls = " or ".join(kept_of.urls)
                told[record] = f"since a repair it lacks {lacking}: sync with {urls}, then repair once more"
    return told


@dataclass(frozen=True, slots=True)
class Settled:
    """`rewritten` fields by record; `losses`; `waiting` are records whose partners were not met since."""

    rewritten: Mapping[str, Sequence[str]]
    losses: Sequence[Loss]
    waiting: Mapping[str, Awaited]


def settle(context: Context) -> Settled:
    """Write again, or name as lost, what partners did not bring who were met since the store was mended."""
    store = context.store
    rewritten: dict[str, Sequence[str]] = {}
    losses: list[Loss] = []
    left: dict[str, Awaited] = {}
    come: dict[str, bytes | None] = {}
    context.announce("edited", [record for record, _ in awaited(store) if _taken_up(context, record)])
    for record, kept_of in awaited(store):
        try:
            document = stored_document(store, record, context.new_writer())
        except StoreCorrupt:
            left[record] = kept_of
            continue
        before, schema = document.state_vector(), context.schema_of(record)
        held = View.of(reading_of(document, schema))
        forgotten: dict[str, bytes | None] = {_PREFIX + record: None}
        has_come = kept_of.has_come(document, held)
        if has_come:
            come |= forgotten
        elif _is_unmet(store, kept_of, record):
            left[record] = kept_of
        elif has_come is None:  # what is shown may be newer: it stays
            losses += _untold(record, kept_of, held)
            come |= forgotten
        else:
            # Whoever had it from the partner that has it no more may hold what is lost: what adds up is not written.
            rewriting = Rewriting(record, document, schema, context.name, kept_of.stamp, shared=True)
            written, lost = rewriting.run(kept_of.expected(held), held.conflicts)
            losses += lost if kept_of.seen else [_unseen(record, kept_of)]
            if written:
                rewritten[record] = written
            store.commit([_edit(context, record, document, before, forgotten) if written else Batch(meta=forgotten)])
            context.announce("edited", [record] if written else [])
    if come:
        store.commit([Batch(meta=come)])
    return Settled(rewritten, losses, left)


def _unseen(record: str, kept_of: Awaited) -> Loss:
    urls = " and ".join(kept_of.urls)
    return Loss(record, "", "edits", f"edits that {urls} held and did not bring; nothing here shows what they were")


def _untold(record: str, kept_of: Awaited, held: View) -> list[Loss]:
    expected = kept_of.expected(held)
    told = []
    for field in differing(expected, held):
        shown, now = expected.fields.get(field), held.fields.get(field)
        why = "the record was renewed meanwhile, so which is newer is not known: set it right where it is wrong"
        told.append(Loss(record, field, "field", f"it showed {said(shown)} and is {said(now)} now; {why}", shown))
    return told or [_unseen(record, kept_of)]


def _is_unmet(store: Partners, kept_of: Awaited, record: str) -> bool:
    """Whether one of the partners is still known, and none of them was compared with since the store was mended."""
    partners = [peer for peer in store.peers() if peer.url in kept_of.urls]
    noted = unread.known(store)
    return bool(partners) and all(
        peer.epoch == _NO_EPOCH or record in unread.of(noted, peer.replica) for peer in partners
    )


def _edit(context: Context, record: str, document: Document, before: bytes, meta: Mapping[str, bytes | None]) -> Batch:
    """What was written, as one edit that every partner is to get."""
    store = context.store
    view = encode_view(document, context.schema_of(record))
    update, whole, now = document.diff(before), document.diff(), context.wall_clock()
    change = Change(record, (update,), context.id, context.name, now, document.state_vector(), whole, view)
    edit, outbox = context.next_edit(), []
    for peer in context.peers_except(None):
        known = store.outbox_entry(peer, record)
        outbox.append((peer, OutboxEntry(record, known.acknowledged if known else before, edit)))
    return Batch(changes=(change,), outbox=tuple(outbox), meta=meta)
