"""Editing one record through its schema."""

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from typing import Any

from crdt_sync.clock import HybridClock
from crdt_sync.errors import EditEnded, InvalidValue, NoConflict, RecordDeleted, UnknownCollection
from crdt_sync.limits import ACTOR_LENGTH_MAX
from crdt_sync.records.comparing import filled
from crdt_sync.records.deleted import is_deleted
from crdt_sync.records.deletion import deletion_text, texts_named
from crdt_sync.records.document import Document
from crdt_sync.records.entries import Conflict
from crdt_sync.records.field_values import restore
from crdt_sync.records.kinds.value import emptied
from crdt_sync.records.memory.source_texts import pending_texts
from crdt_sync.records.natural_key import is_asked
from crdt_sync.records.pen import Pen
from crdt_sync.records.reading import conflicts_of, value_of
from crdt_sync.records.roots import DELETED, DELETED_ROOT
from crdt_sync.records.schema import FieldSpec, Schema
from crdt_sync.records.signatures import Signing
from crdt_sync.records.text_field import TextField
from crdt_sync.records.updates import state_vector as vectors


class Editor:
    """Edits one record. Every value is checked and normalised before it reaches the document.

    Works on a private document with a writer id; when an edit raises, throw the document away and nothing
    happened. `actor` is who writes, as conflicts and histories show it, and `signing` signs what is written in their
    name. Raises `UnknownCollection` when there is no schema.

    `editor[field] = value` by kind: value, review, stage: writes it; set: makes the members these; text:
    rewrites what differs; counter: counts up or down to it. Writing what is shown already changes nothing. A field
    with an open conflict is not written (`OpenConflict`) but resolved.

    A required field that holds something cannot be emptied, by whatever way. After `end`, writing raises `EditEnded`.

    `companion` gives the document that holds the fields of a section, and how what is written there is signed; without
    it, `document` holds all of them.
    """

    def __init__(
        self,
        document: Document,
        schema: Schema | None,
        clock: HybridClock,
        actor: str,
        collection: str,
        signing: Signing | None = None,
        companion: "Callable[[str], tuple[Document, Signing | None]] | None" = None,
    ) -> None:
        if schema is None:
            raise UnknownCollection(
                f"no schema for the collection {collection!r} here",
                "Add its schema, or sync with a replica that has it.",
            )
        if document.writer is None:
            raise ValueError("the document was loaded without a writer id")
        self._pen = _SchemaPen(document, schema, clock, check_actor(actor), self._writable, signing)
        self._companion = companion
        self._companions: dict[str, _SchemaPen] = {}  # by section, those that were read or written
        self._document = document
        self._schema = schema
        self._ended = False
        self._filled_before: dict[str, bool] = {}  # required fields that were to be written: whether they held anything

    @property
    def changed(self) -> bool:
        """Whether anything was written."""
        return self._pen.written or bool(self._companions and self.changed_sections)

    @property
    def changed_sections(self) -> Mapping[str, bool]:
        """The sections into which anything was written, and whether a conflict was decided there."""
        return {section: pen.resolved for section, pen in self._companions.items() if pen.written}

    @property
    def changed_outside(self) -> bool:
        """Whether anything was written that is in no section."""
        return self._pen.written

    @property
    def resolved(self) -> bool:
        """Whether a conflict was decided, of what is in no section."""
        return self._pen.resolved

    @property
    def deleted(self) -> bool:
        """Whether the record is deleted."""
        return is_deleted(self._document)

    def __getitem__(self, field: str) -> Any:
        """The typed value that is shown; None, an empty list or empty text when there is none."""
        spec = self._schema.field(field)
        value = self._pen_of(field).value(field)
        return copy(spec.rules.empty) if value is None else restore(spec, value)

    def __setitem__(self, field: str, value: object) -> None:
        spec = self._writable(field)
        spec.rules.write(self._pen_of(field), field, spec, value)

    def __delitem__(self, field: str) -> None:
        self.clear(field)

    def update(self, values: Mapping[str, object]) -> None:
        """Write several fields."""
        for field, value in values.items():
            self[field] = value

    def clear(self, field: str) -> None:
        """Empty a field; a log loses all entries seen here. Raises `InvalidValue` for a required field."""
        spec = self._writable(field)
        spec.rules.clear(self._pen_of(field), field, spec)

    def add(self, field: str, member: object) -> None:
        """Put a member into a set. Always writes, so that it survives a concurrent removal.

        A member that says the same, see `comparing`, keeps the form in which it was typed first.
        """
        spec = self._writable(field)
        spec.rules.add(self._pen_of(field), field, spec, member)

    def remove(self, field: str, member: object) -> None:
        """Take a member out of a set; nothing happens when it is not there."""
        spec = self._writable(field)
        spec.rules.remove(self._pen_of(field), field, spec, member)

    def increment(self, field: str, amount: object = 1) -> None:
        """Count; concurrent increments add up. `amount` may be negative."""
        spec = self._writable(field)
        spec.rules.increment(self._pen_of(field), field, spec, amount)

    def append(self, field: str, value: object) -> None:
        """Add an entry to a log."""
        spec = self._writable(field)
        spec.rules.append(self._pen_of(field), field, spec, value)

    def text(self, field: str) -> TextField:
        """The text of a field, to be edited in place by code point."""
        return self._writable(field).rules.text(self._pen_of(field), field)

    def resolve(self, field: str, value: object) -> None:
        """Decide a conflict: `value` supersedes every value seen. For `_deleted`: True deletes, False keeps.

        Also closes what a field of kind `value` keeps beside the shown one. Where imports of one source disagree about
        a text, counter or set, it becomes `value`; of a log, `value` has the lines to keep of those that only older
        imports have. Raises `NoConflict` where there is nothing to decide.
        """
        self._check_open()
        if field == DELETED:
            if self.conflict(DELETED) is None:
                raise NoConflict(
                    DELETED, "no delete stands beside an edit of this record", "Delete or restore it as usual."
                )
            if value is True:
                self._write_deletion()
            else:
                self.restore()
            return
        spec = self._writable(field)
        spec.rules.resolve(self._pen_of(field), field, spec, value)

    def conflict(self, field: str) -> Conflict | None:
        """The concurrent values of a field of whatever kind, or the delete beside an edit for `_deleted`; else None."""
        return self._pen_of(field).conflict(field)

    def affirm(self, field: str, value: object) -> None:
        """Write a single value even where it is shown already, so that a change of it made elsewhere conflicts."""
        spec = self._writable(field)
        spec.rules.affirm(self._pen_of(field), field, spec, value)

    def replay(self, field: str, carrier: object) -> None:
        """Write what another document shows in a field next to what is here; see `replay`."""
        spec = self._writable(field)
        spec.rules.replay(self._pen_of(field), field, spec, carrier)

    def delete(self) -> None:
        """Delete the record. An edit made elsewhere at the same time brings it back, as a conflict."""
        self._check_open()
        if not is_deleted(self._document):
            self._write_deletion()

    def restore(self) -> None:
        """Take a deletion back, or decide for the edit where both were made at once."""
        self._check_open()
        entries = self._pen.entries(DELETED_ROOT)
        if any(entry[0] is not None for entry in entries):
            self._pen.observe(entries)
            self._pen.append_entry(DELETED_ROOT, None, superseding=True)

    def missing_required(self) -> list[str]:
        """The required fields that hold nothing."""
        return [
            field
            for field, spec in self._schema.fields.items()
            if spec.required and not filled(self._pen_of(field).value(field))
        ]

    def check_not_emptied(self) -> None:
        """Raise `InvalidValue` where a required field held something before these edits and holds nothing now."""
        for field, before in self._filled_before.items():
            if before and not filled(self._pen_of(field).value(field)):
                raise emptied(field)

    def end(self) -> None:
        """The edit is over: whatever is written from now on, through texts that were handed out too, is refused."""
        self._ended = True

    def _check_open(self) -> None:
        if self._ended:
            raise EditEnded(
                "the edit of this record is over; nothing that is written now would be kept",
                "Write inside the 'with replica.edit(...)' block, or open another one.",
            )

    def _writable(self, field: str) -> FieldSpec:
        self._check_open()
        spec = self._schema.field(field)
        if is_deleted(self._document):
            raise RecordDeleted("the record is deleted", "Restore it first if it is still needed.")
        if spec.required and field not in self._filled_before:
            self._filled_before[field] = filled(self._pen_of(field).value(field))
        return spec

    def _pen_of(self, field: str) -> "_SchemaPen":
        """What writes into the document that holds a field."""
        if self._companion is None:
            return self._pen
        spec = self._schema.fields.get(field)
        if spec is None or not spec.section:
            return self._pen
        pen = self._companions.get(spec.section)
        if pen is None:
            document, signing = self._companion(spec.section)
            pen = _SchemaPen(document, self._schema, self._pen.clock, self._pen.actor, self._writable, signing)
            self._companions[spec.section] = pen
        return pen

    def _write_deletion(self) -> None:
        pen = self._pen
        pen.observe(pen.entries(DELETED_ROOT))
        write_deletion(pen.document, pen.clock.tick(), pen.actor)
        pen.changed = True


class _SchemaPen(Pen):
    """A pen that knows what the record shows by its schema."""

    def __init__(
        self,
        document: Document,
        schema: Schema,
        clock: HybridClock,
        actor: str,
        check: Callable[[str], object],
        signing: Signing | None,
    ) -> None:
        super().__init__(document, clock, actor, check, signing)
        self._schema = schema

    @property
    def written(self) -> bool:
        """Whether anything was written."""
        return self.changed or any(text.changed for text in self.texts)

    def value(self, field: str) -> object:
        return value_of(self.document, field, self._schema)

    def conflict(self, field: str) -> Conflict | None:
        found = conflicts_of(self.document, self._schema, all_kinds=True)
        return next((conflict for conflict in found if conflict.field == field), None)

    def is_asked(self, field: str, carriers: Sequence[object]) -> bool:
        return is_asked(self._schema, field, carriers)


def write_deletion(document: Document, stamp: int, actor: str) -> None:
    """Replace the deletion entries by one that covers everything seen here and the delete itself."""
    assert document.writer is not None
    texts = texts_named(pending_texts(document.contents()))
    with document.transaction() as transaction:
        array = document.array(transaction, DELETED_ROOT)
        length = array.len(transaction)
        if length:
            array.remove_range(transaction, 0, length)
        seen = vectors.decode(document.raw_state_vector(transaction))
        seen[document.writer] = seen.get(document.writer, 0) + 1
        array.insert(transaction, 0, [deletion_text(vectors.encode(seen)), stamp, actor, *texts])


def check_actor(actor: str) -> str:
    """A name that can stand in entries. Raises `InvalidValue`."""
    if not 0 < len(actor) <= ACTOR_LENGTH_MAX or not actor.isprintable():
        raise InvalidValue(
            "actor", f"a name has 1 to {ACTOR_LENGTH_MAX} printable characters", "Choose a shorter, plain name."
        )
    return actor
