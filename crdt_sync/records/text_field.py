"""Editing a Yjs text by code point. pycrdt's own indices are UTF-8 byte offsets, unchecked."""

import re
from collections.abc import Callable, Sequence
from difflib import Match, SequenceMatcher

from crdt_sync.errors import InvalidValue
from crdt_sync.limits import TEXT_BYTES_MAX
from crdt_sync.records.document import Document
from crdt_sync.records.values import text_carrier

TOKENS_COMPARED_MAX = 4_000  # the comparison is quadratic; beyond it the changed middle is replaced as one
PAIRS_COMPARED_MAX = 10_000_000  # pairs of equal words looked at, about a second; repeated words make many
WORD_LENGTH_MAX = 64  # characters; what is longer is no word, and only what differs inside is replaced
_TOKEN = re.compile(r"\w+|\W")


class TextField:
    """One text field of a record being edited. Indices count code points, as Python's `str` does.

    Read it with `str()` and `len()`. Edits raise `InvalidValue` for text that cannot be stored and for
    indices outside the text. `check` is called before each edit and raises where none may be made any more.
    """

    def __init__(self, document: Document, field: str, check: Callable[[], object] = lambda: None) -> None:
        self._document = document
        self._check = check
        self._field = field
        self._root = f"t.{field}"
        self.changed = False

    def __str__(self) -> str:
        with self._document.transaction() as transaction:
            return self._document.text(transaction, self._root).get_string(transaction)

    def __len__(self) -> int:
        return len(str(self))

    def insert(self, index: int, text: str) -> None:
        """Insert `text` before the code point at `index`; `len(field)` appends."""
        self._splice(str(self), [(index, index, text)])

    def delete(self, start: int, stop: int) -> None:
        """Delete the code points from `start` up to, not including, `stop`."""
        self._splice(str(self), [(start, stop, "")])

    def replace(self, text: str) -> None:
        """Make the text equal to `text` by the words that differ, so that edits made elsewhere survive."""
        current = str(self)
        self._splice(current, differences(current, text_carrier(self._field, text, TEXT_BYTES_MAX)))

    def _splice(self, current: str, changes: list[tuple[int, int, str]]) -> None:
        self._check()
        size = len(current.encode("utf-8"))
        for start, stop, text in changes:
            if not 0 <= start <= stop <= len(current):
                raise InvalidValue(self._field, f"{start} to {stop} is outside the text of {len(current)} characters")
            size += len(text_carrier(self._field, text, TEXT_BYTES_MAX).encode("utf-8"))
            size -= len(current[start:stop].encode("utf-8"))
        if size > TEXT_BYTES_MAX:
            raise InvalidValue(self._field, f"the text would have {size} bytes, the limit is {TEXT_BYTES_MAX}")
        splice(self._document, self._root, current, changes)
        self.changed = self.changed or any(stop > start or text for start, stop, text in changes)


def splice(document: Document, root: str, current: str, changes: list[tuple[int, int, str]]) -> None:
    """Make the replacements `(start, stop, text)`, in ascending order, in a text root that now holds `current`."""
    with document.transaction() as transaction:
        shared = document.text(transaction, root)
        for start, stop, text in reversed(changes):  # from the end, so that earlier offsets stay valid
            offset = len(current[:start].encode("utf-8"))
            if stop > start:
                shared.remove_range(transaction, offset, len(current[start:stop].encode("utf-8")))
            if text:
                shared.insert(transaction, offset, text)


def differences(old: str, new: str) -> list[tuple[int, int, str]]:
    """Replacements `(start, stop, text)` in ascending order that turn `old` into `new`, word by word."""
    if old == new:
        return []
    before, after = _TOKEN.findall(old), _TOKEN.findall(new)
    head = _common(before, after)
    tail = _common(before[head:][::-1], after[head:][::-1])
    before_middle, after_middle = before[head : len(before) - tail], after[head : len(after) - tail]
    offset = sum(map(len, before[:head]))
    if len(before_middle) + len(after_middle) > TOKENS_COMPARED_MAX:
        return [_narrowed(old, offset, offset + sum(map(len, before_middle)), "".join(after_middle))]
    starts = [offset]
    for token in before_middle:
        starts.append(starts[-1] + len(token))
    matcher = _Matcher(before_middle, after_middle)
    try:
        operations = matcher.get_opcodes()
    except _TooMany:
        operations = [("replace", 0, len(before_middle), 0, len(after_middle))]
    return [
        _narrowed(old, starts[low], starts[high], "".join(after_middle[first:last]))
        for tag, low, high, first, last in operations
        if tag != "equal"
    ]


class _TooMany(Exception):
    """More than `PAIRS_COMPARED_MAX`."""


class _Matcher(SequenceMatcher[str]):
    """A matcher that gives up in time: where words are repeated, each of its steps looks at every pair of them."""

    def __init__(self, before: list[str], after: list[str]) -> None:
        super().__init__(None, before, after, autojunk=False)
        self._before = before
        self._pairs_left = PAIRS_COMPARED_MAX
        self._places: dict[str, list[int]] = self.b2j  # type: ignore[attr-defined]  # the standard library's own index

    def find_longest_match(self, alo: int = 0, ahi: int | None = None, blo: int = 0, bhi: int | None = None) -> Match:
        """The next step, see `SequenceMatcher`. Raises `_TooMany`."""
        self._pairs_left -= sum(len(self._places.get(token, ())) for token in self._before[alo:ahi])
        if self._pairs_left < 0:
            raise _TooMany
        return super().find_longest_match(alo, ahi, blo, bhi)


def _narrowed(old: str, start: int, stop: int, text: str) -> tuple[int, int, str]:
    """A replacement without what it leaves as it is at both ends, where it is longer than words are."""
    if min(stop - start, len(text)) <= WORD_LENGTH_MAX:
        return start, stop, text
    replaced = old[start:stop]
    head = _common(replaced, text)
    tail = _common(replaced[head:][::-1], text[head:][::-1])
    return start + head, stop - tail, text[head : len(text) - tail]


def _common(one: Sequence[str], other: Sequence[str]) -> int:
    count = 0
    for a, b in zip(one, other, strict=False):
        if a != b:
            break
        count += 1
    return count
