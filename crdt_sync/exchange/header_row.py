"""Which row of a table is its header: titles and blank rows often stand above it."""

import re
from collections.abc import Sequence

ROWS_LOOKED_AT = 30
_LABEL_LENGTH_MAX = 80  # characters
_SHOWN_LENGTH = 40  # characters
_DIGIT = re.compile(r"\d")
_DATA = re.compile(r"[\d@]")
_DATE = re.compile(r"\b\d{1,4}([./-])\d{1,2}\1\d{1,4}\b|\d年\d{1,2}月")
_LETTER = re.compile(r"[^\W\d_]")


def find_header(rows: Sequence[Sequence[str]]) -> int:
    """The position of the header among the first `rows` of a table.

    It is the first row, unless that is a title while a later one names at least two columns, all different, in words,
    and more than half as many as the table is wide. A title has one cell at most; or fewer than that row, one of
    them with a date; or at most half as many as the table is wide, and that row names in words a column of numbers or
    addresses. Words with a colon tell nothing: there are headers such as "Name:".
    """
    filled = [[cell for cell in row if cell.strip()] for row in rows]
    first = next((position for position, cells in enumerate(filled) if cells), 0)
    width = max(map(len, filled), default=0)
    if width < 2:
        return first
    heads = (at for at, cells in enumerate(filled) if 2 * len(cells) > width and not _says_title(cells, width))
    found = next(heads, first)
    if found == first or not _are_labels(filled[found]):
        return first
    titles = [cells for cells in filled[first:found] if len(cells) > 1]
    clear = _names_data(rows[found], rows[found + 1 :])
    shorter = all(len(cells) < len(filled[found]) for cells in titles)
    return found if shorter and (clear or all(_says_title(cells, width) for cells in titles)) else first


def doubts(headers: Sequence[str]) -> tuple[str, ...]:
    """What is to be said of headers that look like data: a first row without headers would be lost as such."""
    odd = next((cell for cell in headers if "@" in cell or (_DIGIT.search(cell) and not _LETTER.search(cell))), None)
    if odd is None:
        return ()
    return (f"the row with {odd[:_SHOWN_LENGTH]!r} was taken for the headers; if it is data, say --no-header",)


def _says_title(cells: Sequence[str], width: int) -> bool:
    """Whether cells that do not fill a row say of when a table is."""
    return len(cells) < width and any(_DATE.search(cell) for cell in cells)


def _names_data(header: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
    """Whether a column of at least two cells has a digit or an @ in each, but not in its header."""
    for at, name in enumerate(header):
        cells = [row[at] for row in rows if at < len(row) and row[at].strip()]
        if len(cells) > 1 and name.strip() and not _DATA.search(name) and all(map(_DATA.search, cells)):
            return True
    return False


def _are_labels(cells: Sequence[str]) -> bool:
    return len(set(cells)) == len(cells) and all(
        len(cell) <= _LABEL_LENGTH_MAX and _LETTER.search(cell) is not None and "@" not in cell for cell in cells
    )
