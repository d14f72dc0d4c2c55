"""Tables that are read from their file once, however often their rows are asked for.

An import goes over its table several times before it writes: for keys, for how the columns are written, for which
version it is. Where a file is dear to read, as a workbook is, its rows are kept beside, packed, in memory up to
`SPOOL_MEMORY_BYTES_MAX` and then in a temporary file without a name; what is beyond `SPOOL_BYTES_MAX` is read again.
"""

import pickle
import tempfile
import weakref
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from crdt_sync.exchange.table import Row, RowError, Table
from crdt_sync.limits import SPOOL_BYTES_MAX, SPOOL_MEMORY_BYTES_MAX

_ROWS_A_CHUNK = 256


class _Chunk(NamedTuple):
    """Where rows are kept, and how far the source had been read then."""

    start: int
    length: int
    rows: int
    bytes_read: int


class ReadOnceTable(Table):
    """`table`, whose rows are read from the file once. Passes over it may be left early, and go on side by side."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self.name, self.typed, self.bytes_total = table.name, table.typed, table.bytes_total
        self.columns, self.form = table.columns, table.form
        self._bytes_read = 0
        self._spool = tempfile.SpooledTemporaryFile(SPOOL_MEMORY_BYTES_MAX)  # noqa: SIM115  # closed with the table
        weakref.finalize(self, self._spool.close)
        self._begin()

    def _begin(self) -> None:
        self._source = self._table.rows()
        self._chunks: list[_Chunk] = []
        self._whole = False

    @property
    def bytes_read(self) -> int:
        """How far the latest `rows()` has come, in bytes of the source."""
        return self._bytes_read

    def rows(self) -> Iterator[Row | RowError]:
        """All rows from the start, in the order of the file."""
        number = 0
        while True:
            while number >= len(self._chunks) and self._read_on():  # again from the start, where another pass failed
                pass
            if number >= len(self._chunks):
                break
            chunk = self._chunks[number]
            number += 1
            self._spool.seek(chunk.start)
            kept = pickle.loads(self._spool.read(chunk.length))  # of this process, in a file without a name
            self._bytes_read = chunk.bytes_read
            yield from (Row(*each) if isinstance(each, tuple) else each for each in kept)
        if not self._whole:
            for row in islice(self._table.rows(), sum(chunk.rows for chunk in self._chunks), None):
                self._bytes_read = self._table.bytes_read
                yield row

    def _read_on(self) -> bool:
        """Keep the next rows; whether there are any, and room for them."""
        start = self._chunks[-1].start + self._chunks[-1].length if self._chunks else 0
        if self._whole or start >= SPOOL_BYTES_MAX:
            return False
        try:
            rows = list(islice(self._source, _ROWS_A_CHUNK))
            packed = pickle.dumps([(row.line, row.cells) if isinstance(row, Row) else row for row in rows], 5)
            self._spool.seek(start)
            self._spool.write(packed)
        except BaseException:  # whoever asks again starts again, with the file
            self._begin()
            raise
        self._whole = not rows
        if rows:
            self._chunks.append(_Chunk(start, len(packed), len(rows), self._table.bytes_read))
        return bool(rows)
