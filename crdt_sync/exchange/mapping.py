"""Which column of a table belongs to which field of a collection."""

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from crdt_sync.errors import InvalidTable, UnknownField
from crdt_sync.records.schema import FieldSpec, Schema

_UNNAMED = re.compile(r"unnamed_\d+(_\d+)?\Z")
_KINDS_OF_MANY = frozenset({"set", "log"})


@dataclass(frozen=True, slots=True)
class ColumnMapping:
    """`fields` has one entry a column: the field it goes to, or None.

    `unmapped` names the columns that nobody claimed; those that were left out on purpose are not in it.
    """

    fields: tuple[str | None, ...]
    unmapped: tuple[str, ...]


def unnamed_field(position: int) -> str:
    """The name of a field whose column has no header; `position` counts from 1."""
    return f"unnamed_{position}"


def header_of(name: str, spec: FieldSpec) -> str:
    """The column header under which a field is exported, and by which it is found again: its label, else its name.

    Fields made from columns without a header (`unnamed_field`) have none again.
    """
    return spec.label or ("" if _UNNAMED.match(name) else name)


def match_columns(
    columns: Sequence[str], schema: Schema, overrides: Mapping[str, str | None] | None = None
) -> ColumnMapping:
    """Find the field of each column: by `overrides`, exact header, name, alias, then by the same in looser spelling.

    `overrides` maps a header, or a position such as `#3`, to a field, or to None to leave the column out. Two
    columns never share a field, unless overrides say so and the field is a set or a log. The looser spelling ignores
    case, spaces, punctuation and accents.
    Raises `InvalidTable` for an override of a column that is not there and `UnknownField` for one to no field.
    """
    found: dict[int, str | None] = {}
    claimed: set[str] = set()
    for header, wanted in (overrides or {}).items():
        position = _position(columns, header)
        if wanted is not None:
            _check_override(header, wanted, schema, claimed)
            claimed.add(wanted)
        found[position] = wanted
    for names, spelling in _passes(schema):
        _claim(columns, names, spelling, found, claimed)
    fields = tuple(found.get(position) for position in range(len(columns)))
    unmapped = tuple(header for position, header in enumerate(columns) if position not in found)
    return ColumnMapping(fields, unmapped)


def column_position(columns: Sequence[str], fields: Sequence[str | None], wanted: str) -> int:
    """The position of the column with that header, or that goes to that field. Raises `InvalidTable`."""
    if wanted not in columns and wanted in fields:
        return fields.index(wanted)
    return _position(columns, wanted)


def loose(text: str) -> str:
    """`text` without case, spaces, punctuation, accents and width: `E-Mail ` and `e_mail` are one."""
    plain = unicodedata.normalize("NFKD", text).casefold()
    kept = "".join(character for character in plain if character.isalnum())
    return kept or plain.strip()


def _passes(schema: Schema) -> Iterable[tuple[list[tuple[str, str]], Callable[[str], str]]]:
    specs = schema.fields.items()
    headers = [(header_of(name, spec), name) for name, spec in specs]
    names = [(name, name) for name in schema.fields]
    aliases = [(alias, name) for name, spec in specs for alias in spec.aliases]
    # Headers first: in an inferred schema a column may be called like the made-up name of another field.
    yield headers, str
    yield names, str
    yield aliases, str
    yield headers + names + aliases, loose


def _claim(
    columns: Sequence[str],
    names: list[tuple[str, str]],
    spelling: Callable[[str], str],
    found: dict[int, str | None],
    claimed: set[str],
) -> None:
    candidates: dict[str, list[str]] = {}
    for header, name in names:
        candidates.setdefault(spelling(header), []).append(name)
    for position, header in enumerate(columns):
        if position in found:
            continue
        free = (field for field in candidates.get(spelling(header), ()) if field not in claimed)
        if (field := next(free, None)) is not None:
            found[position] = field
            claimed.add(field)


def _check_override(header: str, field: str, schema: Schema, claimed: set[str]) -> None:
    spec = schema.fields.get(field)
    if spec is None:
        known = ", ".join(schema.fields)
        raise UnknownField(f"{schema.collection!r} has no field {field!r} for column {header!r}", f"Fields: {known}.")
    if field in claimed and spec.kind not in _KINDS_OF_MANY:
        raise InvalidTable(
            f"two columns are mapped to the field {field!r}", "Only a set or a log takes several columns."
        )


def _position(columns: Sequence[str], header: str) -> int:
    if header in columns:
        return columns.index(header)
    near = [position for position, column in enumerate(columns) if loose(column) == loose(header)]
    if len(near) == 1:
        return near[0]
    if (number := header.removeprefix("#")) != header and number.isdecimal() and 1 <= int(number) <= len(columns):
        return int(number) - 1
    raise InvalidTable(f"the table has no column {header!r}", f"Columns: {', '.join(map(repr, columns))}.")
