"""Which changes of a schema keep the meaning of the records that are there.

Each kind is laid out in roots of its own (see `roots`), and each type has its own carriers. A field that changed them
would show one thing on a device that has the new schema and another on one that has the old: both are right, both hold
the same bytes, and no sync would ever bring them together. So a field keeps its kind and type, also after it was taken
out of the schema, but for these changes, which every older device reads as before:

- `value` to `review` and back: the same entries, with or without a question;
- `enum` or `reference` to `string`: the same texts, unchecked;
- `integer` to `decimal`, not in a set: every whole number is a decimal.
"""

from collections.abc import Mapping

from crdt_sync.errors import IncompatibleSchema
from crdt_sync.records.schema import FieldSpec, Schema

Form = tuple[str, str]  # kind and type of a field

_KINDS = frozenset({("value", "review"), ("review", "value")})
_TYPES = frozenset({("enum", "string"), ("reference", "string"), ("integer", "decimal")})


def forms(schema: Schema) -> dict[str, Form]:
    """Kind and type of each field."""
    return {name: (spec.kind, spec.type) for name, spec in schema.fields.items()}


def check_successor(known: Mapping[str, Form], schema: Schema) -> None:
    """Raise `IncompatibleSchema` where a field that is `known`, from whatever version, would change its meaning."""
    for name, spec in schema.fields.items():
        kind, kind_of_value = known.get(name, (spec.kind, spec.type))
        if kind != spec.kind and (kind, spec.kind) not in _KINDS:
            raise _refused(schema, name, f"a {kind}", f"a {spec.kind}")
        if kind_of_value != spec.type and not _widened(kind_of_value, spec):
            raise _refused(schema, name, f"of type {kind_of_value}", f"of type {spec.type}")


def _widened(before: str, spec: FieldSpec) -> bool:
    return (before, spec.type) in _TYPES and not (spec.kind == "set" and spec.type == "decimal")


def _refused(schema: Schema, name: str, before: str, after: str) -> IncompatibleSchema:
    return IncompatibleSchema(
        f"field {name!r} of {schema.collection!r} is {before} and cannot become {after}: devices with the old schema "
        "and with the new one would show different values for ever",
        f"Give what is new a field name of its own, say '{name}_2'; keep {name!r} as it is, with 'deprecated = true'.",
    )
