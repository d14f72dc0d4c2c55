"""What a schema says of one field. What follows from the kind of it is in `kinds`, which know these settings."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Type = Literal["string", "integer", "decimal", "boolean", "date", "datetime", "enum", "reference", "json"]


@dataclass(frozen=True, kw_only=True)
class FieldSettings:
    """One field: how concurrent edits of it merge (`kind`) and what it holds (`type`).

    `type` is that of one member for a set, one entry for a log, and the total for a counter. `aliases` are
    other names that table headers use. `ranks` decides concurrent stages; without it their order in `states` does.
    `section` names a group of fields that a policy gives together, and not with the others. `filter` lets a policy
    choose records by what the field shows.
    """

    kind: str = "value"
    type: Type = "string"
    label: str = ""
    required: bool = False
    deprecated: bool = False
    section: str | None = None
    filter: bool = False
    choices: tuple[str, ...] = ()
    collection: str | None = None
    states: tuple[str, ...] = ()
    transitions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    ranks: Mapping[str, int] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()

    @property
    def is_free_text(self) -> bool:
        """Whether each of its values may be any text, in whatever spelling."""
        return self.type == "string" and not self.states

    def rank(self, state: object) -> int:
        """The rank of a state of a stage; -1 for a state that this version does not know."""
        if not isinstance(state, str):
            return -1
        if self.ranks:
            return self.ranks.get(state, -1)
        return self.states.index(state) if state in self.states else -1
