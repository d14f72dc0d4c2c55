"""What records show in the fields that choose them, and a name for how it is read."""

from collections.abc import Mapping
from hashlib import blake2b

from crdt_sync.limits import FILTER_VALUE_LENGTH_MAX
from crdt_sync.policy.values import Values
from crdt_sync.records.document import Document
from crdt_sync.records.reading import value_of
from crdt_sync.records.schema import Schema
from crdt_sync.strict_cbor import dumps

FIELDS_BYTES = 16

Schemas = Mapping[str, Schema]
"""By collection."""


def fields_of(schemas: Schemas) -> bytes:
    """A name for the filter fields of all collections, and for how they are read."""
    rows = [
        (name, field, spec.kind, spec.type, tuple(spec.states), tuple(spec.choices))
        for name, schema in sorted(schemas.items())
        for field, spec in sorted(schema.fields.items())
        if spec.filter
    ]
    return blake2b(dumps(tuple(rows)), digest_size=FIELDS_BYTES, person=b"filter fields").digest()


def values_shown(document: Document, schema: Schema | None) -> Values:
    """What the filter fields of a record show; of a long value as much as it takes to equal nothing."""
    if schema is None:
        return {}
    return {field: _short(value_of(document, field, schema)) for field, spec in schema.fields.items() if spec.filter}


def _short(value: object) -> object:
    return value[: FILTER_VALUE_LENGTH_MAX + 1] if isinstance(value, str) else value
