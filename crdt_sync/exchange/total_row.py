"""A row with sums, which spreadsheets have below the data, is no customer."""

import re

from crdt_sync.exchange.table import MISSING, Cell, Row, RowError
from crdt_sync.records.comparing import folded

_WORDS = re.compile(
    r"(gesamt|end|zwischen)?summen?|gesamt|insgesamt|(grand |sub)?totals?|sum|total general|(le )?total|totale|totaal"
    r"|razem|suma|somme|soma|合计|总计|合計|総計"
)
_NUMBER = re.compile(r"[\d.,'’\s€$£¥%+()-]*\d[\d.,'’\s€$£¥%+()-]*")


def doubt_of_total(row: Row, columns: tuple[str, ...], *, dry_run: bool) -> RowError | None:
    """What is odd of the last row of a table whose only text is such a word, beside one number or more."""
    texts = _texts(row)
    if len(texts) != 1 or not is_of_sums(row):
        return None
    ((position, text),) = texts
    record = "would become a record" if dry_run else "became a record, as any other"
    what = "delete it in the table" if dry_run else "delete it in the table and here"
    why = f"the last row looks like one of sums, with {text!r}, and {record}; if it is no customer, {what}"
    return RowError(row.line, columns[position], "total_row", why)


def is_of_sums(row: Row) -> bool:
    """Whether a row says numbers and nothing else, but for such a word."""
    texts, filled = _texts(row), sum(map(_is_filled, row.cells))
    return len(texts) < min(2, filled) and all(is_word_of_sums(text) for _, text in texts)


def is_word_of_sums(text: str) -> bool:
    """Whether a text is what stands beside sums."""
    return _WORDS.fullmatch(folded(text).rstrip(": ")) is not None


def _texts(row: Row) -> list[tuple[int, str]]:
    """The columns and texts of the cells that are no numbers."""
    return [
        (at, cell)
        for at, cell in enumerate(row.cells)
        if isinstance(cell, str) and cell.strip() and not _NUMBER.fullmatch(cell)
    ]


def _is_filled(cell: Cell) -> bool:
    return cell is not MISSING and cell is not None and cell != ""
