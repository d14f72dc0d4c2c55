"""Tables whose cells an export guarded: known as such when they come back, and read as they were before.

A row of an export for editing says so itself, see `base`. Any other table is known by cells that are the guard's form
of what records here hold.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

from crdt_sync.exchange.guard import unguard
from crdt_sync.exchange.table import BASE_HEADER, Cell, Row, RowError, Table

if TYPE_CHECKING:
    from crdt_sync.exchange.port import ReadableRecord

GUARDED_BASE = "b1g."
"""How the base of a row begins whose cells were guarded."""

_CELLS_LOOKED_AT = 1000
_NOTE = "its cells begin with the apostrophes of 'export --guard', which were undone"


class UnguardedTable(Table):
    """`table` without the apostrophes of `guard`: in `every` row, else in those whose base says that they have them."""

    def __init__(self, table: Table, *, every: bool) -> None:
        self._table, self._every = table, every
        self.name, self.typed, self.bytes_total = table.name, table.typed, table.bytes_total
        self.columns = tuple(map(unguard, table.columns))
        self.form = replace(table.form, notes=(*table.form.notes, _NOTE))

    @property
    def bytes_read(self) -> int:
        """How far the latest `rows()` has come, in bytes of the source."""
        return self._table.bytes_read

    def rows(self) -> Iterator[Row | RowError]:
        """All rows from the start, in the order of the file."""
        base = None if self._every else self._table.columns.index(BASE_HEADER)
        for row in self._table.rows():
            if isinstance(row, Row) and (base is None or _is_guarded_base(row.cells[base])):
                yield Row(row.line, [unguard(cell) if isinstance(cell, str) else cell for cell in row.cells])
            else:
                yield row


def unguarded(table: Table, *, given: bool) -> Table:
    """The table as it was before it was guarded, if that is `given`, or its rows say so themselves."""
    if given:
        return UnguardedTable(table, every=True)
    if BASE_HEADER not in table.columns:
        return table
    base = table.columns.index(BASE_HEADER)
    rows = (row for row in table.rows() if isinstance(row, Row))
    return UnguardedTable(table, every=False) if any(_is_guarded_base(row.cells[base]) for row in rows) else table


def unguarded_by_records(table: Table, records: Iterable["ReadableRecord"]) -> Table:
    """Likewise, where more of its cells are the guard's form of a value here than are values here as they stand."""
    if isinstance(table, UnguardedTable):
        return table
    cells = set(islice(_guarded_cells(table), _CELLS_LOOKED_AT))
    if not cells:
        return table
    sought = cells.union(map(unguard, cells))
    held = {text for record in records for text in _texts(record.raw) if text in sought}
    before, now = sum(unguard(cell) in held for cell in cells), sum(cell in held for cell in cells)
    return UnguardedTable(table, every=True) if before > now else table


def _guarded_cells(table: Table) -> Iterator[str]:
    for row in table.rows():
        if isinstance(row, Row):
            yield from (text for text in _guardable(row.cells) if unguard(text) != text)


def _guardable(cells: Sequence[Cell]) -> Iterator[str]:
    return (cell for cell in cells if isinstance(cell, str) and cell.startswith("'"))


def _texts(raw: Mapping[str, object]) -> Iterator[str]:
    return (value for value in raw.values() if isinstance(value, str))


def _is_guarded_base(cell: Cell) -> bool:
    return isinstance(cell, str) and cell.startswith(GUARDED_BASE)
