"""Rows of an export for editing that were copied: which of those with one base is the record, and which are copies.

The row that says what it was exported with is the record, wherever it stands; one that was edited beside it is a copy.
Where each of them was edited, nothing tells which is the record: none of them is written.
"""

from collections.abc import Iterator, Mapping, Sequence

from crdt_sync.exchange.base import Bases
from crdt_sync.exchange.interpretation import Interpretation
from crdt_sync.exchange.own_rows import says_as_exported
from crdt_sync.exchange.table import BASE_HEADER, MISSING, Cell, Row, RowError, Table

_LINES = 4  # that an error names


def copied_rows(table: Table, bases: Bases, reading: Interpretation) -> Mapping[int, RowError]:
    """Line to error: of each row that may be a copy. Reads the table once, or twice where a base is there again.

    Rows that are equal in every cell are one.
    """
    if not bases:
        return {}
    problems: dict[int, RowError] = {}
    for rows in _of_one_base(table, bases):
        if all(row.cells == rows[0].cells for row in rows):
            continue
        as_exported = [
            row.line
            for row in rows
            if (base := bases.base_of(row)) is not None and says_as_exported(row, reading, base.said, typed=table.typed)
        ]
        copies = [row.line for row in rows if row.line not in as_exported]
        problems.update((line, _error(line, as_exported, copies)) for line in copies)
    return problems


def _of_one_base(table: Table, bases: Bases) -> Iterator[list[Row]]:
    seen: set[int] = set()  # hashes: bases are long, and few are there again
    again: set[int] = set()
    for row in _rows(table):
        if (cell := bases.cell(row)) is not MISSING:
            (again if hash(cell) in seen else seen).add(hash(cell))
    if not again:
        return
    found: dict[Cell, list[Row]] = {}
    for row in _rows(table):
        if isinstance(cell := bases.cell(row), str) and hash(cell) in again:
            found.setdefault(cell, []).append(row)
    yield from found.values()


def _error(line: int, as_exported: Sequence[int], copies: Sequence[int]) -> RowError:
    if as_exported:
        why = (
            f"the row is a copy of line {as_exported[0]} that was edited; clear this cell, and it is one that was added"
        )
    else:
        more = ", ..." if len(copies) > _LINES else ""
        lines = ", ".join(map(str, copies[:_LINES])) + more
        why = (
            f"lines {lines} are copies of one row, and each was edited, so that nobody can tell which is its record; "
            "clear this cell in those that were added"
        )
    return RowError(line, BASE_HEADER, "duplicate_key", why)


def _rows(table: Table) -> Iterator[Row]:
    return (row for row in table.rows() if isinstance(row, Row))
