"""Value: the latest is shown; the others are kept until somebody writes again."""

from functools import partial
from typing import TYPE_CHECKING

from crdt_sync.errors import InvalidValue, NoConflict, OpenConflict
from crdt_sync.records.comparing import filled, identity
from crdt_sync.records.entries import Entry, latest_first, well_formed
from crdt_sync.records.kind import ABSENT, FieldKind, Held
from crdt_sync.records.replaced import standing
from crdt_sync.records.roots import Layout
from crdt_sync.records.values import canonical

if TYPE_CHECKING:
    from crdt_sync.records.field_settings import FieldSettings
    from crdt_sync.records.pen import Pen


class Value(FieldKind):
    """Concurrent writes stand beside each other as entries, of which one is shown."""

    name = "value"
    merging = "the latest is shown; the others are kept until somebody writes again"
    layout = Layout.ENTRIES
    plain = True
    successors = frozenset({"review"})
    emptiable = True
    in_key = True
    filters = True

    def shown(self, field: str, spec: "FieldSettings | None", held: Held) -> object:
        """The first of the entries."""
        raw = held.contents.get(f"{self.layout}{field}")
        entries = well_formed(raw) if isinstance(raw, list) else []
        if len(entries) < 2:
            return entries[0][0] if entries else ABSENT
        age = partial(held.memories.age, field=field)
        entries = standing(entries, age)
        return (latest_first(entries, age) if spec is None else self.ordered(entries, spec, age))[0][0]

    def merges_by(self, spec: "FieldSettings") -> object:
        """By nothing that a schema says."""
        return None

    def write(self, pen: "Pen", field: str, spec: "FieldSettings", value: object) -> None:
        """Put the value in the place of all that are here."""
        self.put(pen, field, spec, value)

    def affirm(self, pen: "Pen", field: str, spec: "FieldSettings", value: object) -> None:
        """Write it again, so that a change of it made elsewhere conflicts."""
        self.put(pen, field, spec, value, again=True)

    def resolve(self, pen: "Pen", field: str, spec: "FieldSettings", value: object) -> None:
        """The value supersedes every value that is here. Raises `NoConflict`."""
        if not _differing(pen, field, spec):
            shown = self.restore(spec, pen.value(field))
            raise NoConflict(field, f"nothing to decide: it holds one value, {shown!r}", "Write another one as usual.")
        pen.resolved = True
        self.put(pen, field, spec, value, resolving=True)

    def put(
        self,
        pen: "Pen",
        field: str,
        spec: "FieldSettings",
        value: object,
        *,
        resolving: bool = False,
        again: bool = False,
    ) -> None:
        """Write the value; `resolving` decides for it, `again` writes it where it is shown already, too."""
        carrier = self.normalise(field, spec, value)
        if spec.required and not filled(carrier):
            raise emptied(field)
        if not resolving:
            self._check_decided(pen, field, spec)
        root = f"{self.layout}{field}"
        raw, age = pen.entries(root), pen.age(field)
        entries = self.ordered(standing(raw, age), spec, age)  # a stage goes on from the one that is shown
        values = [entry[0] for entry in entries]
        if len(values) == 1 and canonical(values[0]) == canonical(carrier) and not again:
            return
        if values and not (resolving and carrier in values):
            self.check_move(field, spec, values[0], carrier)
        pen.observe(raw)
        pen.append_entry(root, carrier, superseding=True)

    def _check_decided(self, pen: "Pen", field: str, spec: "FieldSettings") -> None:
        """Raise `OpenConflict` where a plain write would close a conflict that is to be decided."""
        if not pen.is_asked(field, [entry[0] for entry in _standing(pen, field)]):
            return
        count = _differing(pen, field, spec)
        if count:
            raise OpenConflict(
                field,
                f"{count} values of it wait for a decision",
                f"See 'crdt-sync conflicts', then decide: crdt-sync resolve RECORD {field} VALUE",
            )


def emptied(field: str) -> InvalidValue:
    """The error for a required field that would be left empty."""
    return InvalidValue(field, "is required and cannot be emptied", "Write another value instead.")


def _differing(pen: "Pen", field: str, spec: "FieldSettings") -> int:
    """How many different values stand beside each other; 0 for one or none."""
    count = len({identity(entry[0], spec) for entry in _standing(pen, field)})
    return count if count > 1 else 0


def _standing(pen: "Pen", field: str) -> list[Entry]:
    return standing(pen.entries(f"{Layout.ENTRIES}{field}"), pen.age(field))


KIND = Value()
