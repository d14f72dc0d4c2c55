"""Natural keys: the fields by which people know a customer, and the record ids that follow from them.

A record's id is derived from the key that it was made under, so that two devices that enter one customer offline make
one record. The key can change later, and the id cannot. So a key has *lives*, numbered from 0, each with an id of its
own: when the record of one life shows another key now, or is deleted, whoever enters the key anew begins the next life.
Devices that have seen the same derive the same id.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from crdt_sync import ids
from crdt_sync.errors import InvalidValue
from crdt_sync.records.comparing import filled, folded
from crdt_sync.records.values import canonical

if TYPE_CHECKING:
    from crdt_sync.records.schema import Schema

_WORDS = re.compile(r"\w+")

Key = tuple[str, ...]  # one folded text for each field of the natural key


def key_of(schema: "Schema", values: Mapping[str, object]) -> Key | None:
    """The key that the carriers of a record show; None where part of it is missing or blank."""
    parts = tuple(_part(schema, field, values.get(field)) for field in schema.natural_key)
    return parts if all(parts) else None


def required_key(schema: "Schema", values: Mapping[str, object]) -> Key:
    """The same. Raises `InvalidValue` where part of it is missing."""
    for field in schema.natural_key:
        if not _part(schema, field, values.get(field)):
            raise InvalidValue(field, "is part of the natural key and must be set", "Give it a value.")
    return tuple(_part(schema, field, values.get(field)) for field in schema.natural_key)


def record_of(collection: str, key: Key, life: int) -> str:
    """The id of a life of a key."""
    # No part of a key is blank, so a blank one tells the number of a life from one more part.
    return ids.natural_record(collection, (*key, "", str(life)) if life else key)


def record_as_typed(schema: "Schema", values: Mapping[str, object]) -> str:
    """The id that earlier releases derived: from the key as it was typed, without case and outer blanks alone."""
    return ids.natural_record(schema.collection, [str(values.get(field)) for field in schema.natural_key])


def tells_apart(schema: "Schema", field: str) -> bool:
    """Whether a field says who a record is besides its natural key: a name, or what every record must have."""
    spec = schema.fields.get(field)
    if spec is None or not schema.natural_key or spec.rules.asks or not (spec.rules.in_key and spec.is_free_text):
        return False
    return field not in schema.natural_key and (spec.required or "name" in field)


def may_be_one(carriers: Iterable[object]) -> bool:
    """Whether what such a field holds can be of one customer: of any two, one says a part of the other, or nothing."""
    names = sorted((set(_WORDS.findall(folded(str(each)))) for each in carriers if filled(each)), key=len)
    return all(one <= other for one, other in pairwise(names))


def is_asked(schema: "Schema | None", field: str, carriers: Sequence[object]) -> bool:
    """Whether concurrent values of a field wait for a decision."""
    spec = None if schema is None else schema.fields.get(field)
    if schema is None or spec is None:
        return False
    if spec.rules.is_asked(carriers) or field in schema.natural_key:
        return True
    return tells_apart(schema, field) and not may_be_one(carriers)


def _part(schema: "Schema", field: str, carrier: object) -> str:
    if not filled(carrier):
        return ""
    if not isinstance(carrier, str):
        return canonical(carrier) if isinstance(carrier, (dict, list)) else str(carrier)
    return folded(carrier) if schema.fields[field].type == "string" else carrier.strip()
