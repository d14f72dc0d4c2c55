"""Rating: a number; of those that people wrote at once the highest wins, before what a table says."""

from decimal import Decimal
from typing import TYPE_CHECKING

from crdt_sync.errors import InvalidValue
from crdt_sync.records.entries import Entry, by_time
from crdt_sync.records.kind import FieldKind
from crdt_sync.records.kinds.value import Value
from crdt_sync.records.values import parse_decimal

if TYPE_CHECKING:
    from crdt_sync.records.entries import Age
    from crdt_sync.records.field_settings import FieldSettings

_NO_NUMBER = Decimal("-Infinity")


class Rating(Value):
    """Nobody is asked: whoever wrote the higher number had a reason, and whoever sees it may write a lower one."""

    name = "rating"
    merging = "the highest number that people wrote is shown; the others are kept until somebody writes again"
    plain = False
    types = ("integer", "decimal")
    default_type = "integer"
    successors = frozenset()
    in_key = False
    filters = False

    def merges_by(self, spec: "FieldSettings") -> object:
        """By its rule."""
        return FieldKind.merges_by(self, spec)

    def ordered(self, entries: list[Entry], spec: "FieldSettings", age: "Age | None") -> list[Entry]:
        """The highest number that a person wrote first, then what imports said, the newest first.

        What is no number, which only other programs write, comes after all others of people.
        """

        def place(entry: Entry) -> tuple[object, ...]:
            typed = entry[1] != 0
            return typed, _number(entry[0]) if typed else 0, *by_time(entry, age)

        return sorted(entries, key=place, reverse=True)


def _number(carrier: object) -> Decimal:
    try:
        return parse_decimal("", carrier)
    except InvalidValue:
        return _NO_NUMBER


KIND = Rating()
