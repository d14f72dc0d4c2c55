"""Editing one record through its schema."""

import json
from collections.abc import Iterable, Mapping, Set
from decimal import Decimal
from functools import partial
from typing import Any

from crdt_sync.clock import HybridClock
from crdt_sync.errors import (
    EditEnded,
    InvalidTransition,
    InvalidValue,
    NoConflict,
    OpenConflict,
    RecordDeleted,
    UnknownCollection,
)
from crdt_sync.limits import ACTOR_LENGTH_MAX, TEXT_BYTES_MAX
from crdt_sync.records import state_vector as vectors
from crdt_sync.records.comparing import filled, identity
from crdt_sync.records.deletion import deletion_text
from crdt_sync.records.document import Document
from crdt_sync.records.entries import Conflict, Entry, is_entry, ordered, well_formed
from crdt_sync.records.memories import settle
from crdt_sync.records.memory_index import MemoryIndex
from crdt_sync.records.natural_key import is_asked
from crdt_sync.records.roots import DELETED, DELETED_ROOT, member_key, member_of
from crdt_sync.records.schema import KINDS_OF_ENTRIES, FieldSpec, Schema
from crdt_sync.records.text_bringing import unmix
from crdt_sync.records.text_field import TextField
from crdt_sync.records.values import (
    Carrier,
    canonical,
    exact_sum,
    normalise,
    parse_decimal,
    restore,
    text_carrier,
)
from crdt_sync.records.versions import disputed_lines


class Editor:
    """Edits one record. Every value is checked and normalised before it reaches the document.

    Works on a private document with a writer id; when an edit raises, throw the document away and nothing
    happened. `actor` is who writes, as conflicts and histories show it. Raises `UnknownCollection` when there
    is no schema.

    `editor[field] = value` by kind: value, review, stage: writes it; set: makes the members these; text:
    rewrites what differs; counter: counts up or down to it. Writing what is shown already changes nothing. A field
    with an open conflict is not written (`OpenConflict`) but resolved.

    A required field that holds something cannot be emptied, by whatever way. After `end`, writing raises `EditEnded`.
    """

    def __init__(
        self, document: Document, schema: Schema | None, clock: HybridClock, actor: str, collection: str
    ) -> None:
        if schema is None:
            raise UnknownCollection(
                f"no schema for the collection {collection!r} here",
                "Add its schema, or sync with a replica that has it.",
            )
        if document.writer is None:
            raise ValueError("the document was loaded without a writer id")
        self._document = document
        self._schema = schema
        self._clock = clock
        self._actor = check_actor(actor)
        self._changed = False
        self.resolved = False  # whether a conflict was decided
        self._texts: list[TextField] = []
        self._ended = False
        self._filled_before: dict[str, bool] = {}  # required fields that were to be written: whether they held anything

    @property
    def changed(self) -> bool:
        """Whether anything was written."""
        return self._changed or any(text.changed for text in self._texts)

    @property
    def deleted(self) -> bool:
        """Whether the record is deleted."""
        return self._document.deleted

    def __getitem__(self, field: str) -> Any:
        """The typed value that is shown; None, an empty list or empty text when there is none."""
        spec = self._spec(field)
        value = self._document.value(field, self._schema)
        if value is None and spec.kind in ("set", "log"):
            return []
        if value is None and spec.kind in ("counter", "text"):
            return 0 if spec.kind == "counter" else ""
        return restore(spec, value)

    def __setitem__(self, field: str, value: object) -> None:
        spec = self._writable(field)
        match spec.kind:
            case "set":
                self._set_members(field, spec, value)
            case "text":
                text = text_carrier(field, "" if value is None else value, TEXT_BYTES_MAX)
                if spec.required and not filled(text):
                    raise emptied(field)
                self.text(field).replace(text)
            case "counter":
                self._count_to(field, spec, 0 if value is None else value)
            case "log":
                raise InvalidValue(field, "a log only grows", "Use append.")
            case _:
                self._write_entry(field, spec, value, resolving=False)

    def __delitem__(self, field: str) -> None:
        self.clear(field)

    def update(self, values: Mapping[str, object]) -> None:
        """Write several fields."""
        for field, value in values.items():
            self[field] = value

    def clear(self, field: str) -> None:
        """Empty a field; a log loses all entries seen here. Raises `InvalidValue` for a required field."""
        spec = self._writable(field)
        if spec.kind == "log":
            self._clear_array(f"l.{field}")
        elif self._document.value(field, self._schema) is not None or spec.required:
            self[field] = None

    def add(self, field: str, member: object) -> None:
        """Put a member into a set. Always writes, so that it survives a concurrent removal.

        A member that says the same, see `comparing`, keeps the form in which it was typed first.
        """
        spec = self._writable(field, "set")
        self._put_member(field, spec, normalise(field, spec, member))

    def remove(self, field: str, member: object) -> None:
        """Take a member out of a set; nothing happens when it is not there."""
        spec = self._writable(field, "set")
        self._drop_members(field, spec, {identity(normalise(field, spec, member), spec)})

    def increment(self, field: str, amount: object = 1) -> None:
        """Count; concurrent increments add up. `amount` may be negative."""
        spec = self._writable(field, "counter")
        self._count(field, spec, parse_decimal(field, normalise(field, spec, amount)))

    def append(self, field: str, value: object) -> None:
        """Add an entry to a log."""
        spec = self._writable(field, "log")
        self._append_entry(f"l.{field}", normalise(field, spec, value), superseding=False)

    def text(self, field: str) -> TextField:
        """The text of a field, to be edited in place by code point."""
        self._writable(field, "text")
        unmix(self._document, field, str(self._document.value(field, self._schema) or ""))
        text = TextField(self._document, field, lambda: self._writable(field, "text"))
        self._texts.append(text)
        return text

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
        if spec.kind not in KINDS_OF_ENTRIES:
            self._resolve_versions(field, spec, value)
            return
        if not self._disputed_values(field, spec):
            raise NoConflict(
                field, f"nothing to decide: it holds one value, {self[field]!r}", "Write another one as usual."
            )
        self.resolved = True
        self._write_entry(field, spec, value, resolving=True)

    def _resolve_versions(self, field: str, spec: FieldSpec, value: object) -> None:
        if self.conflict(field) is None:
            raise NoConflict(field, "nothing to decide: no imports disagree about it", "Write it as usual.")
        if spec.kind == "log":
            self._keep_lines(field, spec, value)
        else:
            self[field] = value
        settle(self._document, field)
        self.resolved = self._changed = True

    def _keep_lines(self, field: str, spec: FieldSpec, value: object) -> None:
        given = [] if value is None else value if isinstance(value, list) else [value]
        kept = {canonical(normalise(field, spec, line)) for line in given}
        lines = self._entries(f"l.{field}")
        disputed = disputed_lines(field, lines, self._document.sources())
        dropped = {canonical(line) for line in disputed if canonical(line[0]) not in kept}  # True == 1 in Python
        if kept - {canonical(line[0]) for line in lines}:
            raise InvalidValue(field, "one of these lines is not there", "Keep lines that 'crdt-sync conflicts' shows.")
        with self._document.transaction() as transaction:
            array = self._document.array(transaction, f"l.{field}")
            raw = json.loads(array.to_json(transaction)) if array.len(transaction) else []
            for index in reversed(range(len(raw))):
                if is_entry(raw[index]) and canonical(raw[index]) in dropped:
                    array.remove_range(transaction, index, 1)

    def conflict(self, field: str) -> Conflict | None:
        """The concurrent values of a field of whatever kind, or the delete beside an edit for `_deleted`; else None."""
        found = self._document.conflicts(self._schema, all_kinds=True)
        return next((conflict for conflict in found if conflict.field == field), None)

    def affirm(self, field: str, value: object) -> None:
        """Write a single value even where it is shown already, so that a change of it made elsewhere conflicts."""
        self._write_entry(field, self._writable(field), value, resolving=False, though_equal=True)

    def delete(self) -> None:
        """Delete the record. An edit made elsewhere at the same time brings it back, as a conflict."""
        self._check_open()
        if not self._document.deleted:
            self._write_deletion()

    def restore(self) -> None:
        """Take a deletion back, or decide for the edit where both were made at once."""
        self._check_open()
        entries = self._entries(DELETED_ROOT)
        if any(entry[0] is not None for entry in entries):
            self._observe(entries)
            self._append_entry(DELETED_ROOT, None, superseding=True)

    def missing_required(self) -> list[str]:
        """The required fields that hold nothing."""
        return [
            field
            for field, spec in self._schema.fields.items()
            if spec.required and not filled(self._document.value(field, self._schema))
        ]

    def check_not_emptied(self) -> None:
        """Raise `InvalidValue` where a required field held something before these edits and holds nothing now."""
        for field, before in self._filled_before.items():
            if before and not filled(self._document.value(field, self._schema)):
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

    def _spec(self, field: str) -> FieldSpec:
        return self._schema.field(field)

    def _writable(self, field: str, kind: str | None = None) -> FieldSpec:
        self._check_open()
        spec = self._spec(field)
        if kind is not None and spec.kind != kind:
            raise InvalidValue(field, f"it is a {spec.kind}, not a {kind}", "Set it with editor[field] = value.")
        if self._document.deleted:
            raise RecordDeleted("the record is deleted", "Restore it first if it is still needed.")
        if spec.required and field not in self._filled_before:
            self._filled_before[field] = filled(self._document.value(field, self._schema))
        return spec

    def _entries(self, root: str) -> list[Entry]:
        with self._document.transaction() as transaction:
            return well_formed(json.loads(self._document.array(transaction, root).to_json(transaction)))

    def _write_entry(
        self, field: str, spec: FieldSpec, value: object, *, resolving: bool, though_equal: bool = False
    ) -> None:
        carrier = normalise(field, spec, value)
        if spec.required and not filled(carrier):
            raise emptied(field)
        if not resolving:
            self._check_decided(field, spec)
        root = f"c.{field}"
        # A stage goes on from the one that is shown.
        age = partial(MemoryIndex(self._document.sources()).age, field=field) if spec.kind == "stage" else None
        with self._document.transaction() as transaction:
            array = self._document.array(transaction, root)
            length = array.len(transaction)
            if length:
                entries = ordered(well_formed(json.loads(array.to_json(transaction))), spec, age)
                values = [entry[0] for entry in entries]
                if len(values) == 1 and canonical(values[0]) == canonical(carrier) and not though_equal:
                    return
                if spec.kind == "stage" and values and not (resolving and carrier in values):
                    check_transition(field, spec, values[0], carrier)
                self._observe(entries)
                array.remove_range(transaction, 0, length)
            array.insert(transaction, 0, [carrier, self._clock.tick(), self._actor])
        self._changed = True

    def _disputed_values(self, field: str, spec: FieldSpec) -> int:
        """How many different values stand beside each other; 0 for one or none."""
        count = len({identity(entry[0], spec) for entry in self._entries(f"c.{field}")})
        return count if count > 1 else 0

    def _check_decided(self, field: str, spec: FieldSpec) -> None:
        """Raise `OpenConflict` where a plain write would close a conflict that is to be decided."""
        if not is_asked(self._schema, field, [entry[0] for entry in self._entries(f"c.{field}")]):
            return
        count = self._disputed_values(field, spec)
        if count:
            raise OpenConflict(
                field,
                f"{count} values of it wait for a decision",
                f"See 'crdt-sync conflicts', then decide: crdt-sync resolve RECORD {field} VALUE",
            )

    def _append_entry(self, root: str, carrier: Carrier, *, superseding: bool) -> None:
        with self._document.transaction() as transaction:
            array = self._document.array(transaction, root)
            length = array.len(transaction)
            if superseding and length:
                array.remove_range(transaction, 0, length)
                length = 0
            array.insert(transaction, length, [carrier, self._clock.tick(), self._actor])
        self._changed = True

    def _clear_array(self, root: str) -> None:
        with self._document.transaction() as transaction:
            array = self._document.array(transaction, root)
            length = array.len(transaction)
            if length:
                array.remove_range(transaction, 0, length)
                self._changed = True

    def _members(self, field: str) -> dict[str, object]:
        with self._document.transaction() as transaction:
            members: dict[str, object] = json.loads(self._document.map(transaction, f"s.{field}").to_json(transaction))
        return members

    def _set_members(self, field: str, spec: FieldSpec, value: object) -> None:
        if value is not None and (isinstance(value, (str, bytes, Mapping)) or not isinstance(value, Iterable)):
            raise InvalidValue(field, "expected the members of the set as a list", "Use add for a single member.")
        wanted: dict[str, Carrier] = {}
        for member in value if isinstance(value, Iterable) else ():
            carrier = normalise(field, spec, member)
            wanted[identity(carrier, spec)] = carrier
        value_shown = self._document.value(field, self._schema)
        shown = value_shown if isinstance(value_shown, list) else []
        present = {identity(member, spec) for member in self._members(field).values()}
        for member in sorted(wanted.keys() - {identity(member, spec) for member in shown}):
            self._put_member(field, spec, wanted[member])
        self._drop_members(field, spec, present - wanted.keys())

    def _put_member(self, field: str, spec: FieldSpec, carrier: Carrier) -> None:
        assert self._document.writer is not None
        said = identity(carrier, spec)
        present = self._members(field)
        for key in sorted(present):
            member = present[key]
            # Of keys that an editor wrote: others may hold anything.
            if isinstance(member, str) and member_of(key) == canonical(member) and identity(member, spec) == said:
                carrier = member
                break
        key = member_key(canonical(carrier), self._document.writer)
        with self._document.transaction() as transaction:
            self._document.map(transaction, f"s.{field}").insert(transaction, key, carrier)
        self._changed = True

    def _drop_members(self, field: str, spec: FieldSpec, dropped: Set[str]) -> None:
        present = self._members(field)
        with self._document.transaction() as transaction:
            members = self._document.map(transaction, f"s.{field}")
            for key in sorted(present):
                if identity(present[key], spec) in dropped:
                    members.remove(transaction, key)
                    self._changed = True

    def _totals(self, field: str) -> dict[str, object]:
        with self._document.transaction() as transaction:
            totals: dict[str, object] = json.loads(self._document.map(transaction, f"n.{field}").to_json(transaction))
        return totals

    def _count_to(self, field: str, spec: FieldSpec, value: object) -> None:
        target = parse_decimal(field, normalise(field, spec, value))
        present = parse_decimal(field, self._document.value(field, self._schema) or 0)
        if target != present:
            self._count(field, spec, exact_sum((target, -present)))

    def _count(self, field: str, spec: FieldSpec, amount: Decimal) -> None:
        key = str(self._document.writer)
        own = exact_sum((parse_decimal(field, self._totals(field).get(key, 0)), amount))
        carrier = normalise(field, spec, own if spec.type == "decimal" else int(own))
        with self._document.transaction() as transaction:
            self._document.map(transaction, f"n.{field}").insert(transaction, key, carrier)
        self._changed = True

    def _observe(self, superseded: list[Entry]) -> None:
        """A write comes after everything that it supersedes."""
        for entry in superseded:
            self._clock.observe(entry[1])

    def _write_deletion(self) -> None:
        self._observe(self._entries(DELETED_ROOT))
        write_deletion(self._document, self._clock.tick(), self._actor)
        self._changed = True


def write_deletion(document: Document, stamp: int, actor: str) -> None:
    """Replace the deletion entries by one that covers everything seen here and the delete itself."""
    assert document.writer is not None
    with document.transaction() as transaction:
        array = document.array(transaction, DELETED_ROOT)
        length = array.len(transaction)
        if length:
            array.remove_range(transaction, 0, length)
        seen = vectors.decode(document.raw_state_vector(transaction))
        seen[document.writer] = seen.get(document.writer, 0) + 1
        array.insert(transaction, 0, [deletion_text(vectors.encode(seen)), stamp, actor])


def check_transition(field: str, spec: FieldSpec, present: object, target: object) -> None:
    """Whether a stage may move from `present` to `target`. Raises `InvalidTransition` that names what is allowed."""
    if not spec.transitions or present == target or present not in spec.states:
        return  # no rules, or a state of a newer schema: its rules are not known here
    allowed = spec.transitions.get(str(present), ())
    if target not in allowed:
        raise InvalidTransition(
            field,
            f"{present} cannot become {target}",
            f"From {present} it can become: {', '.join(allowed)}." if allowed else f"{present} is a final state.",
        )


def check_actor(actor: str) -> str:
    """A name that can stand in entries. Raises `InvalidValue`."""
    if not 0 < len(actor) <= ACTOR_LENGTH_MAX or not actor.isprintable():
        raise InvalidValue(
            "actor", f"a name has 1 to {ACTOR_LENGTH_MAX} printable characters", "Choose a shorter, plain name."
        )
    return actor


def emptied(field: str) -> InvalidValue:
    """The error for a required field that would be left empty."""
    return InvalidValue(field, "is required and cannot be emptied", "Write another value instead.")
