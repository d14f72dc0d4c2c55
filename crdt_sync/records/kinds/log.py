"""Log: entries are united, in order of time."""

import json
from typing import TYPE_CHECKING, ClassVar

from crdt_sync.errors import InvalidValue
from crdt_sync.records.entries import is_entry, timeline, well_formed
from crdt_sync.records.kind import ABSENT, FieldKind, Held
from crdt_sync.records.memory.said_lines import disputed_lines
from crdt_sync.records.roots import Layout
from crdt_sync.records.values import canonical, restore_value

if TYPE_CHECKING:
    from crdt_sync.records.field_settings import FieldSettings
    from crdt_sync.records.pen import Pen


class Log(FieldKind):
    """A timeline: `{"value", "at", "by"}`, oldest first."""

    name = "log"
    merging = "entries are united, in order of time"
    layout = Layout.LOG
    plain = True
    requirable = False
    several = True
    adds_up = True
    long = True
    empty: ClassVar[object] = []

    def restore(self, spec: "FieldSettings", carrier: object) -> object:
        """A list of entries with their values."""
        if not isinstance(carrier, list):
            return carrier
        return [
            {**entry, "value": restore_value(spec, entry.get("value"))} if isinstance(entry, dict) else entry
            for entry in carrier
        ]

    def is_empty(self, carrier: object) -> bool:
        """Without entries."""
        return not carrier

    def shown(self, field: str, spec: "FieldSettings | None", held: Held) -> object:
        """The timeline."""
        raw = held.contents.get(f"{self.layout}{field}")
        entries = well_formed(raw) if isinstance(raw, list) else []
        return timeline(entries, held.memories.shown_actor) if entries else ABSENT

    def write(self, pen: "Pen", field: str, spec: "FieldSettings", value: object) -> None:
        """Refused."""
        raise InvalidValue(field, "a log only grows", "Use append.")

    def clear(self, pen: "Pen", field: str, spec: "FieldSettings") -> None:
        """Remove all entries that are here."""
        pen.clear_array(f"{self.layout}{field}")

    def append(self, pen: "Pen", field: str, spec: "FieldSettings", value: object) -> None:
        """Add an entry at the end."""
        pen.append_entry(f"{self.layout}{field}", self.normalise(field, spec, value), superseding=False)

    def decide(self, pen: "Pen", field: str, spec: "FieldSettings", value: object) -> None:
        """`value` has the lines to keep of those that only older imports have."""
        root = f"{self.layout}{field}"
        given = [] if value is None else value if isinstance(value, list) else [value]
        kept = {canonical(self.normalise(field, spec, line)) for line in given}
        lines = pen.entries(root)
        disputed = disputed_lines(field, lines, pen.sources())
        dropped = {canonical(line) for line in disputed if canonical(line[0]) not in kept}  # True == 1 in Python
        if kept - {canonical(line[0]) for line in lines}:
            raise InvalidValue(field, "one of these lines is not there", "Keep lines that 'crdt-sync conflicts' shows.")
        with pen.document.transaction() as transaction:
            array = pen.document.array(transaction, root)
            raw = json.loads(array.to_json(transaction)) if array.len(transaction) else []
            for index in reversed(range(len(raw))):
                if is_entry(raw[index]) and canonical(raw[index]) in dropped:
                    array.remove_range(transaction, index, 1)

    def replay(self, pen: "Pen", field: str, spec: "FieldSettings", carrier: object) -> None:
        """Joined to those that are there."""
        for entry in carrier if isinstance(carrier, list) else ():
            self.append(pen, field, spec, restore_value(spec, entry["value"]))


KIND = Log()
