"""What an import would make of a table: what was found out about the file and each column, and what does not fit."""

from collections.abc import Mapping
from dataclasses import dataclass

from crdt_sync.errors import InvalidValue
from crdt_sync.exchange.conventions import FOUND_OUT, Conventions
from crdt_sync.exchange.interpretation import ColumnForm, Interpretation
from crdt_sync.exchange.mapping import match_columns
from crdt_sync.exchange.row_memory import Memory
from crdt_sync.exchange.table import MISSING, BrokenCell, Cell, RowError, Shown, Table, TableForm
from crdt_sync.exchange.three_way import decide
from crdt_sync.records.schema import Schema

_SAMPLES = 3
_SAMPLE_LENGTH = 60  # characters
_MISFITS_KEPT = 5  # of each column


@dataclass(frozen=True, slots=True)
class ColumnPreview(ColumnForm):
    """One column: how it is read, and what is in it. `samples` are the first values as they stand in the file,
    `misfits` counts the cells that do not fit, and `misfit_samples` says why of the first."""

    samples: tuple[str, ...] = ()
    misfits: int = 0
    misfit_samples: tuple[RowError, ...] = ()


@dataclass(frozen=True, slots=True)
class TablePreview:
    """A table as an import would read it. `row_errors` are the first rows that cannot be read, `rows` all;
    `doubts` are those of the import report."""

    name: str
    form: TableForm
    rows: int
    columns: tuple[ColumnPreview, ...]
    row_errors: tuple[RowError, ...]
    doubts: tuple[RowError, ...] = ()


def preview_table(
    table: Table,
    schema: Schema,
    mapping: Mapping[str, str | None] | None = None,
    conventions: Conventions = FOUND_OUT,
) -> TablePreview:
    """Read the whole table as an import into `schema` would, and write nothing.

    Raises `InvalidTable` and `UnknownField` as an import does.
    """
    matched = match_columns(table.columns, schema, mapping)
    reading = Interpretation(table, matched, schema, conventions)
    samples: list[dict[str, None]] = [{} for _ in table.columns]
    misfits: dict[str, list[RowError]] = {}
    counts: dict[str, int] = {}
    errors: list[RowError] = []
    rows = 0
    for row in table.rows():
        rows += 1
        if isinstance(row, RowError):
            if len(errors) < _MISFITS_KEPT:
                errors.append(row)
            continue
        for seen, cell in zip(samples, row.cells, strict=True):
            if len(seen) < _SAMPLES and cell is not MISSING:
                seen[_text(cell)] = None
        found, problems = reading.read(row, {})
        for target in reading.targets:
            if (cells := found.get(target.field)) is None:
                continue
            try:
                decide(target.field, target.spec, cells, MISSING, Memory(), typed=table.typed, clear_empty=False)
            except InvalidValue as error:
                problems.append(RowError(row.line, target.header, error.code, error.message))
        for problem in problems:
            counts[problem.column] = counts.get(problem.column, 0) + 1
            if len(kept := misfits.setdefault(problem.column, [])) < _MISFITS_KEPT:
                kept.append(problem)
    columns = tuple(
        _column(form, tuple(seen), counts, misfits) for form, seen in zip(reading.column_forms(), samples, strict=True)
    )
    return TablePreview(table.name, table.form, rows, columns, tuple(errors), reading.doubts())


def _column(
    form: ColumnForm, samples: tuple[str, ...], counts: Mapping[str, int], misfits: Mapping[str, list[RowError]]
) -> ColumnPreview:
    header, field = form.header, form.field
    bad, why = (0, ()) if field is None else (counts.get(header, 0), tuple(misfits.get(header, ())))
    return ColumnPreview(header, field, form.kind, form.type, form.format, samples, bad, why)


def _text(cell: Cell) -> str:
    if isinstance(cell, BrokenCell):
        return f"({cell.reason})"
    text = cell.text if isinstance(cell, Shown) else str(cell)
    return text if len(text) <= _SAMPLE_LENGTH else f"{text[: _SAMPLE_LENGTH - 1]}…"
