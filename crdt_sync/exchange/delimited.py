"""CSV, TSV, PSV and every other one-character delimiter, after RFC 4180 and what spreadsheets really write."""

import csv
from collections import Counter
from collections.abc import Iterator, Sequence

from crdt_sync.errors import InvalidTable
from crdt_sync.exchange.guard import unguard
from crdt_sync.exchange.source import Source
from crdt_sync.exchange.table import HEADER_LENGTH_MAX, MISSING, Cell, Row, RowError, Table, TableOptions
from crdt_sync.exchange.text import Lines, find_encoding
from crdt_sync.limits import FIELDS_MAX, TABLE_CELL_LENGTH_MAX

_CANDIDATES = (",", ";", "\t", "|")  # in order of preference
_BY_SUFFIX = {".tsv": "\t", ".tab": "\t", ".psv": "|"}
_SAMPLE_LINES = 200
_SAMPLE_CHARACTERS = 1 << 17
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
            self._encoding = find_encoding(stream, options.encoding)
        self.delimiter = options.delimiter or _BY_SUFFIX.get(source.suffix) or self._detect()
        if len(self.delimiter) != 1 or self.delimiter in '"\r\n':
            raise InvalidTable(f"{self.delimiter!r} cannot be a delimiter", "Give one character, such as ';'.")
        # The csv module knows this limit only for the whole process; it is raised, never lowered.
        csv.field_size_limit(max(csv.field_size_limit(), TABLE_CELL_LENGTH_MAX))
        self.columns = self._read_header()

    @property
    def bytes_read(self) -> int:
        """How far the latest `rows()` has come, in bytes of the file."""
        return self._source.bytes_read

    def rows(self) -> Iterator[Row | RowError]:
        """All rows; one whose width differs from the header's is an error, unless it only has empty cells more."""
        width = len(self.columns)
        skip_header = self._options.header
        for line, cells in self._parse():
            if skip_header:
                skip_header = False
            elif isinstance(cells, str):
                yield RowError(line, "", "malformed", cells)
            elif len(cells) == width:
                yield Row(line, self._cells(cells))
            elif len(cells) > width and not any(cells[width:]):
                yield Row(line, self._cells(cells[:width]))
            else:
                wrong = f"{len(cells)} cells where there are {width} columns; a quote or delimiter may be missing"
                yield RowError(line, "", "ragged", wrong)

    def _cells(self, cells: list[str]) -> Sequence[Cell]:
        if self._options.guarded:
            cells = [unguard(cell) for cell in cells]
        return [cell or MISSING for cell in cells]

    def _read_header(self) -> tuple[str, ...]:
        for line, cells in self._parse():
            if isinstance(cells, str):
                raise InvalidTable(f"{self.name!r}, line {line}: {cells}", "The first row must be readable.")
            if len(cells) > FIELDS_MAX:
                raise InvalidTable(
                    f"{self.name!r} has {len(cells)} columns, more than {FIELDS_MAX}", "Split the table."
                )
            if self._options.header and max(map(len, cells)) > HEADER_LENGTH_MAX:
                raise InvalidTable(
                    f"{self.name!r}: a cell of the first row is longer than {HEADER_LENGTH_MAX} characters",
                    "If the first row is data already, say that there is no header.",
                )
            if self._options.header:
                return tuple(map(unguard, cells) if self._options.guarded else cells)
            return tuple(f"Column {number}" for number in range(1, len(cells) + 1))
        raise InvalidTable(f"{self.name!r} is empty", "A table needs at least a row of headers.")

    def _parse(self) -> Iterator[tuple[int, list[str] | str]]:
        """Line and cells of each row, or line and what is wrong with it. Blank lines are left out."""
        with self._source.open() as stream:
            lines = Lines(stream, self._encoding)
            # strict: '"Ann" Smith' is reported, where the default would silently drop the quotes.
            reader = csv.reader(iter(lines), delimiter=self.delimiter, strict=True)
            while True:
                start = lines.number + 1
                try:
                    cells = next(reader)
                except StopIteration:
                    return
                except csv.Error as error:
                    wrong = lines.take_bad(start, lines.number) or str(error)
                    yield start, wrong
                    continue
                if lines.bad and (wrong := lines.take_bad(start, lines.number)):
                    yield start, wrong
                elif any(map(len, cells)) and max(map(len, cells)) > TABLE_CELL_LENGTH_MAX:
                    yield start, f"a cell is longer than {TABLE_CELL_LENGTH_MAX:,} characters"
                elif cells:
                    yield start, cells

    def _detect(self) -> str:
        with self._source.open() as stream:
            sample: list[str] = []
            characters = 0
            for line in Lines(stream, self._encoding):
                sample.append(line)
                characters += len(line)
                if len(sample) >= _SAMPLE_LINES or characters > _SAMPLE_CHARACTERS:
                    break
        return detect_delimiter(sample)


def detect_delimiter(lines: Sequence[str]) -> str:
    """The delimiter that cuts these lines into the most columns of even width; a comma when none does.

    Exact ties go to the more usual one: comma, semicolon, tab, bar.
    """
    best, best_width = ",", 1
    for candidate in _CANDIDATES:
        try:
            widths = [len(cells) for cells in csv.reader(iter(lines), delimiter=candidate) if cells]
        except csv.Error:
            continue
        if not widths:
            continue
        width = widths[0]
        if width > best_width and Counter(widths)[width] >= _CONSISTENT * len(widths):
            best, best_width = candidate, width
    return best
