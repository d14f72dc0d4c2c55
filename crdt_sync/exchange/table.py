"""A table: columns and rows, whatever file they come from.

Rules every reader keeps:

- A row is either whole or a `RowError`; no reader drops, cuts or guesses the content of a cell.
- One bad row never ends the table. What makes the file unreadable as a whole raises `InvalidTable`.
- Memory is bounded by one row, except for JSON documents, which are bounded by `TABLE_JSON_BYTES_MAX`.
- `rows()` may be called again and starts again, so that a first pass can find out types.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any, Final, Literal, TypeAlias

HEADER_LENGTH_MAX = 200  # characters: a header becomes the label of a field, and this is what a label may have

BASE_HEADER = "crdt-sync base"
"""Of the column that says what the rows of an export for editing were written from, see `base`; of no field."""

TableFormat: TypeAlias = Literal["delimited", "jsonl", "json", "xlsx", "vcard"]


class Missing(Enum):
    """The type of `MISSING`."""

    MISSING = "missing"

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = Missing.MISSING
"""No value at all: an empty cell, or a key that the object does not have. JSON's null is None."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A number of a sheet and the text that its number format shows, where that differs: 1067 shown as 01067."""

    value: int | float
    text: str

    @property
    def is_code(self) -> bool:
        """Whether the text is a code rather than an amount: digits with leading zeros or signs between them."""
        return _CODE.fullmatch(self.text) is not None


@dataclass(frozen=True, slots=True)
class BrokenCell:
    """A cell whose value is not in the file: an error such as #N/A, a formula without a result; `reason` says which."""

    reason: str


_CODE = re.compile(r"[+(]?\d[\d ()/\u2010-\u2015+-]*")

Cell: TypeAlias = (
    str
    | int
    | float
    | bool
    | Decimal
    | date
    | datetime
    | Shown
    | BrokenCell
    | list[Any]
    | dict[str, Any]
    | Missing
    | None
)
"""A Decimal only where a float would lose digits."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row: `cells` in the order of the table's columns.

    `line` counts from 1: the line of a text file on which the row starts, the row of a sheet, or the element of
    a JSON array.
    """

    line: int
    cells: Sequence[Cell]


@dataclass(frozen=True, slots=True)
class RowError:
    """A row that was not read or not imported; `column` is the header it is about, or empty."""

    line: int
    column: str
    code: str
    message: str

    def __str__(self) -> str:
        where = f"line {self.line}, column {self.column!r}" if self.column else f"line {self.line}"
        return f"{where}: {self.message}"


@dataclass(frozen=True, slots=True)
class TableOptions:
    """How to read a file; None means: find out.

    `delimiter` one character. `encoding` a Python codec name. `header` False when the first row is data already;
    `header_row` the line, or the row of a sheet, that holds the headers, counted from 1. `select` the key of the array
    in a JSON object, or the name of a sheet. `member` the file inside a ZIP archive. `guarded` undoes the apostrophes
    of `ExportOptions.guard_formulas`.
    """

    format: TableFormat | None = None
    delimiter: str | None = None
    encoding: str | None = None
    header: bool = True
    select: str | None = None
    member: str | None = None
    guarded: bool = False
    header_row: int | None = None


@dataclass(frozen=True, slots=True)
class TableForm:
    """How a file was read: what was found out, for people to check. None: does not apply.

    `encoding_guessed` tells that the file does not say its encoding. `header_line` counts from 1; 0 is no header.
    """

    format: TableFormat
    encoding: str | None = None
    encoding_guessed: bool = False
    delimiter: str | None = None
    header_line: int | None = None
    sheet: str | None = None
    other_sheets: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class Table(ABC):
    """What `open_table` returns."""

    name: str
    columns: tuple[str, ...]
    """Headers as written in the file, duplicates and blanks included."""
    typed: bool
    """True when cells are values (JSON, sheets); False when every cell is text."""
    bytes_total: int
    """Size of the source in bytes, for progress."""
    form: TableForm = TableForm("delimited")
    """How it was read."""

    @property
    @abstractmethod
    def bytes_read(self) -> int:
        """How far the latest `rows()` has come, in bytes of the source; may run ahead by a buffer."""

    @abstractmethod
    def rows(self) -> Iterator[Row | RowError]:
        """All rows from the start, in the order of the file."""
