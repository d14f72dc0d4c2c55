"""A schema for a collection that has none, so that every cell comes back out of an export as it went in."""

import re
import unicodedata
from collections.abc import Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import Literal

from crdt_sync.errors import InvalidSchema, InvalidTable
from crdt_sync.exchange.mapping import unnamed_field
from crdt_sync.exchange.table import BASE_HEADER, MISSING, BrokenCell, Cell, RowError, Shown, Table
from crdt_sync.ids import is_collection, is_reserved
from crdt_sync.records.field_settings import Type
from crdt_sync.records.schema import FieldSpec, Schema

_FIELD_LENGTH_MAX = 48  # characters: what ids.is_collection allows
_FLOAT_PLAIN_MIN, _FLOAT_PLAIN_MAX = 1e-15, 1e15  # decimals without an exponent stay short between these


def infer_schema(table: Table, collection: str, *, zoned: bool = False) -> Schema:
    """A schema of version 1 with one field a column, of kind `value`, labelled with the column's header.

    Text tables give strings. Typed tables are read once from start to end; a column whose values all have one type gets
    it, any other becomes `json`, which keeps integers from floats and nested values as they are. Numbers shown as
    codes, such as 01067, are strings; so are times without a zone, unless the import gives them one (`zoned`).
    Raises `InvalidTable` for a table without columns, and `InvalidSchema` for a name that no collection can have, or no
    other.
    """
    if not is_collection(collection):
        raise InvalidSchema(
            f"{collection[:60]!r} cannot name a collection",
            "Use lower-case letters a-z, digits, '_' and '-', a letter first, at most 48 characters.",
        )
    if is_reserved(collection):
        raise InvalidSchema(f"the collection {collection!r} is reserved", "Choose another name.")
    if not table.columns:
        raise InvalidTable(f"{table.name!r} has no columns", "Give the collection a schema, or a table with a header.")
    types: list[Type] = _column_types(table, zoned) if table.typed else ["string"] * len(table.columns)
    names = field_names(table.columns)
    fields = {
        name: FieldSpec(type=kind, label=header)
        for name, kind, header in zip(names, types, table.columns, strict=True)
        if header != BASE_HEADER
    }
    return Schema(collection=collection, version=1, label=table.name[:200], fields=fields)


def field_names(headers: Sequence[str]) -> list[str]:
    """A valid and unique field name for each header: `CompanyName` → company_name, `电话` → column_3."""
    taken: set[str] = set()
    names: list[str] = []
    for position, header in enumerate(headers, 1):
        name = unnamed_field(position) if header == "" else _plain_name(header) or f"column_{position}"
        unique, number = name, 2
        while unique in taken:
            unique = f"{name[: _FIELD_LENGTH_MAX - 5]}_{number}"
            number += 1
        taken.add(unique)
        names.append(unique)
    return names


def _plain_name(header: str) -> str:
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", header)
    plain = unicodedata.normalize("NFKD", words.replace("ß", "ss")).casefold()
    plain = "".join(character for character in plain if not unicodedata.combining(character))
    if sum(character.isalnum() and not character.isascii() for character in plain):
        return ""  # a part of it cannot be spelt in a field name; half a word would mislead
    name = re.sub(r"[^a-z0-9]+", "_", plain).strip("_")
    if name and not name[0].isalpha():
        name = f"column_{name}"
    return name[:_FIELD_LENGTH_MAX].rstrip("_")


_Found = Type | Literal["code", "midnight", "moment"]


def _column_types(table: Table, zoned: bool) -> list[Type]:
    found: list[set[_Found]] = [set() for _ in table.columns]
    for row in table.rows():
        if isinstance(row, RowError):
            continue
        for kinds, cell in zip(found, row.cells, strict=True):
            if cell is not MISSING and cell is not None:
                kind = _type_of(cell)
                if kind is not None:
                    kinds.add(kind)
    return [_type_for(kinds, zoned) for kinds in found]


def _type_for(kinds: set[_Found], zoned: bool) -> Type:
    if "code" in kinds and kinds <= {"code", "integer", "string"}:
        return "string"
    if kinds and kinds <= {"date", "midnight"}:
        return "date"
    if kinds and kinds <= {"date", "midnight", "moment"}:
        return "datetime" if zoned else "string"
    if len(kinds) != 1:
        return "json"
    (kind,) = kinds
    return "json" if kind == "code" or kind == "midnight" or kind == "moment" else kind  # noqa: PLR1714 - narrows


def _type_of(cell: Cell) -> _Found | None:
    if isinstance(cell, BrokenCell):
        return None
    if isinstance(cell, Shown):
        return "code" if cell.is_code else _type_of(cell.value)
    if isinstance(cell, str):
        return "string"
    if isinstance(cell, bool):
        return "boolean"
    if isinstance(cell, int):
        return "integer"
    if isinstance(cell, float):
        # 1.0 as a decimal would come back as 1.
        plain = not cell.is_integer() and _FLOAT_PLAIN_MIN <= abs(cell) <= _FLOAT_PLAIN_MAX
        return "decimal" if plain else "json"
    if isinstance(cell, Decimal):
        return "decimal"
    if isinstance(cell, datetime):
        return "datetime" if cell.tzinfo else "midnight" if cell.time() == time() else "moment"
    return "date" if isinstance(cell, date) else "json"
