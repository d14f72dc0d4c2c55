"""What a kind of field is: a rule for merging, upon one of the five layouts that records have.

Each kind is a file in `kinds/`, with one subclass of `FieldKind` and `KIND`, an instance of it; nothing else in the
program knows kinds by name. Whoever has a field asks `spec.rules`. A layout is what Yjs merges, part of the wire and
closed; how a field of one layout is compared, shown and imported depends on that, what its values mean on the kind.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

from crdt_sync.errors import InvalidValue
from crdt_sync.records.entries import Entry, latest_first
from crdt_sync.records.memory.memory_index import MemoryIndex
from crdt_sync.records.memory.source_texts import ShownTexts
from crdt_sync.records.memory.sources import shares
from crdt_sync.records.roots import Layout
from crdt_sync.records.text_input import parse_one
from crdt_sync.records.values import Carrier, normalise_value, restore_value

if TYPE_CHECKING:
    from crdt_sync.records.entries import Age
    from crdt_sync.records.field_settings import FieldSettings
    from crdt_sync.records.pen import Pen
    from crdt_sync.records.text_field import TextField

ABSENT = object()
"""Shown by a field that holds nothing."""


@dataclass(frozen=True)
class Held:
    """What one reading of a record gives the kinds: its contents by root, and what sources said."""

    contents: Mapping[str, object]
    memories: MemoryIndex

    @cached_property
    def counted(self) -> dict[str, list[object]]:
        """Counter to what is counted in it for sources."""
        return shares(self.memories.accounts)

    @cached_property
    def text(self) -> ShownTexts:
        """Field to the text that it shows."""
        return ShownTexts(self.contents, self.memories)


class FieldKind:
    """One kind. The defaults are those of a field that holds one thing and can be written, emptied and required."""

    name: ClassVar[str]
    merging: ClassVar[str]
    """What concurrent edits do, in one line for people."""
    layout: ClassVar[Layout]
    plain: ClassVar[bool] = False
    """Whether fields of its layout are read by it where no schema is here: one kind of each layout."""
    internal: ClassVar[bool] = False
    """Whether it is for the reserved collection of definitions alone."""
    types: ClassVar[tuple[str, ...] | None] = None
    """The types that a field of it may have; None for all."""
    default_type: ClassVar[str] = "string"
    successors: ClassVar[frozenset[str]] = frozenset()
    """Kinds that a newer schema may give a field of this one: the same content, shown alike."""
    requirable: ClassVar[bool] = True
    emptiable: ClassVar[bool] = False
    """Whether None is a value that can be written."""
    in_key: ClassVar[bool] = False
    """Whether it may be part of a natural key."""
    filters: ClassVar[bool] = False
    """Whether it shows one value by which records may be chosen: the same on every device, and never in question."""
    asks: ClassVar[bool] = False
    """Whether concurrent values wait for a decision."""
    restricted: ClassVar[bool] = False
    """Whether not every value may follow every other: what an import says then waits where people wrote, too."""
    several: ClassVar[bool] = False
    """Whether it holds several values, each of the field's type."""
    adds_up: ClassVar[bool] = False
    """Whether what is written twice is there twice."""
    long: ClassVar[bool] = False
    """Whether it may grow beyond what a column of a listing shows."""
    empty: ClassVar[object] = None
    """What is read where nothing was written."""

    def problem(self, spec: "FieldSettings") -> str:
        """What is wrong with the other settings of a field of this kind; empty where they fit."""
        if self.types is not None and spec.type not in self.types:
            return f"a {self.name} has type {' or '.join(map(repr, self.types))}"
        if spec.states or spec.transitions or spec.ranks:
            return f"'states', 'transitions' and 'ranks' do not belong to a {self.name}"
        if spec.required and not self.requirable:
            return f"a {self.name} cannot be required: it starts empty"
        return ""

    # --- values ----------------------------------------------------------------------------------------------

    def normalise(self, field: str, spec: "FieldSettings", value: object) -> Carrier:
        """The carrier of one value, member, entry or amount. Raises `InvalidValue`."""
        if value is None:
            if spec.required or not self.emptiable:
                raise InvalidValue(field, "a value is needed here", "Leave the field out instead of emptying it.")
            return None
        return normalise_value(field, spec, value)

    def restore(self, spec: "FieldSettings", carrier: object) -> object:
        """The Python value of the whole field; never raises."""
        return restore_value(spec, carrier)

    def parse(self, field: str, spec: "FieldSettings", text: str) -> object:
        """What a typed text, or a cell of a table, means; None where it is blank. Raises `InvalidValue`."""
        return parse_one(field, spec, text) if text.strip() else None

    def is_empty(self, carrier: object) -> bool:
        """Whether a carrier, None where nothing was written, counts as empty when somebody looks for empty fields."""
        return carrier in (None, "")

    # --- merging and showing ---------------------------------------------------------------------------------

    def shown(self, field: str, spec: "FieldSettings | None", held: Held) -> object:
        """The carrier that is shown, or `ABSENT`; `spec` is None where no schema is here."""
        raise NotImplementedError

    def ordered(self, entries: list[Entry], spec: "FieldSettings", age: "Age | None") -> list[Entry]:
        """Concurrent entries with the shown one first; `age` says when sources said what imports wrote."""
        return latest_first(entries, age)

    def is_asked(self, carriers: Sequence[object]) -> bool:
        """Whether these concurrent values wait for a decision."""
        return self.asks

    def summary(self, carrier: object) -> str | None:
        """A value in one line for people, where it is not shown as it is."""
        return None

    def merges_by(self, spec: "FieldSettings") -> object:
        """What the shown value depends on beside the content; None where it is read as without a schema."""
        return self.name, spec.states, spec.ranks

    def ranks(self, spec: "FieldSettings") -> dict[str, int]:
        """The ranks of the values by which concurrent ones are decided: they keep their order in newer schemas."""
        return {}

    def check_move(self, field: str, spec: "FieldSettings", present: object, target: object) -> None:
        """Raise `InvalidTransition` where the field may not go from one value to another."""

    # --- writing ---------------------------------------------------------------------------------------------

    def write(self, pen: "Pen", field: str, spec: "FieldSettings", value: object) -> None:
        """Make the field hold `value`. Raises `InvalidValue`, `OpenConflict`."""
        raise NotImplementedError

    def affirm(self, pen: "Pen", field: str, spec: "FieldSettings", value: object) -> None:
        """Write a single value even where it is shown already."""
        raise self._not_a(field, "single value")

    def clear(self, pen: "Pen", field: str, spec: "FieldSettings") -> None:
        """Empty the field."""
        if pen.value(field) is not None or spec.required:
            self.write(pen, field, spec, None)

    def resolve(self, pen: "Pen", field: str, spec: "FieldSettings", value: object) -> None:
        """Decide what versions of an import say differently. Raises `NoConflict`."""
        pen.check_disputed(field)
        self.decide(pen, field, spec, value)
        pen.settle(field)

    def decide(self, pen: "Pen", field: str, spec: "FieldSettings", value: object) -> None:
        """Write what was decided of versions of an import."""
        self.write(pen, field, spec, value)

    def replay(self, pen: "Pen", field: str, spec: "FieldSettings", carrier: object) -> None:
        """Write what another document shows, next to what is here; see `replay`."""
        if carrier is None:
            self.clear(pen, field, spec)
        else:
            self.write(pen, field, spec, self.restore(spec, carrier))

    def add(self, pen: "Pen", field: str, spec: "FieldSettings", member: object) -> None:
        """Put a member into a set."""
        raise self._not_a(field, "set")

    def remove(self, pen: "Pen", field: str, spec: "FieldSettings", member: object) -> None:
        """Take a member out of a set."""
        raise self._not_a(field, "set")

    def increment(self, pen: "Pen", field: str, spec: "FieldSettings", amount: object) -> None:
        """Count."""
        raise self._not_a(field, "counter")

    def append(self, pen: "Pen", field: str, spec: "FieldSettings", value: object) -> None:
        """Add an entry to a log."""
        raise self._not_a(field, "log")

    def text(self, pen: "Pen", field: str) -> "TextField":
        """The text, to be edited in place."""
        raise self._not_a(field, "text")

    def _not_a(self, field: str, kind: str) -> InvalidValue:
        return InvalidValue(field, f"it is a {self.name}, not a {kind}", "Set it with editor[field] = value.")
