"""A table seen through a schema: for each row, the cells of each field, as values that the field takes."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from crdt_sync.errors import InvalidTable, InvalidValue
from crdt_sync.exchange.column_reading import ColumnReading
from crdt_sync.exchange.conventions import FOUND_OUT, Conventions
from crdt_sync.exchange.known_headers import KnownHeaders, known_headers
from crdt_sync.exchange.mapping import ColumnMapping, JoinedColumns
from crdt_sync.exchange.names import loose
from crdt_sync.exchange.table import MISSING, BrokenCell, Cell, Row, RowError, Table
from crdt_sync.exchange.whole_rows import text_of
from crdt_sync.records.roots import Layout
from crdt_sync.records.schema import FieldSpec, Schema

_SEVERAL = " ::: "  # between several values of a cell, as Google Contacts writes them
_WORD = re.compile(r"\w+")
_UNPARTED = re.compile(r"[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff]")  # Chinese, Japanese and Korean

Cells: TypeAlias = list[Cell]


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """A field and the columns whose cells go to it; several only for a set or a log."""

    field: str
    spec: FieldSpec
    header: str
    columns: tuple[tuple[int, ColumnReading], ...]


@dataclass(frozen=True, slots=True)
class ColumnForm:
    """Where the cells of a column go and how they are read; `field` None: nowhere. `format` is in words for people, and
    empty where there is nothing to tell."""

    header: str
    field: str | None
    kind: str = ""
    type: str = ""
    format: str = ""


class Interpretation:
    """Reads the rows of one table; where the meaning of a cell may depend on others, after a look at all of them."""

    def __init__(
        self, table: Table, matched: ColumnMapping, schema: Schema, conventions: Conventions = FOUND_OUT
    ) -> None:
        """Raises `InvalidTable` when no column goes to a field."""
        _check_used(table, matched, schema)
        known = known_headers(schema)
        self._known = known
        self.schema = schema
        self.headers = table.columns
        self._parts = matched.parts
        self._unlike: RowError | None = None
        self.targets = _targets(table, matched, schema, known, conventions)
        self.readings = tuple(reading for target in self.targets for _, reading in target.columns)
        self._by_position = dict(pair for target in self.targets for pair in target.columns)
        dependent = [pair for target in self.targets for pair in target.columns if pair[1].depends]
        if dependent:
            for row in table.rows():
                if isinstance(row, Row):
                    for position, reading in dependent:
                        reading.look(row.cells[position], row.line)

    def read(self, row: Row, present: Mapping[str, object]) -> tuple[dict[str, Cells], list[RowError]]:
        """The cells of each field, and the cells that cannot be read, whose fields are left out.

        `present` is what the record holds already, field to carrier.
        """
        found: dict[str, Cells] = {target.field: [] for target in self.targets}
        problems: list[RowError] = []
        bad: set[str] = set()
        for target in self.targets:
            for position, reading in target.columns:
                try:
                    cell, *more = self._split(target.field, row.cells[position])
                    found[target.field].append(reading.read(cell))
                    if more:
                        found[self._known.further[target.field]].extend(more)
                except InvalidValue as error:
                    bad.add(target.field)
                    problems.append(RowError(row.line, reading.header, error.code, _message(error)))
        self._join(row, found)
        self._stand_in(found, present)
        return {field: cells or [MISSING] for field, cells in found.items() if field not in bad}, problems

    def read_cell(self, position: int, cell: Cell) -> Cell:
        """What the cell of a column means in its field, the first value of several. Raises `InvalidValue`."""
        reading = self._by_position.get(position)
        return cell if reading is None else reading.read(self._split(reading.field, cell)[0])

    def doubts(self) -> tuple[RowError, ...]:
        """Cells that are read otherwise than the others of their column, one of each column, and the first part of a
        name that is left out beside a whole one."""
        unlike = () if self._unlike is None else (self._unlike,)
        return (*(doubt for reading in self.readings for doubt in reading.doubts()), *unlike)

    def column_forms(self) -> tuple[ColumnForm, ...]:
        """How each column is read, in the order of the table."""
        return tuple(self._column_form(position, header) for position, header in enumerate(self.headers))

    def _column_form(self, position: int, header: str) -> ColumnForm:
        parts = next((each for each in self._parts if position in each.positions), None)
        if (reading := self._by_position.get(position)) is not None:
            field, words = reading.field, reading.described()
            beside = next((each for each in self._parts if each.field == field and each.beside is not None), None)
            if beside is not None:
                words = _part(beside, beside.beside or 0)
        elif parts is not None:
            at = parts.positions.index(position)
            field, words = parts.field, _part(parts, at + (parts.beside is not None and at >= parts.beside))
        else:
            return ColumnForm(header, None)
        spec = self.schema.fields[field]
        return ColumnForm(header, field, spec.kind, spec.type, words)

    def _split(self, field: str, cell: Cell) -> list[Cell]:
        """The first value of a cell, and the further ones where the collection has a field for them."""
        if field not in self._known.further:
            spec = self.schema.fields[field]
            if not isinstance(cell, list) or spec.rules.layout is not Layout.ENTRIES or spec.type == "json":
                return [cell]
            return [cell[0]] if len(cell) == 1 and isinstance(cell[0], (str, int)) else [cell]
        if isinstance(cell, list) and cell and all(isinstance(member, (str, int)) for member in cell):
            return list(cell)
        if isinstance(cell, str) and _SEVERAL in cell:
            parts = [part.strip().removeprefix("* ") for part in cell.split(_SEVERAL)]
            return list(filter(None, parts)) or [MISSING]
        return [cell]

    def _join(self, row: Row, found: dict[str, Cells]) -> None:
        for each in self._parts:
            whole = _said(found[each.field])
            texts = _texts(row, each)
            if whole is not None and texts:
                texts = self._with_whole(row, texts, whole.strip(), each)
            if texts:
                found[each.field] = [each.separator.join(texts)]

    def _with_whole(self, row: Row, texts: list[str], whole: str, parts: JoinedColumns) -> list[str]:
        """See the function; notes the first text of a part that the name does not say."""
        kept = _with_whole(texts, whole, parts)
        lost = [] if kept else [text for text in texts if not _stands_in(text, whole)]
        if lost and self._unlike is None:
            why = f"{', '.join(map(repr, lost))} is left out, as the row has another whole name: {whole[:60]!r}"
            self._unlike = RowError(row.line, _header(self.headers, parts), "name_unlike_parts", why)
        return kept

    def _stand_in(self, found: dict[str, Cells], present: Mapping[str, object]) -> None:
        """What a record without a name is called after; one that has a name keeps it."""
        for field, others in self._known.otherwise.items():
            if field in found and present.get(field) is None and _said(found[field]) is None:
                text = next((text for other in others if (text := _said(found.get(other))) is not None), None)
                if text is not None:
                    found[field] = [text]


def _said(cells: Cells | None) -> str | None:
    """The first text or number of some cells that is not blank, or None."""
    return next(filter(str.strip, map(_text, cells or ())), None)


def _text(cell: Cell) -> str:
    return "" if isinstance(cell, (bool, list, dict, BrokenCell)) else text_of(cell)


def _texts(row: Row, parts: JoinedColumns) -> list[str]:
    cells = (row.cells[position] for position in parts.positions)
    return [text for cell in cells if (text := _text(cell).strip())]


def _with_whole(texts: list[str], whole: str, parts: JoinedColumns) -> list[str]:
    """The parts of a row that has a text in the field's own column, too; none where that says all that counts."""
    if all(_stands_in(text, whole) for text in texts):
        return []
    if parts.beside is None:
        # `Name` may hold the last name only, where both parts are there as well.
        return texts if _stands_in(whole, parts.separator.join(texts)) else []
    if _stands_in(whole, parts.separator.join(texts)):
        return texts
    missing = [text for text in texts if not _stands_in(text, whole)]
    return [whole, *missing] if parts.beside == 0 else [*missing, whole]


def _stands_in(text: str, whole: str) -> bool:
    """Whether the words of a text are among those of the whole, or in it where nothing parts words."""
    if _UNPARTED.search(whole):
        return loose(text) in loose(whole)
    return not _words(text) - _words(whole)


def _words(text: str) -> Counter[str]:
    return Counter(loose(word) for word in _WORD.findall(text))


def _part(parts: JoinedColumns, at: int) -> str:
    return f"part {at + 1} of {len(parts.positions) + (parts.beside is not None)}"


def _targets(
    table: Table, matched: ColumnMapping, schema: Schema, known: KnownHeaders, conventions: Conventions
) -> tuple[Target, ...]:
    columns: dict[str, list[tuple[int, ColumnReading]]] = {}
    for position, name in enumerate(matched.fields):
        if name is not None:
            reading = ColumnReading(
                table.columns[position],
                name,
                schema.fields[name],
                conventions,
                known.values.get(name, {}),
                table.form.format == "xlsx",
            )
            columns.setdefault(name, []).append((position, reading))
    for each in matched.parts:
        columns.setdefault(each.field, [])
    for name in list(columns):
        if name in known.further:
            columns.setdefault(known.further[name], [])
    for name, others in known.otherwise.items():
        if name not in columns and any(other in columns for other in others):
            columns[name] = []
    headers = {each.field: _header(table.columns, each) for each in reversed(matched.parts)}
    return tuple(
        Target(name, schema.fields[name], found[0][1].header if found else headers.get(name, ""), tuple(found))
        for name, found in columns.items()
    )


def _message(error: InvalidValue) -> str:
    return f"{error.message}. {error.hint}" if error.hint else error.message


def _header(columns: Sequence[str], parts: JoinedColumns) -> str:
    return " + ".join(columns[position] for position in parts.positions)


def _taken_from(table: Table) -> str:
    form = table.form
    if form.delimiter is None or not form.header_line:
        return ""
    return f" (line {form.header_line}, cut at {form.delimiter!r})"


def _check_used(table: Table, matched: ColumnMapping, schema: Schema) -> None:
    if matched.used:
        return
    headers = ", ".join(repr(header) for header in table.columns)
    raise InvalidTable(
        f"no column of {table.name!r} has a field in {schema.collection!r}; its headers are {headers}"
        f"{_taken_from(table)}",
        f"Map them with --map 'HEADER=FIELD' (fields: {', '.join(schema.fields)}), name the row of the headers with "
        "--header-row, what stands between the cells with --delimiter, or import into a new collection with -c NAME.",
    )
