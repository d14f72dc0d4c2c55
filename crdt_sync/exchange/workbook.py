"""XLSX workbooks, read and written. The only importer of openpyxl, which comes with the extra `excel`."""

import importlib
import io
import re
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, BinaryIO

from crdt_sync.errors import InvalidTable, TableNotWritten, UsageError
from crdt_sync.exchange.cells import text_cell
from crdt_sync.exchange.source import Source
from crdt_sync.exchange.table import HEADER_LENGTH_MAX, MISSING, Cell, Row, RowError, Table, TableOptions
from crdt_sync.limits import FIELDS_MAX, TABLE_SHEET_BYTES_MAX
from crdt_sync.records.schema import FieldSpec
from crdt_sync.records.values import restore

_ROWS_MAX = 1_048_576  # of a sheet, its header included
_CELL_LENGTH_MAX = 32_767  # UTF-16 units of a cell; openpyxl would cut the rest off silently
_DIGITS_EXACT_MAX = 15  # a sheet's numbers are doubles, and Excel shows no more digits than these
_YEAR_MIN = 1900  # sheets have no dates before
_ESCAPE = re.compile(r"_(?=x[0-9A-Fa-f]{4}_)|[\x00-\x08\x0b-\x1f\ufffe\uffff]")
_ESCAPED = re.compile(r"_x([0-9A-Fa-f]{4})_")
_HINT = "Install it with: pip install 'crdt-sync[excel]', or save the table as CSV."


class WorkbookTable(Table):
    """One sheet of a workbook: the active one unless another is chosen. Formulas give the value stored with them."""

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
        self.columns = self._read_header()

    @property
    def bytes_read(self) -> int:
        """All of it: a workbook is read as a whole."""
        return self._source.bytes_read

    def rows(self) -> Iterator[Row | RowError]:
        """All rows below the header; `Row.line` is the number that the spreadsheet shows."""
        width = len(self.columns)
        for number, values in self._values():
            if self._options.header and number == 1:
                continue
            cells = [_read(value) for value in values]
            if any(cell is not MISSING for cell in cells[width:]):
                yield RowError(number, "", "ragged", f"the row has values beyond the {width} columns of the table")
            else:
                yield Row(number, (cells + [MISSING] * (width - len(cells)))[:width])

    def _read_header(self) -> tuple[str, ...]:
        first = next((values for _, values in self._values()), ())
        width = len(first)
        if not self._options.header:
            return tuple(f"Column {number}" for number in range(1, width + 1))
        headers = ["" if (cell := _read(value)) is MISSING else str(cell) for value in first]
        while headers and not headers[-1]:
            headers.pop()
        if not headers:
            raise InvalidTable(f"the sheet of {self.name!r} is empty", "A table needs at least a row of headers.")
        if len(headers) > FIELDS_MAX or max(map(len, headers)) > HEADER_LENGTH_MAX:
            raise InvalidTable(
                f"the first row of {self.name!r} is not a header: {len(headers)} cells, the longest of "
                f"{max(map(len, headers))} characters",
                f"At most {FIELDS_MAX} columns with headers of at most {HEADER_LENGTH_MAX} characters can be read.",
            )
        return tuple(headers)

    def _values(self) -> Iterator[tuple[int, Sequence[Any]]]:
        try:
            book = self._openpyxl.load_workbook(io.BytesIO(self._content), read_only=True, data_only=True)
            try:
                sheet = self._sheet(book)
                sheet.reset_dimensions()  # what the file claims about its size is often wrong
                yield from enumerate(sheet.iter_rows(values_only=True), 1)
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
) -> None:
    """Write one sheet; every cell is a specification and a carrier. Texts stay texts, whatever they start with.

    Raises `TableNotWritten` when openpyxl is not installed, and for cells and tables larger than a sheet allows.
    """
    openpyxl = _openpyxl(TableNotWritten)
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet(title[:31])
    try:
        _fill(openpyxl, sheet, headers, rows)
    except BaseException:
        book.save(io.BytesIO())  # lets openpyxl close and remove its temporary files
        raise
    book.save(stream)


def _fill(
    openpyxl: Any,
    sheet: Any,
    headers: Sequence[str] | None,
    rows: Iterable[Sequence[tuple[FieldSpec, object]]],
) -> None:
    if headers is not None:
        sheet.append([_text(openpyxl, sheet, header) for header in headers])
    for number, row in enumerate(rows, 1):
        if number + (headers is not None) > _ROWS_MAX:
            raise TableNotWritten(f"a sheet holds at most {_ROWS_MAX:,} rows", "Export as CSV.")
        sheet.append([_written(openpyxl, sheet, spec, carrier) for spec, carrier in row])


def _written(openpyxl: Any, sheet: Any, spec: FieldSpec, carrier: object) -> Any:
    if carrier is None or carrier == []:
        return None
    if isinstance(carrier, bool):
        return carrier
    if isinstance(carrier, int) and abs(carrier) < 10**_DIGITS_EXACT_MAX:
        return carrier
    value = restore(spec, carrier) if spec.type in ("decimal", "date", "datetime") else None
    if isinstance(value, Decimal) and len(value.as_tuple().digits) <= _DIGITS_EXACT_MAX:
        return float(value) if Decimal(repr(float(value))) == value else _text(openpyxl, sheet, str(carrier))
    if isinstance(value, datetime) and value.year > _YEAR_MIN and value.microsecond == 0:
        return value.replace(tzinfo=None)  # restored values are in UTC
    if isinstance(value, date) and not isinstance(value, datetime) and value.year > _YEAR_MIN:
        return value
    return _text(openpyxl, sheet, text_cell(spec, carrier))


def _text(openpyxl: Any, sheet: Any, text: str) -> Any:
    if len(text.encode("utf-16-le")) // 2 > _CELL_LENGTH_MAX:
        raise TableNotWritten(
            f"a cell of {len(text):,} characters does not fit a sheet, whose cells hold {_CELL_LENGTH_MAX:,}",
            "Export as CSV or JSON lines, or leave that field out.",
        )
    cell = openpyxl.cell.WriteOnlyCell(sheet, "")
    # Set past openpyxl's guessing, which makes formulas of "=1+1" and errors of "#N/A".
    cell._value = _ESCAPE.sub(lambda match: f"_x{ord(match[0]):04X}_", text)
    cell.data_type = "s"
    return cell


def _read(value: object) -> Cell:
    if value is None or value == "":
        return MISSING
    if isinstance(value, str):
        return _ESCAPED.sub(lambda match: chr(int(match[1], 16)), value)
    if isinstance(value, datetime):
        return value
    if isinstance(value, (bool, int, float, date)):
        return value
    return str(value)  # times and durations, for which there is no type


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
