"""Stage: one of a few states, which can only be left for those that the schema lists."""

from typing import TYPE_CHECKING

from crdt_sync.errors import InvalidTransition, InvalidValue
from crdt_sync.records.entries import Entry, by_time, last_said
from crdt_sync.records.kinds.review import Review
from crdt_sync.records.values import Carrier

if TYPE_CHECKING:
    from crdt_sync.records.entries import Age
    from crdt_sync.records.field_settings import FieldSettings


class Stage(Review):
    """Of states that were written at once the one with the highest rank is shown."""

    name = "stage"
    merging = "the state with the highest rank is shown; only the listed transitions are allowed"
    types = ("string",)
    successors = frozenset()
    emptiable = False
    in_key = False
    filters = True
    restricted = True

    def problem(self, spec: "FieldSettings") -> str:
        """States are needed, and all else speaks of them."""
        if spec.type != "string":
            return "a stage field has type 'string'"
        if not spec.states:
            return "kind 'stage' and 'states' belong together: give both or neither"
        for origin, targets in spec.transitions.items():
            for state in (origin, *targets):
                if state not in spec.states:
                    return f"'transitions' names the unknown state {state!r}; the states are {', '.join(spec.states)}"
        if spec.ranks and set(spec.ranks) != set(spec.states):
            return "'ranks' must give every state of 'states' a rank, and no other"
        return ""

    def normalise(self, field: str, spec: "FieldSettings", value: object) -> Carrier:
        """One of the states."""
        state = super().normalise(field, spec, value)
        if state not in spec.states:
            shown = repr(str(state)[:60])
            raise InvalidValue(field, f"{shown} is not a state", f"One of: {', '.join(spec.states)}.")
        return state

    def ordered(self, entries: list[Entry], spec: "FieldSettings", age: "Age | None") -> list[Entry]:
        """The highest rank first."""
        current = last_said(entries, age)
        return sorted(
            entries, key=lambda entry: (current(entry), spec.rank(entry[0]), *by_time(entry, age)), reverse=True
        )

    def ranks(self, spec: "FieldSettings") -> dict[str, int]:
        """Of each state."""
        return {state: spec.rank(state) for state in spec.states}

    def check_move(self, field: str, spec: "FieldSettings", present: object, target: object) -> None:
        """By the transitions; a state of a newer schema may become any: its rules are not known here."""
        if not spec.transitions or present == target or present not in spec.states:
            return
        allowed = spec.transitions.get(str(present), ())
        if target not in allowed:
            raise InvalidTransition(
                field,
                f"{present} cannot become {target}",
                f"From {present} it can become: {', '.join(allowed)}." if allowed else f"{present} is a final state.",
            )


KIND = Stage()
