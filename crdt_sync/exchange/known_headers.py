"""What the headers and words of other programs mean in our collections: `headers.toml`, read once."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from crdt_sync.records.roots import Layout
from crdt_sync.records.schema import Schema


@dataclass(frozen=True, slots=True)
class Parts:
    """A field whose value stands in several columns: the headers of each part, in the order of joining."""

    field: str
    separator: str
    headers: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class KnownHeaders:
    """What `headers.toml` says of one collection.

    `aliases`: field to headers. `otherwise`: field to the fields that stand in for it. `further`: field to the set that
    takes its second and later values. `values`: field to word, in lower case, to value.
    """

    aliases: Mapping[str, tuple[str, ...]]
    parts: tuple[Parts, ...]
    otherwise: Mapping[str, tuple[str, ...]]
    further: Mapping[str, str]
    values: Mapping[str, Mapping[str, str]]


def known_headers(schema: Schema) -> KnownHeaders:
    """What is known of the collection of `schema`, as far as it has those fields."""
    section = _sections().get(schema.collection, {})
    fields = schema.fields
    further = section.get("further", {})
    return KnownHeaders(
        {name: tuple(found) for name, found in section.get("aliases", {}).items() if name in fields},
        tuple(
            Parts(each["field"], each["separator"], tuple(map(tuple, each["headers"])))
            for each in section.get("parts", ())
            if each["field"] in fields and fields[each["field"]].type == "string"
        ),
        {
            name: tuple(stand_in for stand_in in found if stand_in in fields)
            for name, found in section.get("otherwise", {}).items()
            if name in fields and fields[name].type == "string"
        },
        {
            name: rest
            for name, rest in further.items()
            if name in fields and rest in fields and fields[rest].rules.layout is Layout.MEMBERS
        },
        {
            name: {word.casefold(): value for value, words in known.items() for word in words}
            for name, known in section.get("values", {}).items()
            if name in fields
        },
    )


@cache
def _sections() -> dict[str, Any]:
    return tomllib.loads((resources.files("crdt_sync.exchange") / "headers.toml").read_text(encoding="utf-8"))
