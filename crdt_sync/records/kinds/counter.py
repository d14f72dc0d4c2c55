"""Counter: increments add up."""

from decimal import Decimal
from typing import TYPE_CHECKING

from crdt_sync.records.kind import ABSENT, FieldKind, Held
from crdt_sync.records.roots import Layout
from crdt_sync.records.values import exact_sum, parse_decimal, total

if TYPE_CHECKING:
    from crdt_sync.records.field_settings import FieldSettings
    from crdt_sync.records.pen import Pen


class Counter(FieldKind):
    """Each writer keeps a total of its own, and what is shown is their sum."""

    name = "counter"
    merging = "increments add up"
    layout = Layout.COUNTS
    plain = True
    types = ("integer", "decimal")
    default_type = "integer"
    requirable = False
    adds_up = True
    empty = 0

    def is_empty(self, carrier: object) -> bool:
        """Zero is."""
        return carrier in (None, "", 0, "0")

    def shown(self, field: str, spec: "FieldSettings | None", held: Held) -> object:
        """The sum of what was counted here and by imports."""
        raw = held.contents.get(f"{self.layout}{field}")
        counted = held.counted.get(field, [])
        parts = [*raw.values(), *counted] if isinstance(raw, dict) else list(counted)
        return total(parts) if parts else ABSENT

    def write(self, pen: "Pen", field: str, spec: "FieldSettings", value: object) -> None:
        """Count up or down to the value."""
        target = parse_decimal(field, self.normalise(field, spec, 0 if value is None else value))
        present = parse_decimal(field, pen.value(field) or 0)
        if target != present:
            self.count(pen, field, spec, exact_sum((target, -present)))

    def increment(self, pen: "Pen", field: str, spec: "FieldSettings", amount: object) -> None:
        """Add the amount to what this writer has counted."""
        self.count(pen, field, spec, parse_decimal(field, self.normalise(field, spec, amount)))

    def count(self, pen: "Pen", field: str, spec: "FieldSettings", amount: Decimal) -> None:
        """The same of a number."""
        key, root = str(pen.document.writer), f"{self.layout}{field}"
        own = exact_sum((parse_decimal(field, pen.map(root).get(key, 0)), amount))
        carrier = self.normalise(field, spec, own if spec.type == "decimal" else int(own))
        with pen.document.transaction() as transaction:
            pen.document.map(transaction, root).insert(transaction, key, carrier)
        pen.changed = True

    def replay(self, pen: "Pen", field: str, spec: "FieldSettings", carrier: object) -> None:
        """Counted on."""
        if carrier not in (0, "0"):
            self.increment(pen, field, spec, self.restore(spec, carrier))


KIND = Counter()
