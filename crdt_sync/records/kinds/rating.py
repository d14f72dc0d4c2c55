"""Rating: a number; of those that were written at once the highest wins."""

from decimal import Decimal
from typing import TYPE_CHECKING

from crdt_sync.errors import InvalidValue
from crdt_sync.records.entries import Entry, by_time, last_said
from crdt_sync.records.kind import FieldKind
from crdt_sync.records.kinds.value import Value
from crdt_sync.records.values import parse_decimal

if TYPE_CHECKING:
    from crdt_sync.records.entries import Age
    from crdt_sync.records.schema import FieldSpec

_NO_NUMBER = Decimal("-Infinity")


class Rating(Value):
    """Nobody is asked: whoever wrote the higher number had a reason, and whoever sees it may write a lower one."""

    name = "rating"
    merging = "the highest number is shown; the others are kept until somebody writes again"
    plain = False
    types = ("integer", "decimal")
    default_type = "integer"
    successors = frozenset()
    in_key = False

    def merges_by(self, spec: "FieldSpec") -> object:
        """By its rule."""
        return FieldKind.merges_by(self, spec)

    def ordered(self, entries: list[Entry], spec: "FieldSpec", age: "Age | None") -> list[Entry]:
        """The highest number first; what is no number, which only other programs write, comes last."""
        current = last_said(entries, age)
        return sorted(
            entries, key=lambda entry: (current(entry), _number(entry[0]), *by_time(entry, age)), reverse=True
        )


def _number(carrier: object) -> Decimal:
    try:
        return parse_decimal("", carrier)
    except InvalidValue:
        return _NO_NUMBER


KIND = Rating()
