"""Writer ids that somebody else has used: what was written under them here goes under others, and nothing is lost.

A partner tells by its refusal (see `records.gate.owners`), or by what it sends: where it holds other operations than we
do under one id, and something of ours is still owed to it, it would take ours for what it has.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from crdt_sync import ids
from crdt_sync.errors import StoreError, UpdateRefused
from crdt_sync.protocol.entries import UpdatesEntry
from crdt_sync.records import Document
from crdt_sync.records.gate.contradictions import content_at, contradiction, displaced, first_differences
from crdt_sync.records.gate.owners import WRITER
from crdt_sync.records.lineages.lineage import is_foreign
from crdt_sync.records.updates import state_vector as vectors
from crdt_sync.records.updates.delete_set import merged, without
from crdt_sync.records.updates.lists import Lists
from crdt_sync.records.updates.renamed import Other, renamed
from crdt_sync.records.updates.update import scan
from crdt_sync.replica.context import Context
from crdt_sync.replica.loading import loaded
from crdt_sync.storage.values import Batch, OutboxEntry
from crdt_sync.verdicts import VerdictCode

DOUBTED: Final = "it deletes what it never had from here"
_ATTEMPTS_MAX: Final = 8  # beyond them somebody uses ids up, and one that nobody foresees is taken
_NAMED: Final = re.compile(rf"{WRITER}: .*\bwriter (\d{{1,16}})\b")


def under_other_writers(
    context: Context, record: str, theirs: Document, ours: Document, acknowledged: bytes, reason: str
) -> Document | None:
    """What both hold, with what is ours alone under other ids where the partner holds something else under the old.

    `acknowledged` is what it is known to have had from here, and `reason` that of its refusal. None where it is of
    another kind, or where this cannot be done: across lineages.
    """
    if not reason.startswith(f"{WRITER}: ") or theirs.lineage_writer() != ours.lineage_writer():
        return None
    ours_known, theirs_known = (vectors.decode(each.raw_state_vector()) for each in (ours, theirs))
    begins = first_differences(ours, theirs, vectors.decode(acknowledged))
    if (named := _NAMED.match(reason)) is not None and int(named[1]) not in begins:
        begins[int(named[1])] = theirs_known.get(int(named[1]), 0)
    begins = {writer: begin for writer, begin in begins.items() if begin < ours_known.get(writer, 0)}
    others = {
        writer: Other(begin, _other(context, record, (theirs, ours), writer, begin))
        for writer, begin in sorted(begins.items())
    }
    held = {writer: clock for writer, clock in {**theirs_known, **begins}.items() if clock}
    document = Document.load((theirs.diff(),))
    update = renamed(ours.diff(vectors.encode(held)), others)
    try:
        document.join(update)
        return None if document.is_missing(update) else document
    except (KeyboardInterrupt, SystemExit, MemoryError):
        raise
    except BaseException:  # pycrdt's PanicException is no Exception
        return None


def _other(context: Context, record: str, held: Sequence[Document], writer: int, begin: int) -> int:
    """The id for what the last of the documents `held` has of a writer from `begin` on."""
    ours = held[-1]
    content = content_at(ours, writer, begin)
    for attempt in range(_ATTEMPTS_MAX):
        told = b"\0".join((record.encode(), str(writer).encode(), str(begin).encode(), str(attempt).encode(), content))
        digest = hashlib.blake2b(told, digest_size=8, person=b"crdt-sync taken").digest()
        other = int.from_bytes(digest, "big") >> (64 - ids.WRITER_BITS)
        if other and not any(_holds_else(each, ours, writer, Other(begin, other)) for each in held):
            return other
    return context.new_writer()


def _holds_else(document: Document, ours: Document, writer: int, other: Other) -> bool:
    """Whether a document has something else under the other id than what is ours of the writer."""
    vector = vectors.decode(document.raw_state_vector())
    if other.writer not in vector:
        return False
    since = {**vectors.decode(ours.raw_state_vector()), writer: other.begin}
    try:
        update = renamed(ours.diff(vectors.encode(since)), {writer: other})
        found = scan(update)
        return bool(
            contradiction(found, update, document, vector)
            or displaced(found.items, Lists(scan(document.diff()).items), vector)
        )
    except UpdateRefused:
        return True


def found_taken(context: Context, partner: bytes, entries: Sequence[UpdatesEntry]) -> list[str]:
    """The records of which `entries` of a partner hold something else than we do under one id, and of which it is owed
    something. That is noted in its outbox as refused, so that the record is fetched as a whole. The lock is held.
    """
    store = context.store
    if not store.outbox_count(partner)[0]:
        return []
    noted: dict[str, OutboxEntry] = {}
    for entry in entries:
        owed = None if entry.record in noted else store.outbox_entry(partner, entry.record)
        if owed is not None and (problem := _contradicted(context, entry, vectors.decode(owed.acknowledged))):
            refusal = VerdictCode.FORBIDDEN.value
            noted[entry.record] = replace(owed, refusal=refusal, reason=f"{WRITER}: {problem}")
    if noted:
        store.commit([Batch(outbox=tuple((partner, owed) for owed in noted.values()))])
    return list(noted)


def _contradicted(context: Context, entry: UpdatesEntry, sent: Mapping[int, int]) -> str:
    """What the update says of operations that are here otherwise; nothing where that cannot be told.

    Nor may it delete what is ours beyond what was `sent`, where anything was: the record as a whole tells what that is.
    """
    try:
        document = loaded(entry.record, context.store.load(entry.record).updates)
        if is_foreign(document.lineage_writer(), entry.update):
            return ""
        found, vector = scan(entry.update), vectors.decode(document.raw_state_vector())
        if any(item.clock < vector.get(item.writer, 0) for item in found.items):
            other = contradiction(found, entry.update, document, vector)
            other = other or displaced(found.items, Lists(scan(document.diff()).items), vector)
            if other:
                return other
        unsent = {
            writer: [(sent.get(writer, 0), vector[writer] - sent.get(writer, 0))]
            for writer in found.deletes
            if sent and vector.get(writer, 0) > sent.get(writer, 0)
        }
        if not unsent:
            return ""
        dead = merged(found.deletes)
        kept = without(unsent, dead)
        gone = without(unsent, kept)  # of what was not sent, what the update deletes
        return DOUBTED if without(gone, document.deletes()) else ""
    except (UpdateRefused, StoreError):
        return ""
