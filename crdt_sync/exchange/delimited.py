"""CSV, TSV, PSV and every other one-character delimiter, after RFC 4180 and what spreadsheets really write."""

import csv
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import chain, islice

from crdt_sync.errors import InvalidTable
from crdt_sync.exchange.encodings import find_encoding
from crdt_sync.exchange.header_row import ROWS_LOOKED_AT, doubts, find_header
from crdt_sync.exchange.mapping import usual_headers
from crdt_sync.exchange.source import Source
from crdt_sync.exchange.table import HEADER_LENGTH_MAX, MISSING, Cell, Row, RowError, Table, TableForm, TableOptions
from crdt_sync.exchange.text import Lines
from crdt_sync.limits import FIELDS_MAX, TABLE_CELL_LENGTH_MAX

_CANDIDATES = (",", ";", "\t", "|")  # in order of preference
_BY_SUFFIX = {".tsv": "\t", ".tab": "\t", ".psv": "|"}
_WORKBOOKS = frozenset({".xls", ".xlsx", ".xlsm", ".ods"})
_SAMPLE_LINES = 200
_SAMPLE_CHARACTERS = 1 << 17
_SEPARATOR_LINE = re.compile(r"sep=([^\r\n])[\r\n]*\Z", re.IGNORECASE)
_HEADERS_KNOWN_MIN = 2  # of a first line that is no title
_CONSISTENT = 0.95  # share of sample rows that must be as wide as the first one


class DelimitedTable(Table):
    """Text with one row a line, cells quoted with double quotes where needed. An empty cell is `MISSING`."""

    typed = False

    def __init__(self, source: Source, options: TableOptions) -> None:
        """Read the header. Raises `InvalidTable`."""
        self._source = source
        self._options = options
        self.name = source.name
        self.bytes_total = source.bytes_total
        with source.open() as stream:
            encoding = find_encoding(stream, options.encoding, source.name)
        self._encoding = encoding.codec
        sample = self._sample()
        # Excel's own way to name the delimiter; it counts as a line, and is no row.
        separator = _SEPARATOR_LINE.match(sample[0]) if sample else None
        self._first_line = 2 if separator else 1
        self.delimiter = (
            options.delimiter
            or (separator[1] if separator else None)
            or _BY_SUFFIX.get(source.suffix)
            or detect_delimiter(sample)
        )
        if len(self.delimiter) != 1 or self.delimiter in '"\r\n':
            raise InvalidTable(f"{self.delimiter!r} cannot be a delimiter", "Give one character, such as ';'.")
        # The csv module knows this limit only for the whole process; it is raised, never lowered.
        csv.field_size_limit(max(csv.field_size_limit(), TABLE_CELL_LENGTH_MAX))
        self._header_line, self.columns = self._read_header()
        notes: tuple[str, ...] = ("its first line names the delimiter",) if separator else ()
        if source.suffix in _WORKBOOKS:
            notes += (f"its name ends in {source.suffix}, but it is a text table, and was read as one",)
        if self._header_line and options.header_row is None:
            notes += doubts(self.columns)
        self.form = TableForm(
            "delimited", self._encoding, encoding.guessed, self.delimiter, self._header_line, notes=notes
        )

    @property
    def bytes_read(self) -> int:
        """How far the latest `rows()` has come, in bytes of the file."""
        return self._source.bytes_read

    def rows(self) -> Iterator[Row | RowError]:
        """All rows; one whose width differs from the header's is an error, unless it only has empty cells more."""
        width = len(self.columns)
        for line, cells in self._parse():
            if line <= self._header_line:
                continue
            if isinstance(cells, str):
                yield RowError(line, "", "malformed", cells)
            elif len(cells) == width:
                yield Row(line, self._cells(cells))
            elif len(cells) > width and not any(cells[width:]):
                yield Row(line, self._cells(cells[:width]))
            else:
                wrong = (
                    f"{len(cells)} cells between {self.delimiter!r} where the header in line {self._header_line} has "
                    f"{width}; a quote or a delimiter is missing or too much, or name the right ones with --delimiter "
                    "and --header-row"
                )
                yield RowError(line, "", "ragged", wrong)

    def _cells(self, cells: list[str]) -> Sequence[Cell]:
        return [cell or MISSING for cell in cells]

    def _read_header(self) -> tuple[int, tuple[str, ...]]:
        """The line and the cells of the header; line 0 and made-up names where there is none."""
        line, cells = self._header()
        if isinstance(cells, str):
            raise InvalidTable(f"{self.name!r}, line {line}: {cells}", "The first row must be readable.")
        if len(cells) > FIELDS_MAX:
            raise InvalidTable(f"{self.name!r} has {len(cells)} columns, more than {FIELDS_MAX}", "Split the table.")
        if not self._options.header:
            return 0, tuple(f"Column {number}" for number in range(1, len(cells) + 1))
        if max(map(len, cells)) > HEADER_LENGTH_MAX:
            raise InvalidTable(
                f"{self.name!r}: a cell of line {line} is longer than {HEADER_LENGTH_MAX} characters",
                "If the first row is data already, say that there is no header.",
            )
        return line, tuple(cells)

    def _header(self) -> tuple[int, list[str] | str]:
        parsed = self._parse()
        if (wanted := self._options.header_row) is not None:
            for line, cells in parsed:
                if line == wanted:
                    return line, cells
            raise InvalidTable(f"{self.name!r} has no row that starts in line {wanted}", "Count from 1, titles too.")
        first = next(parsed, None)
        if first is None:
            raise InvalidTable(f"{self.name!r} is empty", "A table needs at least a row of headers.")
        if not self._options.header or isinstance(first[1], str):
            return first
        rows = list(chain((first,), islice(parsed, ROWS_LOOKED_AT - 1)))
        return rows[find_header([[] if isinstance(cells, str) else cells for _, cells in rows])]

    def _parse(self) -> Iterator[tuple[int, list[str] | str]]:
        """Line and cells of each row, or line and what is wrong with it. Blank lines are left out."""
        with self._source.open() as stream:
            lines = Lines(stream, self._encoding)
            given = iter(lines)
            for _ in range(self._first_line - 1):
                next(given, None)
            # strict: '"Ann" Smith' is reported, where the default would silently drop the quotes.
            reader = csv.reader(given, delimiter=self.delimiter, strict=True)
            while True:
                start = lines.number + 1
                try:
                    cells = next(reader)
                except StopIteration:
                    return
                except csv.Error as error:
                    wrong = lines.take_bad(start, lines.number) or _explained(error, start, lines.number)
                    yield start, wrong
                    continue
                if lines.bad and (wrong := lines.take_bad(start, lines.number)):
                    yield start, wrong
                elif any(map(len, cells)) and max(map(len, cells)) > TABLE_CELL_LENGTH_MAX:
                    yield start, f"a cell is longer than {TABLE_CELL_LENGTH_MAX:,} characters"
                elif cells:
                    yield start, cells

    def _sample(self) -> list[str]:
        with self._source.open() as stream:
            sample: list[str] = []
            characters = 0
            for line in Lines(stream, self._encoding):
                sample.append(line)
                characters += len(line)
                if len(sample) >= _SAMPLE_LINES or characters > _SAMPLE_CHARACTERS:
                    break
        return sample


def _explained(error: csv.Error, first: int, last: int) -> str:
    if "unexpected end" not in str(error):
        return str(error)
    return f"a quote that opens in the row of line {first} is never closed: all up to line {last} is taken for one cell"


def detect_delimiter(lines: Sequence[str]) -> str:
    """The delimiter that cuts these lines into the most columns of even width; a comma when none does.

    First goes the one that alone makes a header of the first line that it cuts, with at least two columns that are
    known. Else one that leaves fewer rows malformed goes first: around a wrong one quotes are out of place. Exact ties
    go to the more usual one: comma, semicolon, tab, bar. Only where none fits from the first row on, rows with one
    filled cell are passed over: titles stand above a header. Empty cells beyond the width of the first row do not
    count.
    """
    usual = {candidate: usual_headers(_first_cut(lines, candidate)) for candidate in _CANDIDATES}
    known = [candidate for candidate, count in usual.items() if count >= _HEADERS_KNOWN_MIN]
    if len(known) == 1:
        return known[0]
    rows = {candidate: found for candidate in _CANDIDATES if (found := _cut(lines, candidate))}
    malformed = {candidate: _malformed(lines, candidate) for candidate in rows}
    read = {candidate: (_widths(found), malformed[candidate]) for candidate, found in rows.items()}
    below = {
        candidate: (_widths(found[start:]), malformed[candidate])
        for candidate, found in rows.items()
        if (start := next((at for at, cells in enumerate(found[:ROWS_LOOKED_AT]) if _filled(cells) > 1), 0))
    }
    for tried, consistent in ((read, _CONSISTENT), (below, 1.0)):
        fitting = {
            candidate: (-malformed, found[0])
            for candidate, (found, malformed) in tried.items()
            if found[0] > 1 and Counter(found)[found[0]] >= consistent * len(found)
        }
        if fitting:
            return max(fitting, key=fitting.__getitem__)  # the first of equal ones
    return ","


def _first_cut(lines: Sequence[str], delimiter: str) -> list[str]:
    with suppress(csv.Error):
        rows = islice(csv.reader(iter(lines), delimiter=delimiter), ROWS_LOOKED_AT)
        return next((cells for cells in rows if _filled(cells) > 1), [])
    return []


def _filled(cells: Sequence[str]) -> int:
    return sum(bool(cell.strip()) for cell in cells)


def _cut(lines: Sequence[str], delimiter: str) -> list[list[str]]:
    try:
        return [cells for cells in csv.reader(iter(lines), delimiter=delimiter) if cells]
    except csv.Error:
        return []


def _widths(rows: Sequence[Sequence[str]]) -> list[int]:
    width = len(rows[0])
    return [width if len(cells) > width > 1 and not any(cells[width:]) else len(cells) for cells in rows]


def _malformed(lines: Sequence[str], delimiter: str) -> int:
    """How many rows cannot be read as the table will be; a row that the end of the sample cuts off is none."""
    taken = 0

    def counted() -> Iterator[str]:
        nonlocal taken
        for line in lines:
            taken += 1
            yield line
        taken += 1  # asked for more than there is

    malformed = 0
    reader = csv.reader(counted(), delimiter=delimiter, strict=True)
    while taken <= len(lines):
        try:
            next(reader, None)
        except csv.Error:
            malformed += taken <= len(lines)
    return malformed
