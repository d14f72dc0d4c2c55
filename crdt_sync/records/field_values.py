"""The values of a field, by its kind: typed ones in, typed ones out."""

from typing import TYPE_CHECKING

from crdt_sync.records.values import Carrier

if TYPE_CHECKING:
    from crdt_sync.records.schema import FieldSpec


def normalise(field: str, spec: "FieldSpec", value: object) -> Carrier:
    """The carrier of one value, set member, log entry or counter amount of `field`.

    None clears a field that is not required. Raises `InvalidValue` that says what is expected; nothing else.
    """
    return spec.rules.normalise(field, spec, value)


def restore(spec: "FieldSpec", carrier: object) -> object:
    """The Python value of a whole field as `values_of` gives it; never raises.

    A set becomes a list of members and a log a list of `{"value", "at", "by"}`. What does not fit the schema
    (a newer version wrote it, or its type was changed) is returned as it is.
    """
    return spec.rules.restore(spec, carrier)


def parse_text(field: str, spec: "FieldSpec", text: str) -> object:
    """The value that `text` means in `field`, ready for the editor. Raises `InvalidValue`.

    An empty text is None. The members of a set are separated by semicolons. What the text says beyond its
    form (choices, states, lengths) is checked by `normalise`.
    """
    return spec.rules.parse(field, spec, text)
