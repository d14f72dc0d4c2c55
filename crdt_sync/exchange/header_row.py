"""Which row of a table is its header: titles and blank rows often stand above it."""

import re
from collections.abc import Sequence

ROWS_LOOKED_AT = 30
_LABEL_LENGTH_MAX = 80  # characters
_SHOWN_LENGTH = 40  # characters
_DIGIT = re.compile(r"\d")
_LETTER = re.compile(r"[^\W\d_]")


def find_header(rows: Sequence[Sequence[str]]) -> int:
    """The position of the header among the first `rows` of a table.

    It is the first row, unless that has one cell at most while a later one names at least two columns, all different,
    in words, and as many as the table is wide.
    """
    filled = [[cell for cell in row if cell.strip()] for row in rows]
    first = next((position for position, cells in enumerate(filled) if cells), 0)
    width = max(map(len, filled), default=0)
    if width < 2 or len(filled[first]) > 1:
        return first
    for position in range(first + 1, len(filled)):
        cells = filled[position]
        if len(cells) <= 1:
            continue
        return position if 2 * len(cells) > width and _are_labels(cells) else first
    return first


def doubts(headers: Sequence[str]) -> tuple[str, ...]:
    """What is to be said of headers that look like data: a first row without headers would be lost as such."""
    odd = next((cell for cell in headers if "@" in cell or (_DIGIT.search(cell) and not _LETTER.search(cell))), None)
    if odd is None:
        return ()
    return (f"the row with {odd[:_SHOWN_LENGTH]!r} was taken for the headers; if it is data, say --no-header",)


def _are_labels(cells: Sequence[str]) -> bool:
    return len(set(cells)) == len(cells) and all(
        len(cell) <= _LABEL_LENGTH_MAX and _LETTER.search(cell) is not None and "@" not in cell for cell in cells
    )
