"""Which column of a table belongs to which field of a collection."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain

from crdt_sync.errors import InvalidTable, UnknownField
from crdt_sync.exchange.known_headers import KnownHeaders, known_headers
from crdt_sync.exchange.names import loose
from crdt_sync.exchange.table import BASE_HEADER
from crdt_sync.records.roots import Layout
from crdt_sync.records.schema import FieldSpec, Schema, bundled_schema

_UNNAMED = re.compile(r"unnamed_\d+(_\d+)?\Z")
_ZONE = re.compile(r"\((GMT|UTC)[^()]*\)", re.IGNORECASE)  # of the times in a column


@dataclass(frozen=True, slots=True)
class JoinedColumns:
    """Columns that hold the parts of one value."""

    field: str
    positions: tuple[int, ...]
    separator: str
    beside: int | None = None  # where the text of the field's own column belongs among them, when it is a part itself


@dataclass(frozen=True, slots=True)
class ColumnMapping:
    """`fields` has one entry a column: the field it goes to, or None.

    `unmapped` names the columns that nobody claimed; those that were left out on purpose are not in it. `parts` are the
    columns that are joined to a field, by position in the order in which they are joined, with what stands between.
    """

    fields: tuple[str | None, ...]
    unmapped: tuple[str, ...]
    parts: tuple[JoinedColumns, ...] = ()

    @property
    def used(self) -> bool:
        """Whether any column goes to a field."""
        return bool(self.parts) or any(field is not None for field in self.fields)


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

    Last come the headers that other programs are known to write, and the parts of a name.

    `overrides` maps a header, or a position such as `#3`, to a field, or to None to leave the column out. Two
    columns never share a field, unless it is a set or a log and overrides or other programs' headers say so. A second
    column of one name goes to the set for further values, if there is one. The looser spelling ignores case, spaces,
    punctuation and accents.
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
    if BASE_HEADER in columns:
        found.setdefault(columns.index(BASE_HEADER), None)
    for names, spelling in _passes(schema):
        _claim(columns, names, spelling, found, claimed)
    known = known_headers(schema)
    _claim_known(columns, schema, known, found, claimed)
    joined = _joined(columns, known, found, claimed)
    used = found.keys() | {position for each in joined for position in each.positions}
    fields = tuple(found.get(position) for position in range(len(columns)))
    unmapped = tuple(header for position, header in enumerate(columns) if position not in used)
    return ColumnMapping(fields, unmapped, joined)


@cache
def _usual_headers() -> frozenset[str]:
    schema = bundled_schema("customers")
    known = known_headers(schema)
    own = (name for names, _ in _passes(schema) for name, _ in names)
    others = (header for headers in known.aliases.values() for header in headers)
    parts = (header for each in known.parts for headers in each.headers for header in headers)
    return frozenset(map(loose, chain(own, others, parts)))


def usual_headers(cells: Sequence[str]) -> int:
    """How many of these cells, which may be headers, customers are known to have a field for."""
    return len({spelling for cell in cells if cell.strip() and (spelling := loose(cell)) in _usual_headers()})


def still_mapped(
    columns: Sequence[str], schema: Schema, overrides: Mapping[str, str | None], last: Mapping[str, str | None]
) -> dict[str, str | None]:
    """What of the overrides of the last import of a table goes on, beside those of this one.

    Raises `InvalidTable` for an override of a column that is not there.
    """
    taken = {_position(columns, header) for header in overrides}
    claimed = {field for field in overrides.values() if field is not None}
    kept: dict[str, str | None] = {}
    for header, field in last.items():
        if columns.count(header) != 1 or columns.index(header) in taken:
            continue
        if field is not None:
            if field not in schema.fields or (field in claimed and not schema.fields[field].rules.several):
                continue
            claimed.add(field)
        kept[header] = field
    return kept


def by_header(columns: Sequence[str], overrides: Mapping[str, str | None]) -> dict[str, str | None]:
    """The overrides of columns that next month's table can be asked for: those whose header is theirs alone."""
    named = ((columns[_position(columns, header)], field) for header, field in overrides.items())
    return {header: field for header, field in named if header and columns.count(header) == 1}


def column_position(columns: Sequence[str], fields: Sequence[str | None], wanted: str) -> int:
    """The position of the column with that header, or that goes to that field. Raises `InvalidTable`."""
    if wanted not in columns and wanted in fields:
        return fields.index(wanted)
    return _position(columns, wanted)


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


def _claim_known(
    columns: Sequence[str], schema: Schema, known: KnownHeaders, found: dict[int, str | None], claimed: set[str]
) -> None:
    own = {loose(name): field for names, _ in _passes(schema) for name, field in names}
    ranked = [(loose(header), field) for field, headers in known.aliases.items() for header in headers]
    others, ranks = dict(ranked), {spelling: rank for rank, (spelling, _) in enumerate(ranked)}
    spellings = [loose(_ZONE.sub("", header)) for header in columns]
    # The header that says most plainly what the field means takes it, wherever it stands.
    for position in sorted(range(len(columns)), key=lambda at: ranks.get(spellings[at], -1)):
        field = others.get(spellings[position]) or own.get(spellings[position])
        if position in found or field is None:
            continue
        if field in claimed and not schema.fields[field].rules.several:
            field = known.further.get(field)
        if field is not None and (field not in claimed or schema.fields[field].rules.layout is Layout.MEMBERS):
            found[position] = field
            claimed.add(field)


def _joined(
    columns: Sequence[str], known: KnownHeaders, found: Mapping[int, str | None], claimed: set[str]
) -> tuple[JoinedColumns, ...]:
    joined = []
    free = {loose(header): position for position, header in reversed(list(enumerate(columns))) if position not in found}
    for parts in known.parts:
        slots = [
            next((free.pop(loose(header)) for header in headers if loose(header) in free), None)
            for headers in parts.headers
        ]
        positions = tuple(position for position in slots if position is not None)
        first, last = slots[0] is not None, slots[-1] is not None
        if positions and parts.field in claimed and not (first or last):
            continue  # nobody knows where a middle name belongs in a whole one
        if positions:
            # `Nom` beside `Prénom` is the last name, `Name` beside `Surname` the first.
            beside = None if first == last or parts.field not in claimed else len(positions) if first else 0
            joined.append(JoinedColumns(parts.field, positions, parts.separator, beside))
    return tuple(joined)


def _check_override(header: str, field: str, schema: Schema, claimed: set[str]) -> None:
    spec = schema.fields.get(field)
    if spec is None:
        known = ", ".join(schema.fields)
        raise UnknownField(f"{schema.collection!r} has no field {field!r} for column {header!r}", f"Fields: {known}.")
    if field in claimed and not spec.rules.several:
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
