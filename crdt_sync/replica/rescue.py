"""What a damaged record was, from what is sound of its bytes.

Operations come back from the snapshot and the log, as they were written. What needs operations that are lost cannot be
applied. What was shown and the operations do not lead to is written again, as new edits, where that cannot double
anything: a counter, a text or a timeline of which a partner may hold the lost part, or that an import brought, is left
as it is, and named.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from crdt_sync.clock import HybridClock
from crdt_sync.errors import CrdtSyncError, UpdateRefused
from crdt_sync.ids import collection_of
from crdt_sync.records import Document, Editor, Integrator, Schema, reading_of, restore
from crdt_sync.records.deleted import is_deleted
from crdt_sync.records.lineages.holding import holds
from crdt_sync.records.memory.sources import parse_source
from crdt_sync.records.roots import Layout
from crdt_sync.records.schema import FieldSpec
from crdt_sync.records.updates import state_vector as vectors
from crdt_sync.records.updates.halves import made_whole
from crdt_sync.records.values import restore_value
from crdt_sync.storage.values import Remains
from crdt_sync.verdicts import VerdictCode

if TYPE_CHECKING:
    from crdt_sync.records import Reading

DELETED = "_deleted"


@dataclass(frozen=True, slots=True)
class Loss:
    """Something that a repair could not bring back.

    `field` is empty where it is not known, or all of the record is meant; `record` where it is a setting. `kind`:
    `record`, all of it; `edits` that nothing shows; `opposed`, the other value of a conflict; `field`, its value;
    `setting`. `shown` is the carrier of a field that a partner may still bring; None where there is none.
    """

    record: str
    field: str
    kind: str
    detail: str
    shown: object = None


@dataclass(frozen=True, slots=True)
class View:
    """What a record showed: carriers by field, the fields with open conflicts, whether it was deleted, and the fields
    of which imports said something."""

    fields: Mapping[str, object]
    conflicts: Collection[str]
    deleted: bool
    imported: Collection[str] = ()

    @classmethod
    def stored(cls, view: bytes) -> "View":
        """What a stored view says."""
        stored = json.loads(view)
        sources = [parse_source(*source) for source in stored.get("sources", ())]
        imported = {field for source in sources if source is not None for field in source.said}
        return cls(stored["fields"], stored["conflicts"], stored["deleted"], imported)

    @classmethod
    def of(cls, reading: "Reading") -> "View":
        """What a document shows."""
        return cls(reading.values, [found.field for found in reading.conflicts], reading.deleted)


def rescued(record: str, remains: Remains) -> tuple[Document, list[bytes]]:
    """The record from its sound operations, and the sound updates that need operations that are lost, in their order.

    What was there before the history began anew is tried last: it is part of the record only where it adds something.
    """
    entries = remains.entries
    start = max((place for place, entry in enumerate(entries) if not entry.previous), default=0)
    waiting = [entry.update for entry in (*entries[start:], *entries[:start])]
    integrator = Integrator(documents_max=1)
    stored: Sequence[bytes] | None = () if remains.snapshot is None else (remains.snapshot,)
    while True:
        try:
            result = integrator.integrate(record, stored, waiting, stamp_max=None, checked=False, snapshot=False)
        except UpdateRefused:
            stored = ()  # the snapshot is sealed, and no record all the same
            continue
        left = [
            update
            for update, verdict in zip(waiting, result.verdicts, strict=True)
            if verdict.code is not VerdictCode.ACCEPTED
        ]
        if len(left) == len(waiting):
            current = {entry.update for entry in entries[start:]}
            return integrator.document(record), [update for update in left if update in current]
        waiting, stored = left, None


def is_complete(document: Document, remains: Remains) -> bool:
    """Whether the document is known to hold everything that the record did."""
    if document.state_vector() == vectors.EMPTY:
        return False
    if remains.digest is not None:
        return document.digest() == remains.digest
    head = remains.head
    covered = head is None or holds(document, head.state_vector, head.lineage) is True
    return covered and not remains.broken


def is_completed_by(held: bytes, document: Document, left: Sequence[bytes], whole: bytes) -> bool:
    """Whether operations are lost, and somebody who holds the state vector `held` has all of them: those of `whole`, a
    state vector, that neither the document nor `left` has.
    """
    if holds(document, whole):
        return False  # deletions are
    return holds(document, whole, updates=made_whole(left), besides=held) is True


@dataclass(slots=True)
class Rewriting:
    """Writes into a document what was shown and the document lacks, as edits of `actor`, made at `stamp`.

    `shared`: somebody else may hold some of what is lost, so what adds up is not written.
    """

    record: str
    document: Document  # with a writer
    schema: Schema | None
    actor: str
    stamp: int
    shared: bool

    def run(self, shown: View, opposed: Collection[str]) -> tuple[list[str], list[Loss]]:
        """The fields that were written again, and what is lost; `opposed` have conflicts in the document."""
        held = View.of(reading_of(self.document, self.schema))
        missing = differing(shown, held)
        losses = [self._loss(field, "opposed", "the other value of its conflict") for field in shown.conflicts
                  if field not in opposed and field != DELETED]  # fmt: skip
        written: list[str] = []
        if missing and held.deleted:
            self._editor().restore()
        for field in missing:
            imported = field in shown.imported
            loss = self._write(field, shown.fields.get(field), held.fields.get(field), imported=imported)
            if loss is None:
                written.append(field)
            else:
                losses.append(loss)
        if shown.deleted != is_deleted(self.document):
            self._editor().delete() if shown.deleted else self._editor().restore()
            written.append(DELETED)
        return written, losses

    def _write(self, field: str, value: object, held: object, *, imported: bool) -> Loss | None:
        spec = self.schema.fields.get(field) if self.schema else None
        if spec is None:
            return self._loss(field, "field", f"it showed {said(value)}, and no schema here tells how to write it")
        if self.shared and spec.rules.adds_up:
            why = "a partner may hold the difference: sync, compare, and set it right"
            return Loss(self.record, field, "field", f"it showed {said(value)} and is {said(held)} now; {why}", value)
        if imported and spec.rules.adds_up:  # whoever imported the same table holds it as the same operations
            why = "an import brought some of it: import its table again, compare, and set it right"
            return self._loss(field, "field", f"it showed {said(value)} and is {said(held)} now; {why}")
        try:
            if spec.rules.layout is Layout.LOG:
                self._append(field, value, held)
            elif value is None:
                self._editor().clear(field)
            else:
                self._editor()[field] = restore(spec, value)
        except CrdtSyncError as error:
            return self._loss(field, "field", f"it showed {said(value)}, which cannot be written: {error.message}")
        return None

    def _append(self, field: str, value: object, held: object) -> None:
        """Entries of a timeline come back with their times and authors."""
        assert self.schema is not None
        there = list(held) if isinstance(held, list) else []
        for entry in value if isinstance(value, list) else []:
            if entry in there:
                there.remove(entry)
                continue
            at = entry["at"]
            clock = HybridClock(partial(int, at))
            self._editor(clock, entry["by"]).append(field, restore_value(self.schema.fields[field], entry["value"]))

    def _editor(self, clock: HybridClock | None = None, actor: str | None = None) -> Editor:
        clock = clock or HybridClock(lambda: self.stamp)
        return Editor(self.document, _lenient(self.schema), clock, actor or self.actor, collection_of(self.record))

    def _loss(self, field: str, kind: str, detail: str) -> Loss:
        return Loss(self.record, field, kind, detail)


def differs(shown: object, held: object) -> bool:
    """Whether two carriers of a field show something else; whatever shows nothing is the same."""
    nothing: tuple[object, ...] = (None, "", [], 0)
    return shown != held and not (shown in nothing and held in nothing)


def differing(shown: View, held: View) -> list[str]:
    """The fields that two views show otherwise, sorted."""
    fields = sorted({*shown.fields, *held.fields})
    return [field for field in fields if differs(shown.fields.get(field), held.fields.get(field))]


def _lenient(schema: Schema | None) -> Schema | None:
    """The schema without rules for how a stage moves: what was shown had kept to them."""
    if schema is None:
        return None
    fields: dict[str, FieldSpec] = {
        name: replace(spec, transitions={}, required=False) for name, spec in schema.fields.items()
    }
    return replace(schema, fields=fields)


def said(value: object) -> str:
    """A carrier for a line of text, 60 characters at most."""
    text = "nothing" if value is None else repr(value)
    return text if len(text) <= 60 else f"{text[:59]}…"
