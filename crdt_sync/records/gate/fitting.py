"""Whether values are those of a field: what a device checks as somebody types, asked of what others send."""

from collections.abc import Collection, Sequence

from crdt_sync.errors import InvalidValue
from crdt_sync.records.comparing import filled, identity
from crdt_sync.records.member_keys import member_of
from crdt_sync.records.roots import Layout
from crdt_sync.records.schema import FieldSpec
from crdt_sync.records.values import canonical, counted, restore_value


def fits(field: str, spec: FieldSpec, values: Sequence[object], keys: Sequence[str]) -> bool:
    """Whether all of these carriers may be in the field; `keys` are those of the members of a set or of counts."""
    layout = spec.rules.layout
    if layout == Layout.COUNTS:
        return all(_counts(value) for value in values)
    if layout == Layout.MEMBERS and not all(
        member_of(key) == canonical(value) for key, value in zip(keys, values, strict=True)
    ):
        return False
    return all(fits_alone(field, spec, value) for value in values)


def reachable(spec: FieldSpec, present: object, steps: int) -> Collection[object]:
    """The states that a stage may come to in so many moves; it may stay, too."""
    reached: set[object] = {present}
    for _ in range(min(steps, len(spec.states))):
        reached |= {target for state in reached for target in spec.transitions.get(str(state), ())}
    return reached


def _counts(value: object) -> bool:
    return not isinstance(value, bool) and counted(value) is not None


def fits_alone(field: str, spec: FieldSpec, value: object) -> bool:
    """Whether a carrier is what the field makes of the value that it carries."""
    if spec.required and not filled(value):
        return False
    if value is None:
        return spec.rules.emptiable
    try:
        carrier = spec.rules.normalise(field, spec, restore_value(spec, value))
    except (InvalidValue, ValueError, RecursionError):
        return False
    return (type(carrier) is type(value) and carrier == value) or identity(carrier, spec) == identity(value, spec)
