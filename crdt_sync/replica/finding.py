"""Whether a field of a record holds what somebody looks for."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from crdt_sync.errors import InvalidValue
from crdt_sync.records.comparing import contains as text_contains
from crdt_sync.records.comparing import equal_when_folded, identity
from crdt_sync.records.field_values import normalise

if TYPE_CHECKING:
    from crdt_sync.records.schema import FieldSpec
    from crdt_sync.replica.views import RecordView


def contains(value: object, sought: str) -> bool:
    """Whether a carrier, or one in it, contains the folded text `sought`; names of fields do not count."""
    if isinstance(value, Mapping):
        return any(contains(member, sought) for member in value.values())
    if isinstance(value, list):
        return any(contains(member, sought) for member in value)
    return value is not None and text_contains(str(value), sought)


def holds_text(view: "RecordView", sought: str) -> bool:
    """Whether a record shows the folded text `sought` anywhere, also in what a mask shows."""
    return contains(view.raw, sought) or any(contains(part.text, sought) for part in view.masked.values())


def holds(field: str, spec: "FieldSpec | None", raw: Any, wanted: object) -> bool:
    """Whether a field whose carrier is `raw` (None: nothing is there) has the value `wanted`, typed or as a carrier.

    A set has each of its members, and each of several that are asked for in a list, tuple or set; a log has the value
    of each entry. Texts are compared folded, see `crdt_sync.records.comparing`.
    """
    if spec is not None and spec.rules.several:
        entries = raw if isinstance(raw, list) else []
        present = [entry.get("value") if isinstance(entry, Mapping) else entry for entry in entries]
        sought = list(wanted) if isinstance(wanted, (list, tuple, set, frozenset)) else [wanted]
        if wanted is None or not sought:
            return not present
        return all(_among(present, _carrier(field, spec, member)) for member in sought)
    if spec is None:
        return equal_when_folded(raw, wanted)
    carrier = _carrier(field, spec, wanted)
    return equal_when_folded(raw, carrier) or identity(raw, spec) == identity(carrier, spec)


def _among(present: Iterable[object], carrier: object) -> bool:
    return any(equal_when_folded(member, carrier) for member in present)


def _carrier(field: str, spec: "FieldSpec", value: object) -> object:
    try:
        return None if value is None else normalise(field, spec, value)
    except InvalidValue:
        return value  # what the field cannot hold equals nothing, unless it is a carrier itself
