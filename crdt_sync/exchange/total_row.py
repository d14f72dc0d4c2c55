"""A last row with sums, which spreadsheets have below the data, is no customer."""

import re

from crdt_sync.exchange.table import MISSING, Row, RowError
from crdt_sync.records.comparing import folded

_WORDS = re.compile(
    r"(gesamt|end|zwischen)?summen?|gesamt|insgesamt|(grand |sub)?totals?|sum|total general|(le )?total|totale|totaal"
    r"|razem|suma|somme|soma|合计|总计|合計|総計"
)
_NUMBER = re.compile(r"[\d.,'’\s€$£¥%+()-]*\d[\d.,'’\s€$£¥%+()-]*")


def doubt_of_total(row: Row, columns: tuple[str, ...], *, dry_run: bool) -> RowError | None:
    """What is odd of the last row of a table whose only text is such a word, beside one number or more."""
    filled = [(position, cell) for position, cell in enumerate(row.cells) if cell is not MISSING and cell is not None]
    texts = [each for each in filled if isinstance(each[1], str) and not _NUMBER.fullmatch(each[1])]
    if len(texts) != 1 or len(filled) < 2:
        return None
    position, text = texts[0]
    if not _WORDS.fullmatch(folded(str(text)).rstrip(": ")):
        return None
    record = "would become a record" if dry_run else "became a record, as any other"
    what = "delete it in the table" if dry_run else "delete it in the table and here"
    why = f"the last row looks like one of sums, with {text!r}, and {record}; if it is no customer, {what}"
    return RowError(row.line, columns[position], "total_row", why)
