"""XLSX workbooks, read and written. The only importer of openpyxl, which comes with the extra `excel`."""

import importlib
import io
import re
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, time
from decimal import Decimal
from itertools import islice
from typing import IO, Any, BinaryIO

from crdt_sync.errors import InvalidTable, TableNotWritten, UsageError
from crdt_sync.exchange.cells import sheet_value, text_cell
from crdt_sync.exchange.header_row import ROWS_LOOKED_AT, doubts, find_header
from crdt_sync.exchange.number_formats import has_time, is_utc, shown_number
from crdt_sync.exchange.source import Source
from crdt_sync.exchange.table import (
    HEADER_LENGTH_MAX,
    MISSING,
    BrokenCell,
    Cell,
    Row,
    RowError,
    Shown,
    Table,
    TableForm,
    TableOptions,
)
from crdt_sync.limits import FIELDS_MAX, SHEET_MARKUP_BYTES_MAX, TABLE_SHEET_BYTES_MAX
from crdt_sync.records.field_values import restore
from crdt_sync.records.roots import Layout
from crdt_sync.records.schema import FieldSpec

_ROWS_MAX = 1_048_576  # of a sheet, its header included
_CELL_LENGTH_MAX = 32_767  # UTF-16 units of a cell; openpyxl would cut the rest off silently
_DIGITS_EXACT_MAX = 15  # a sheet's numbers are doubles, and Excel shows no more digits than these
_YEAR_MIN = 1900  # sheets have no dates before
_ESCAPE = re.compile(r"_(?=x[0-9A-Fa-f]{4}_)|[\x00-\x08\x0b-\x1f\ufffe\uffff]")
_ESCAPED = re.compile(r"_x([0-9A-Fa-f]{4})_")
_FORMULA = re.compile(rb"<(\w{1,20}:)?f[\s/>]")
_UTC_FORMAT = 'yyyy-mm-dd"T"hh:mm:ss"Z"'  # the zone is shown, and read again
_HINT = "Install it with: pip install '.[excel]' where crdt-sync was cloned, or save the table as CSV."


class WorkbookTable(Table):
    """One sheet of a workbook: the active one unless another is chosen.

    Formulas give the value stored with them; a formula without one and an error such as #N/A are a `BrokenCell`. A
    number whose format shows something else is a `Shown`, a day without a time a date.
    """

    typed = True

    def __init__(self, source: Source, options: TableOptions) -> None:
        """Read the header. Raises `InvalidTable`, also when openpyxl is not installed."""
        self._openpyxl = _openpyxl(InvalidTable)
        self._content = source.read_whole(TABLE_SHEET_BYTES_MAX)
        _check_size(self._content, source.name)
        self._source = source
        self._options = options
        self.name = source.name
        self.bytes_total = source.bytes_total
        self._names: tuple[str, tuple[str, ...]] = ("", ())  # of the sheet that is read, and of the others
        self._formulas = _look_over(self._content, source.name)
        self._header_line, self.columns = self._read_header()
        sheet, others = self._names
        notes = doubts(self.columns) if self._header_line and options.header_row is None else ()
        self.form = TableForm("xlsx", header_line=self._header_line, sheet=sheet, other_sheets=others, notes=notes)

    @property
    def bytes_read(self) -> int:
        """All of it: a workbook is read as a whole."""
        return self._source.bytes_read

    def rows(self) -> Iterator[Row | RowError]:
        """The rows below the header that are not blank; `Row.line` is the number that the spreadsheet shows."""
        width = len(self.columns)
        for number, cells in self._rows():
            if number <= self._header_line:
                continue
            if any(cell is not MISSING for cell in cells[width:]):
                yield RowError(number, "", "ragged", f"the row has values beyond the {width} columns of the table")
            elif any(cell is not MISSING for cell in cells):
                yield Row(number, (cells + [MISSING] * (width - len(cells)))[:width])

    def _read_header(self) -> tuple[int, tuple[str, ...]]:
        """The row of the header and its texts; row 0 and made-up names where there is none."""
        rows = list(islice(self._rows(), self._options.header_row or ROWS_LOOKED_AT))
        texts = [[_header(cell) for cell in cells] for _, cells in rows]
        if not any(any(row) for row in texts):
            sheet, others = self._names
            more = f" Other sheets: {', '.join(map(repr, others))}; choose one with --select." if others else ""
            raise InvalidTable(
                f"the sheet {sheet!r} of {self.name!r} is empty", f"A table needs at least a row of headers.{more}"
            )
        if not self._options.header:
            return 0, tuple(f"Column {number}" for number in range(1, max(map(len, texts)) + 1))
        if self._options.header_row is not None:
            position = next((at for at, (line, _) in enumerate(rows) if line == self._options.header_row), None)
            if position is None:
                raise InvalidTable(f"{self.name!r} has no row {self._options.header_row}", "Count from 1, titles too.")
        else:
            position = find_header(texts)
        headers = texts[position]
        while headers and not headers[-1]:
            headers.pop()
        line = rows[position][0]
        if not headers:
            raise InvalidTable(f"row {line} of {self.name!r} is empty", "Name the row that holds the headers.")
        if len(headers) > FIELDS_MAX or max(map(len, headers)) > HEADER_LENGTH_MAX:
            raise InvalidTable(
                f"row {line} of {self.name!r} is not a header: {len(headers)} cells, the longest of "
                f"{max(map(len, headers))} characters",
                f"At most {FIELDS_MAX} columns with headers of at most {HEADER_LENGTH_MAX} characters can be read.",
            )
        return line, tuple(headers)

    def _rows(self) -> Iterator[tuple[int, list[Cell]]]:
        """Rows with their numbers. With formulas, the sheet is read a second time beside: only there they show."""
        with self._opened(data_only=True) as sheet:
            rows = enumerate(self._within_a_sheet(sheet.iter_rows()), 1)
            if not self._formulas:
                yield from ((number, [_read(cell) for cell in cells]) for number, cells in rows)
                return
            with self._opened(data_only=False) as written:
                for (number, cells), sources in zip(rows, written.iter_rows(), strict=True):
                    yield number, [_calculated(*pair) for pair in zip(cells, sources, strict=True)]

    def _within_a_sheet(self, rows: Iterator[Any]) -> Iterator[Any]:
        """The rows; openpyxl makes empty ones up to whatever number a file gives to its next row."""
        for number, row in enumerate(rows, 1):
            if number > _ROWS_MAX:
                raise _too_many_rows(self.name)
            yield row

    @contextmanager
    def _opened(self, *, data_only: bool) -> Iterator[Any]:
        try:
            book = self._openpyxl.load_workbook(io.BytesIO(self._content), read_only=True, data_only=data_only)
            try:
                sheet = self._sheet(book)
                self._names = (sheet.title, tuple(each.title for each in book.worksheets if each.title != sheet.title))
                sheet.reset_dimensions()  # what the file claims about its size is often wrong
                yield sheet
            finally:
                book.close()
        except (UsageError, GeneratorExit):
            raise
        except Exception as error:  # openpyxl raises whatever its parsing stumbles on
            raise InvalidTable(
                f"{self.name!r} is not a readable workbook: {error}", "Save it as XLSX or CSV again."
            ) from error

    def _sheet(self, book: Any) -> Any:
        wanted = self._options.select
        if wanted is None:
            return book.active if book.active in book.worksheets else book.worksheets[0]
        if wanted not in book.sheetnames or book[wanted] not in book.worksheets:
            listing = ", ".join(map(repr, book.sheetnames))
            raise InvalidTable(f"{self.name!r} has no sheet {wanted!r}", f"Sheets in it: {listing}.")
        return book[wanted]


def write_workbook(
    stream: BinaryIO,
    title: str,
    headers: Sequence[str] | None,
    rows: Iterable[Sequence[tuple[FieldSpec, object]]],
    too_long: Callable[[int], object],
    hidden: int | None = None,
) -> None:
    """Write one sheet; every cell is a specification and a carrier. Texts stay texts, whatever they start with.

    A cell whose text does not fit stays empty; `too_long` is called with its place, from 0, in the row given last.
    The column `hidden`, counted from 1, is not shown.

    Raises `TableNotWritten` when openpyxl is not installed, and for tables larger than a sheet allows.
    """
    openpyxl = _openpyxl(TableNotWritten)
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet(title[:31])
    if hidden is not None:
        sheet.column_dimensions[openpyxl.utils.get_column_letter(hidden)].hidden = True
    try:
        _fill(openpyxl, sheet, headers, rows, too_long)
    except BaseException:
        book.save(io.BytesIO())  # lets openpyxl close and remove its temporary files
        raise
    book.save(stream)


def _fill(
    openpyxl: Any,
    sheet: Any,
    headers: Sequence[str] | None,
    rows: Iterable[Sequence[tuple[FieldSpec, object]]],
    too_long: Callable[[int], object],
) -> None:
    if headers is not None:
        sheet.append([_text(openpyxl, sheet, header) for header in headers])
    for number, row in enumerate(rows, 1):
        if number + (headers is not None) > _ROWS_MAX:
            raise TableNotWritten(f"a sheet holds at most {_ROWS_MAX:,} rows", "Export as CSV.")
        cells = []
        for place, (spec, carrier) in enumerate(row):
            try:
                cells.append(_written(openpyxl, sheet, spec, carrier))
            except _TooLong:
                too_long(place)
                cells.append(None)
        sheet.append(cells)


class _TooLong(Exception):
    """A text that no cell of a sheet holds."""


def _written(openpyxl: Any, sheet: Any, spec: FieldSpec, carrier: object) -> Any:
    if carrier is None or carrier == []:
        return None
    if isinstance(carrier, bool):
        return carrier
    if isinstance(carrier, int) and abs(carrier) < 10**_DIGITS_EXACT_MAX:
        return carrier
    if spec.type == "json" and spec.rules.layout is Layout.ENTRIES and isinstance(carrier, str):
        held = sheet_value(carrier)
        return _text(openpyxl, sheet, held) if isinstance(held, str) else _written(openpyxl, sheet, FieldSpec(), held)
    value = restore(spec, carrier) if spec.type in ("decimal", "date", "datetime") else None
    if isinstance(value, Decimal) and len(value.as_tuple().digits) <= _DIGITS_EXACT_MAX:
        return float(value) if Decimal(repr(float(value))) == value else _text(openpyxl, sheet, str(carrier))
    if isinstance(value, datetime) and value.year > _YEAR_MIN and value.microsecond == 0:
        cell = openpyxl.cell.WriteOnlyCell(sheet, value.replace(tzinfo=None))  # restored values are in UTC
        cell.number_format = _UTC_FORMAT
        return cell
    if isinstance(value, date) and not isinstance(value, datetime) and value.year > _YEAR_MIN:
        return value
    return _text(openpyxl, sheet, text_cell(spec, carrier))


def _text(openpyxl: Any, sheet: Any, text: str) -> Any:
    if len(text.encode("utf-16-le")) // 2 > _CELL_LENGTH_MAX:
        raise _TooLong
    cell = openpyxl.cell.WriteOnlyCell(sheet, "")
    # Set past openpyxl's guessing, which makes formulas of "=1+1" and errors of "#N/A".
    cell._value = _ESCAPE.sub(lambda match: f"_x{ord(match[0]):04X}_", text)
    cell.data_type = "s"
    return cell


def _read(cell: Any) -> Cell:
    """The value of a cell of openpyxl."""
    value = cell.value
    if value is None or value == "":
        return MISSING
    if isinstance(value, str):
        if cell.data_type == "e":
            return BrokenCell(f"the cell holds the error {value[:40]}")
        return _ESCAPED.sub(lambda match: chr(int(match[1], 16)), value)
    if isinstance(value, datetime):
        if is_utc(cell.number_format):
            return value.replace(tzinfo=UTC)
        return value.date() if value.time() == time() and not has_time(cell.number_format) else value
    if isinstance(value, (bool, date)):
        return value
    if isinstance(value, (int, float)):
        if isinstance(value, float) and value.is_integer() and abs(value) < 10**_DIGITS_EXACT_MAX:
            value = int(value)  # how a large number is written in the file says nothing
        text = shown_number(value, cell.number_format)
        return value if text is None else Shown(value, text)
    return str(value)  # times and durations, for which there is no type


def _calculated(cell: Any, written: Any) -> Cell:
    if cell.value is None and written.data_type == "f":
        return BrokenCell("the cell holds a formula without its result: open and save it in a spreadsheet program")
    return _read(cell)


def _header(cell: Cell) -> str:
    if cell is MISSING or isinstance(cell, BrokenCell):
        return ""
    return cell.text if isinstance(cell, Shown) else str(cell)


def _look_over(content: bytes, name: str) -> bool:
    """Whether a sheet holds formulas. Raises `InvalidTable` for a piece of XML that no spreadsheet program writes.

    The parser takes more than linear time for one long comment or tag: 3 s for 8 MB, which pack into 12 KB.
    """
    formulas = False
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for part_name in archive.namelist():
                if not part_name.endswith((".xml", ".rels")):
                    continue
                with archive.open(part_name) as part:
                    formulas |= _look_over_part(part, name) and part_name.startswith("xl/worksheets/")
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError, ValueError):
        return False  # what is wrong with it is told by whoever reads it
    return formulas


def _too_many_rows(name: str) -> InvalidTable:
    return InvalidTable(
        f"{name!r} has a row beyond the {_ROWS_MAX:,} that a sheet holds", "Save it as XLSX or CSV again."
    )


def _look_over_part(part: IO[bytes], name: str) -> bool:
    formulas, before, open_bytes, rows = False, b"", 0, 0
    while chunk := part.read(1 << 16):
        rows += chunk.count(b"<row")  # rows with a prefix, and one between two chunks, are counted as they are read
        if rows > _ROWS_MAX:
            raise _too_many_rows(name)
        formulas = formulas or _FORMULA.search(before + chunk) is not None
        before = chunk[-40:]
        first = chunk.find(b">")
        if open_bytes + (len(chunk) if first < 0 else first) > SHEET_MARKUP_BYTES_MAX:
            raise InvalidTable(
                f"{name!r} holds a piece of XML of more than {SHEET_MARKUP_BYTES_MAX:,} bytes",
                "No spreadsheet program writes that. Save it as XLSX or CSV again.",
            )
        open_bytes = open_bytes + len(chunk) if first < 0 else len(chunk) - 1 - chunk.rfind(b">")
    return formulas


def _check_size(content: bytes, name: str) -> None:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            size = sum(info.file_size for info in archive.infolist())
    except zipfile.BadZipFile as error:
        raise InvalidTable(
            f"{name!r} is not an XLSX workbook", "Old .xls files must be saved as .xlsx first."
        ) from error
    if size > TABLE_SHEET_BYTES_MAX:
        raise InvalidTable(
            f"{name!r} unpacks to {size:,} bytes, more than {TABLE_SHEET_BYTES_MAX:,}", "Save it as CSV."
        )


def _openpyxl(failure: type[UsageError]) -> Any:
    try:
        return importlib.import_module("openpyxl")
    except ImportError as error:
        raise failure("XLSX needs the package openpyxl, which is not installed", _HINT) from error
