"""What an export for editing was written from, in a last column of its own: any device finds out what was edited.

Each cell of that column is `b1.`, or `b1g.` in a row whose cells were guarded, and then, in base64 and deflated, the
JSON array `[record, stamp, source, space, said, tag]`: the record of the row, when (microseconds since 1970) and under
which name it was exported, the space of the store in hex or an empty text, as JSON text what the row says of its
fields, in the form of a memory of a source, with texts whole, and a number in hex that was drawn for this export, as
others may have its name and time. Without a tag, as in earlier releases, an export is known by these.

A row keeps its base wherever it is sorted to. A base that cannot be used makes an error of its row: nobody guesses
which record an edited row is. A row without one was added, and is named as in any other table.
"""

import json
import re
import zlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from crdt_sync.errors import UsageError
from crdt_sync.exchange.guarded_tables import GUARDED_BASE
from crdt_sync.exchange.row_memory import said_of
from crdt_sync.exchange.source_name import given_source
from crdt_sync.exchange.table import BASE_HEADER, MISSING, Cell, Row, RowError, Table
from crdt_sync.ids import collection_of, is_record
from crdt_sync.limits import BASE_BYTES_MAX, BASE_LENGTH_MAX, STAMP_MAX
from crdt_sync.records.memory.sources import edits_of_based, mark_text, parse_source, whole_text
from crdt_sync.records.roots import Layout
from crdt_sync.records.schema import FieldSpec
from crdt_sync.records.values import canonical

TAG_BYTES = 4  # of exports that have one name and were made within one second
_VERSION = "b1."
_TAG = re.compile(r"([0-9a-f]{8})?")


@dataclass(frozen=True, slots=True)
class Base:
    """What the row of an export said of `record`, and which export that was.

    `guarded` tells that the cells have the apostrophes of `guard`.
    """

    record: str
    stamp: int
    source: str
    space: str
    said: Mapping[str, Any]
    guarded: bool = False
    tag: str = ""

    @property
    def edits(self) -> str:
        """The source of what people edited in the export."""
        made = f"{datetime.fromtimestamp(self.stamp // 1_000_000, UTC):%y%m%d%H%M%S}"
        return edits_of_based(self.source, f"{made} {self.tag}".strip())


def encode_base(base: Base) -> str:
    """The cell of a base, at most `BASE_LENGTH_MAX` characters: what is longest is not in it where all is too long."""
    said = dict(base.said)
    while len(text := _packed(base, said)) > BASE_LENGTH_MAX and said:
        longest = max(sorted(said), key=lambda field: len(canonical(said[field])))
        whole = whole_text(said[longest]) if isinstance(said[longest], dict) else None
        if whole is None:
            del said[longest]
        else:
            said[longest] = mark_text(whole)
    return text


def _packed(base: Base, said: Mapping[str, Any]) -> str:
    parts = [base.record, base.stamp, base.source, base.space, canonical(dict(said)), *([base.tag] if base.tag else [])]
    content = json.dumps(parts, ensure_ascii=False)
    return (GUARDED_BASE if base.guarded else _VERSION) + urlsafe_b64encode(
        zlib.compress(content.encode("utf-8", "surrogatepass"))
    ).decode("ascii")


def decode_base(cell: object) -> Base | None:
    """The base in a cell, which anybody may have written; None for what is none."""
    if not isinstance(cell, str) or not cell.startswith((_VERSION, GUARDED_BASE)) or len(cell) > BASE_LENGTH_MAX:
        return None
    guarded = cell.startswith(GUARDED_BASE)
    try:
        unpacking = zlib.decompressobj()
        content = unpacking.decompress(urlsafe_b64decode(cell.partition(".")[2]), BASE_BYTES_MAX)
        if not unpacking.eof:
            return None
        record, stamp, source, space, said, *tags = json.loads(content)
        if not (is_record(record) and type(stamp) is int and 0 <= stamp <= STAMP_MAX and isinstance(space, str)):
            return None
        (tag,) = tags or ("",)
        if not _TAG.fullmatch(tag):
            return None
        memory = parse_source(given_source(source), stamp, said)
    except (ValueError, TypeError, RecursionError, AttributeError, zlib.error, UsageError):
        return None
    return None if memory is None else Base(record, stamp, memory.name, space, memory.said, guarded, tag)


def base_said(spec: FieldSpec, carrier: object) -> object:
    """What a base says of a field; a text is whole, however long, so that both sides' edits of it can be merged."""
    return (
        {"text": carrier} if spec.rules.layout is Layout.TEXT and isinstance(carrier, str) else said_of(spec, carrier)
    )


def edited_collection(table: Table) -> str | None:
    """The collection that the rows of an export for editing are of, as the first one tells; None of other tables."""
    if BASE_HEADER not in table.columns:
        return None
    position = table.columns.index(BASE_HEADER)
    bases = (decode_base(row.cells[position]) for row in table.rows() if isinstance(row, Row))
    return next((collection_of(base.record) for base in bases if base is not None), None)


class Bases:
    """The bases of one table, found by the header of their column; without one, no row has any."""

    def __init__(self, table: Table, collection: str, space: str, is_here: Callable[[str], bool]) -> None:
        self._position = table.columns.index(BASE_HEADER) if BASE_HEADER in table.columns else None
        self._collection, self._space, self._is_here = collection, space, is_here
        self._last: tuple[Sequence[object], Base | RowError | None] = ((), None)
        self.copies: Mapping[int, RowError] = {}  # line to error: of rows that nobody knows to be what their base says
        self.source = None if self._position is None else self._first_source(table)

    def __bool__(self) -> bool:
        return self.source is not None

    def cell(self, row: Row) -> Cell:
        """The cell that holds the base of a row."""
        return MISSING if self._position is None else row.cells[self._position]

    def of(self, row: Row) -> Base | RowError | None:
        """What a row was edited from; an error where that cannot be known, None for a row that was added."""
        if (cell := self.cell(row)) is MISSING:
            return None
        if (copied := self.copies.get(row.line)) is not None:
            return copied
        if self._last[0] is not row.cells:
            self._last = (row.cells, self._read(row.line, cell))
        return self._last[1]

    def record_of(self, row: Row) -> str | RowError | None:
        """The record that a row was exported from, likewise."""
        base = self.of(row)
        return base.record if isinstance(base, Base) else base

    def base_of(self, row: Row) -> Base | None:
        """What a row was edited from, where that is known."""
        base = self.of(row)
        return base if isinstance(base, Base) else None

    def _read(self, line: int, cell: object) -> Base | RowError:
        base = decode_base(cell)
        if base is None:
            why = "the cell was changed, so that nobody can tell what the row was exported from"
            return _error(line, f"{why}; clear it, and the row is one that was added")
        if base.space and self._space and base.space != self._space:
            return _error(line, "the row was exported from another space; without this column it is any other table's")
        if collection_of(base.record) != self._collection:
            other = collection_of(base.record)
            return _error(line, f"the row was exported from {other!r}; import it there, or without this column")
        if not self._is_here(base.record):
            return _error(line, f"its record {base.record} is not on this device; sync first, or clear the cell")
        return base

    def _first_source(self, table: Table) -> str | None:
        """The source of what was edited, after the first row that tells of its export; others may be of another."""
        for row in table.rows():
            if isinstance(row, Row) and isinstance(base := self.of(row), Base):
                return base.edits
        return None


def _error(line: int, why: str) -> RowError:
    return RowError(line, BASE_HEADER, "base_unknown", why)
