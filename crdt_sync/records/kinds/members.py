"""Set: members are united; a removal removes what it has seen."""

from collections.abc import Iterable, Mapping, Set
from typing import TYPE_CHECKING, ClassVar

from crdt_sync.errors import InvalidValue
from crdt_sync.records.comparing import identity
from crdt_sync.records.kind import ABSENT, FieldKind, Held
from crdt_sync.records.member_keys import member_key, member_of, source_of
from crdt_sync.records.memory.sources import actor_of, mark
from crdt_sync.records.roots import Layout
from crdt_sync.records.text_input import SET_SEPARATOR, parse_one
from crdt_sync.records.values import Carrier, canonical, restore_value

if TYPE_CHECKING:
    from crdt_sync.records.field_settings import FieldSettings
    from crdt_sync.records.pen import Pen


class Members(FieldKind):
    """A map with a key for each member and writer."""

    name = "set"
    merging = "members are united; a removal removes what it has seen"
    layout = Layout.MEMBERS
    plain = True
    requirable = False
    several = True
    empty: ClassVar[object] = []

    def restore(self, spec: "FieldSettings", carrier: object) -> object:
        """A list of members."""
        return [restore_value(spec, member) for member in carrier] if isinstance(carrier, list) else carrier

    def parse(self, field: str, spec: "FieldSettings", text: str) -> object:
        """Members are separated by semicolons."""
        return [parse_one(field, spec, part.strip()) for part in text.split(SET_SEPARATOR) if part.strip()]

    def is_empty(self, carrier: object) -> bool:
        """Without members."""
        return not carrier

    def shown(self, field: str, spec: "FieldSettings | None", held: Held) -> object:
        """The members in canonical order; of those that say the same, see `comparing`, the first."""
        raw = held.contents.get(f"{self.layout}{field}")
        if not isinstance(raw, dict) or not raw:
            return ABSENT
        named = {
            actor_of(source.name): {(each.__class__, each) for each in said}
            for source in held.memories.saying(field)
            if isinstance(said := source.said[field], list)
        }
        members = list({member_of(key): raw[key] for key in sorted(raw) if _is_said(key, raw[key], named)}.values())
        if not members:
            return ABSENT
        if spec is None or len(members) < 2:
            return members
        return list({identity(member, spec): member for member in reversed(members)}.values())[::-1]

    def write(self, pen: "Pen", field: str, spec: "FieldSettings", value: object) -> None:
        """Make the members these."""
        if value is not None and (isinstance(value, (str, bytes, Mapping)) or not isinstance(value, Iterable)):
            raise InvalidValue(field, "expected the members of the set as a list", "Use add for a single member.")
        wanted: dict[str, Carrier] = {}
        for member in value if isinstance(value, Iterable) else ():
            carrier = self.normalise(field, spec, member)
            wanted[identity(carrier, spec)] = carrier
        value_shown = pen.value(field)
        shown = value_shown if isinstance(value_shown, list) else []
        present = {identity(member, spec) for member in pen.map(f"{self.layout}{field}").values()}
        for member in sorted(wanted.keys() - {identity(member, spec) for member in shown}):
            self._put(pen, field, spec, wanted[member])
        self._drop(pen, field, spec, present - wanted.keys())

    def add(self, pen: "Pen", field: str, spec: "FieldSettings", member: object) -> None:
        """Always writes, so that it survives a concurrent removal."""
        self._put(pen, field, spec, self.normalise(field, spec, member))

    def remove(self, pen: "Pen", field: str, spec: "FieldSettings", member: object) -> None:
        """Under all its keys."""
        self._drop(pen, field, spec, {identity(self.normalise(field, spec, member), spec)})

    def replay(self, pen: "Pen", field: str, spec: "FieldSettings", carrier: object) -> None:
        """Joined to those that are there."""
        for member in carrier if isinstance(carrier, list) else ():
            self.add(pen, field, spec, restore_value(spec, member))

    def _put(self, pen: "Pen", field: str, spec: "FieldSettings", carrier: Carrier) -> None:
        document, root = pen.document, f"{self.layout}{field}"
        assert document.writer is not None
        said = identity(carrier, spec)
        present = pen.map(root)
        for key in sorted(present):
            member = present[key]
            # Of keys that an editor wrote: others may hold anything.
            if isinstance(member, str) and member_of(key) == canonical(member) and identity(member, spec) == said:
                carrier = member
                break
        key = member_key(canonical(carrier), document.writer)
        with document.transaction() as transaction:
            document.map(transaction, root).insert(transaction, key, carrier)
        pen.changed = True

    def _drop(self, pen: "Pen", field: str, spec: "FieldSettings", dropped: Set[str]) -> None:
        document, root = pen.document, f"{self.layout}{field}"
        present = pen.map(root)
        with document.transaction() as transaction:
            members = document.map(transaction, root)
            for key in sorted(present):
                if identity(present[key], spec) in dropped:
                    members.remove(transaction, key)
                    pen.changed = True


def _is_said(key: str, member: object, named: dict[str, set[tuple[type, object]]]) -> bool:
    """Whether a member is a person's, or its source says it still. `named` is what each source says, by its actor."""
    source = source_of(key)
    if source is None or source not in named:
        return True
    said = mark(member)
    return not isinstance(said, (list, dict)) and (said.__class__, said) in named[source]


KIND = Members()
