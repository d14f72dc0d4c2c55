"""Definitions: schemas as they travel, in records of a reserved collection.

The record `crdt-sync-schemas/people` defines the collection `people`. Its field `definition` holds JSON text: the
schema, and kind, type and ranks of the fields that older versions had and this one has not, so that no device gives
such a field another meaning later. A new version takes the place of those that its author saw; versions that did not
know of each other stand side by side, and `in_use` says which one counts, from what the record holds alone.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from crdt_sync import ids
from crdt_sync.errors import IncompatibleSchema
from crdt_sync.limits import FIELDS_FORMER_MAX, SCHEMA_BYTES_MAX, SCHEMAS_SETTLED_MAX
from crdt_sync.records.entries import is_entry
from crdt_sync.records.evolution import Form, check_admits, check_ranks, check_same, check_successor, forms, ranks
from crdt_sync.records.field_settings import Type
from crdt_sync.records.kinds import KINDS
from crdt_sync.records.schema import FieldSpec, Schema
from crdt_sync.records.values import canonical

FIELD = "definition"
DEFINITIONS = Schema(
    collection=ids.SCHEMAS, version=1, fields={FIELD: FieldSpec(kind="definition", label="Definition")}
)
"""The schema of the reserved collection, which every device has."""


@dataclass(frozen=True)
class Definition:
    """A schema, and what fields were in versions before it that it has no more: kind and type, and ranks of stages."""

    schema: Schema
    former: Mapping[str, Form]
    former_ranks: Mapping[str, Mapping[str, int]]
    settled: Sequence[str] = ()
    """The marks of schemas that were decided against."""

    @property
    def forms(self) -> dict[str, Form]:
        """Kind and type of every field that the collection ever had."""
        return {**self.former, **forms(self.schema)}

    @property
    def ranks(self) -> dict[str, Mapping[str, int]]:
        """The same of the ranks of stages."""
        return {**self.former_ranks, **ranks(self.schema)}

    def fits(self, schema: Schema) -> bool:
        """Whether `schema` shows what was written under this one as before, and takes what this one takes."""
        try:
            check_successor(self.forms, schema)
            check_ranks(self.ranks, schema)
            check_same(self.schema, schema)
            check_admits(self.schema, schema)
        except IncompatibleSchema:
            return False
        return True


class _Written(BaseModel):
    """The JSON of a definition. Fields are a list, as their order is that in which people see them."""

    model_config = ConfigDict(extra="forbid")

    collection: str
    version: int
    label: str = ""
    natural_key: tuple[str, ...] = ()
    fields: list[tuple[str, FieldSpec]]
    former: dict[str, tuple[str, str]] = Field(default={}, max_length=FIELDS_FORMER_MAX)
    former_ranks: dict[str, dict[str, int]] = Field(default={}, max_length=FIELDS_FORMER_MAX)
    settled: list[str] = Field(default=[], max_length=SCHEMAS_SETTLED_MAX)


READABLE = repr([sorted(KINDS), *map(sorted, (FieldSpec.model_fields, Schema.model_fields)), get_args(Type)])
"""What a definition may say to be read here: a later release reads more."""


def mark(schema: Schema) -> str:
    """What a schema is known by among those that were decided against."""
    return hashlib.blake2b(canonical(_data(schema)).encode(), digest_size=8).hexdigest()


def written(
    schema: Schema,
    known: Mapping[str, Form],
    known_ranks: Mapping[str, Mapping[str, int]],
    settled: Iterable[str] = (),
) -> str:
    """The text of a definition; `known` are the forms of all versions before."""
    data = schema.model_dump(mode="json", exclude_defaults=True)
    data["fields"] = [
        [name, spec.model_dump(mode="json", exclude_defaults=True)] for name, spec in schema.fields.items()
    ]
    for (_, given), spec in zip(data["fields"], schema.fields.values(), strict=True):
        given.update(kind=spec.kind, type=spec.type)
    former = {name: list(form) for name, form in known.items() if name not in schema.fields}
    former_ranks = {name: dict(found) for name, found in known_ranks.items() if name not in schema.fields}
    decided = list(dict.fromkeys(settled))[-SCHEMAS_SETTLED_MAX:]
    optional = {"former": former, "former_ranks": former_ranks, "settled": decided}
    return _compact({**_data(schema), **{name: value for name, value in optional.items() if value}})


def _data(schema: Schema) -> dict[str, Any]:
    data = schema.model_dump(mode="json", exclude_defaults=True)
    data["fields"] = [
        [name, {**spec.model_dump(mode="json", exclude_defaults=True), "kind": spec.kind, "type": spec.type}]
        for name, spec in schema.fields.items()
    ]
    return data


_compact = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode  # in the order of the file


def read(carrier: object) -> Definition | None:
    """The definition that a carrier holds; None for what is none here: too long, of a newer release, or no schema."""
    return _read(carrier) if isinstance(carrier, str) and len(carrier) <= SCHEMA_BYTES_MAX else None


@lru_cache(maxsize=64)
def _read(text: str) -> Definition | None:
    try:
        data = json.loads(text)
        _compact(data).encode()  # half a character, written as an escape, could be kept nowhere
        found = _Written.model_validate(data)
        fields = dict(found.fields)
        if len(fields) != len(found.fields):
            return None
        schema = Schema(
            collection=found.collection,
            version=found.version,
            label=found.label,
            natural_key=found.natural_key,
            fields=fields,
        )
    except (ValueError, RecursionError, ValidationError):
        return None
    return Definition(schema, found.former, found.former_ranks, found.settled)


def kept(root: str, values: Sequence[object]) -> Set[int]:
    """Which values in the record of a definition stay where there is no room for everything, by their places.

    All that can be read here; and of the rest, which a newer release may read, the smallest, as much as one definition
    may take: what fills a record is large.
    """
    if root != f"c.{FIELD}":
        return frozenset()
    texts = {place: each[0] for place, each in enumerate(values) if is_entry(each) and isinstance(each[0], str)}
    staying = {place for place, text in texts.items() if read(text) is not None}
    room = SCHEMA_BYTES_MAX
    for place in sorted(texts.keys() - staying, key=lambda place: (len(texts[place]), texts[place])):
        room -= len(texts[place].encode("utf-8", "surrogatepass"))
        if room < 0:
            break
        staying.add(place)
    return staying


def order(carrier: object) -> tuple[Any, ...]:
    """The order of definitions that did not know of each other, the one that counts last: by version, then by text."""
    found = read(carrier)
    return (False, 0, "") if found is None else (True, found.schema.version, str(carrier))


def in_use(carriers: Iterable[object], collection: str) -> tuple[Definition, ...]:
    """The definitions of a collection among what its record holds, each once; the one that counts is the first."""
    texts = sorted({each for each in carriers if isinstance(each, str)}, key=order, reverse=True)
    found = [definition for each in texts if (definition := read(each)) is not None]
    return tuple(definition for definition in found if definition.schema.collection == collection)


def disputed(definitions: Iterable[Definition]) -> bool:
    """Whether the first, which counts, reads records otherwise than some of them, or refuses what those take."""
    first, *others = definitions
    return not all(other.fits(first.schema) for other in others)
