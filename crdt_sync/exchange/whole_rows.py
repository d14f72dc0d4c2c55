"""Rows without a key: the id of a record follows from all that its row says."""

import hashlib
import json
from collections import Counter
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

from crdt_sync.exchange.lost_digits import is_rounded
from crdt_sync.exchange.table import MISSING, BrokenCell, Cell, Row, Shown
from crdt_sync.ids import record_id


@dataclass(slots=True)
class WholeRows:
    """Ids for the rows of one table, taken in their order; equal rows are told apart by how many came before."""

    collection: str
    headers: tuple[str, ...]
    _order: tuple[int, ...] = field(init=False)
    _occurrences: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._order = tuple(sorted(range(len(self.headers)), key=self.headers.__getitem__))

    def record_of(self, row: Row) -> str:
        """The record id of the next row."""
        # Sorted and without the empty ones: neither moved nor added empty columns make a row another one.
        content = [
            (self.headers[position], cell) for position in self._order if (cell := row.cells[position]) is not MISSING
        ]
        material = _ENCODE([self.collection, content])
        digest = hashlib.blake2b(material.encode("ascii"), digest_size=16).hexdigest()
        occurrence = self._occurrences[digest]
        self._occurrences[digest] = occurrence + 1
        return record_id(self.collection, f"{digest}-{occurrence}" if occurrence else digest)


def text_of(cell: Cell) -> str:
    """The text of a cell in an id, empty where it says nothing: what a CSV of the same table would hold."""
    if cell is MISSING or cell is None:
        return ""
    if isinstance(cell, Shown):
        return _ENCODE(cell.value) if is_rounded(cell.text) else cell.text  # the sheet has the whole number
    if isinstance(cell, (date, Decimal)):
        return _plain(cell)
    return cell if isinstance(cell, str) else _ENCODE(cell)


def _plain(value: object) -> str:
    if isinstance(value, Shown):
        return value.text
    if isinstance(value, (BrokenCell, Decimal)):
        return str(value)
    assert isinstance(value, date)
    return value.isoformat()


_ENCODE = json.JSONEncoder(sort_keys=True, separators=(",", ":"), default=_plain).encode
