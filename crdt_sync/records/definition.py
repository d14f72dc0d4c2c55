"""Definitions: schemas as they travel, in records of a reserved collection.

The record `crdt-sync-schemas/people` defines the collection `people`. Its field `definition` holds JSON text: the
schema, and kind, type and ranks of the fields that older versions had and this one has not, so that no device gives
such a field another meaning later. A new version takes the place of those that its author saw; versions that did not
know of each other stand side by side, and `in_use` says which one counts, from what the record holds alone.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any, get_args

from crdt_sync import ids
from crdt_sync.errors import IncompatibleSchema, InvalidSchema
from crdt_sync.limits import FIELDS_FORMER_MAX, SCHEMA_BYTES_MAX, SCHEMAS_SETTLED_MAX
from crdt_sync.records import settings_input
from crdt_sync.records.entries import is_entry
from crdt_sync.records.evolution import (
    Form,
    check_admits,
    check_ranks,
    check_same,
    check_sections,
    check_successor,
    forms,
    ranks,
)
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
            check_sections(self.forms, self.schema, schema)
            check_ranks(self.ranks, schema)
            check_same(self.schema, schema)
            check_admits(self.schema, schema)
        except IncompatibleSchema:
            return False
        return True


_pairs = settings_input.pair(settings_input.text, settings_input.text)
_WRITTEN: dict[str, settings_input.Check[Any]] = {  # fields are a list: their order is that in which people see them
    "collection": settings_input.text,
    "version": settings_input.whole,
    "label": settings_input.text,
    "natural_key": settings_input.several(settings_input.text),
    "signed": settings_input.truth,
    "fields": settings_input.several(settings_input.pair(settings_input.text, FieldSpec.of)),
    "former": settings_input.named(_pairs, FIELDS_FORMER_MAX),
    "former_ranks": settings_input.named(settings_input.named(settings_input.whole), FIELDS_FORMER_MAX),
    "settled": settings_input.several(settings_input.text, SCHEMAS_SETTLED_MAX),
}
_REQUIRED = frozenset({"collection", "version", "fields"})
_SCHEMA = ("collection", "version", "label", "natural_key", "signed")

READABLE = repr(
    [sorted(KINDS), *(sorted(each.name for each in fields(of)) for of in (FieldSpec, Schema)), get_args(Type)]
)
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
    former = {name: list(form) for name, form in known.items() if name not in schema.fields}
    former_ranks = {name: dict(found) for name, found in known_ranks.items() if name not in schema.fields}
    decided = list(dict.fromkeys(settled))[-SCHEMAS_SETTLED_MAX:]
    optional = {"former": former, "former_ranks": former_ranks, "settled": decided}
    return _compact({**_data(schema), **{name: value for name, value in optional.items() if value}})


def _data(schema: Schema) -> dict[str, Any]:
    """A schema as it is written: without what needs no word, but for kind and type."""
    data: dict[str, Any] = {"collection": schema.collection, "version": schema.version}
    if schema.label:
        data["label"] = schema.label
    if schema.natural_key:
        data["natural_key"] = list(schema.natural_key)
    if schema.signed:
        data["signed"] = True
    data["fields"] = [
        [name, {**{each: _plain(value) for each, value in spec.told().items()}, "kind": spec.kind, "type": spec.type}]
        for name, spec in schema.fields.items()
    ]
    return data


def _plain(value: object) -> object:
    """A value as JSON has it."""
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    return list(value) if isinstance(value, tuple) else value


_compact = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode  # in the order of the file


def read(carrier: object) -> Definition | None:
    """The definition that a carrier holds; None for what is none here: too long, of a newer release, or no schema."""
    return _read(carrier) if isinstance(carrier, str) and len(carrier) <= SCHEMA_BYTES_MAX else None


@lru_cache(maxsize=64)
def _read(text: str) -> Definition | None:
    try:
        data = json.loads(text)
        _compact(data).encode()  # half a character, written as an escape, could be kept nowhere
        found = settings_input.settings(data, _WRITTEN, _REQUIRED)
        given = dict(found["fields"])
        if len(given) != len(found["fields"]):
            return None
        schema = Schema(**{name: value for name, value in found.items() if name in _SCHEMA}, fields=given)
    except (ValueError, RecursionError, InvalidSchema):
        return None
    return Definition(schema, found.get("former", {}), found.get("former_ranks", {}), found.get("settled", ()))


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
