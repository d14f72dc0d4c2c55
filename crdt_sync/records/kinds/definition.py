"""Definition: a schema that travels, see `crdt_sync.records.definition`. For the collection of schemas alone."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from crdt_sync.errors import InvalidValue
from crdt_sync.limits import SCHEMA_BYTES_MAX
from crdt_sync.records.entries import Entry
from crdt_sync.records.kind import FieldKind
from crdt_sync.records.kinds.value import Value
from crdt_sync.records.values import Carrier, text_carrier

if TYPE_CHECKING:
    from crdt_sync.records.entries import Age
    from crdt_sync.records.field_settings import FieldSettings
    from crdt_sync.records.pen import Pen


class DefinitionKind(Value):
    """Definitions that are the same are the same operations on every device; what cannot be read here is kept."""

    name = "definition"
    merging = "the newest version is used; a conflict is open where they do not fit each other"
    plain = False
    internal = True
    types = ("string",)
    successors = frozenset()
    emptiable = False
    in_key = False
    filters = False
    asks = True

    def merges_by(self, spec: "FieldSettings") -> object:
        """By its rule."""
        return FieldKind.merges_by(self, spec)

    def normalise(self, field: str, spec: "FieldSettings", value: object) -> Carrier:
        """The text of a definition."""
        text = text_carrier(field, value, SCHEMA_BYTES_MAX)
        if _definitions().read(text) is None:
            raise InvalidValue(field, "it is no definition of a collection", "Use 'crdt-sync schema add'.")
        return text

    def ordered(self, entries: list[Entry], spec: "FieldSettings", age: "Age | None") -> list[Entry]:
        """The newest version first."""
        order = _definitions().order
        return sorted(entries, key=lambda entry: order(entry[0]), reverse=True)

    def is_asked(self, carriers: Sequence[object]) -> bool:
        """Where those that can be read here do not fit each other."""
        definitions = _definitions()
        texts = sorted(carriers, key=definitions.order, reverse=True)
        found = [each for each in map(definitions.read, texts) if each is not None]
        return len(found) > 1 and definitions.disputed(found)

    def summary(self, carrier: object) -> str:
        """Its version and fields."""
        found = _definitions().read(carrier)
        if found is None:
            return "a definition that cannot be read here"
        fields = ", ".join(
            name if (spec.kind, spec.type) == ("value", "string") else f"{name} ({spec.kind} {spec.type})"
            for name, spec in found.schema.fields.items()
        )
        return f"version {found.schema.version}: {fields}"

    def write(self, pen: "Pen", field: str, spec: "FieldSettings", value: object) -> None:
        """In the place of those that are here and can be read."""
        text = self.normalise(field, spec, value)
        read = _definitions().read
        replaced = [entry[0] for entry in pen.entries(f"{self.layout}{field}") if read(entry[0]) is not None]
        if replaced != [text]:
            pen.write_shared(f"{self.layout}{field}", text, replaced)

    def resolve(self, pen: "Pen", field: str, spec: "FieldSettings", value: object) -> None:
        """Write the one that was decided for."""
        self.write(pen, field, spec, value)
        pen.resolved = True

    def add(self, pen: "Pen", field: str, spec: "FieldSettings", member: object) -> None:
        """Beside those that are here."""
        text = self.normalise(field, spec, member)
        if text not in [entry[0] for entry in pen.entries(f"{self.layout}{field}")]:
            pen.write_shared(f"{self.layout}{field}", text, ())


def _definitions() -> Any:
    """The module that reads schemas, which know the kinds: it is there once they are loaded."""
    from crdt_sync.records import definition  # noqa: PLC0415 - a schema knows its kinds

    return definition


KIND = DefinitionKind()
