"""What differs between two texts, word by word, in bounded work."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import Match, SequenceMatcher

TOKENS_COMPARED_MAX = 4_000  # the comparison is quadratic; beyond it the changed middle is replaced as one
PAIRS_COMPARED_MAX = 10_000_000  # pairs of equal words looked at, about a second; repeated words make many
WORD_LENGTH_MAX = 64  # characters; what is longer is no word, and only what differs inside is replaced
Replacement = tuple[int, int, str]  # start, stop, text
_TOKEN = re.compile(r"\w+|\W")


@dataclass(slots=True)
class Comparing:
    """How many pairs of equal words may still be looked at; below 0, a comparison was given up and is coarse."""

    pairs_left: int


def differences(old: str, new: str, comparing: Comparing | None = None) -> list[Replacement]:
    """Replacements `(start, stop, text)` in ascending order that turn `old` into `new`, word by word.

    `comparing` bounds the work of several comparisons together.
    """
    comparing = comparing or Comparing(PAIRS_COMPARED_MAX)
    if old == new:
        return []
    before, after = _TOKEN.findall(old), _TOKEN.findall(new)
    head = common_length(before, after)
    tail = common_length(before[head:][::-1], after[head:][::-1])
    before_middle, after_middle = before[head : len(before) - tail], after[head : len(after) - tail]
    offset = sum(map(len, before[:head]))
    if len(before_middle) + len(after_middle) > TOKENS_COMPARED_MAX:
        comparing.pairs_left = -1
        return [_narrowed(old, offset, offset + sum(map(len, before_middle)), "".join(after_middle))]
    starts = [offset]
    for token in before_middle:
        starts.append(starts[-1] + len(token))
    matcher = _Matcher(before_middle, after_middle, comparing)
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
    """More than may be looked at."""


class _Matcher(SequenceMatcher[str]):
    """A matcher that gives up in time: where words are repeated, each of its steps looks at every pair of them."""

    def __init__(self, before: list[str], after: list[str], comparing: Comparing) -> None:
        super().__init__(None, before, after, autojunk=False)
        self._before = before
        self._comparing = comparing
        self._places: dict[str, list[int]] = self.b2j  # type: ignore[attr-defined]  # the standard library's own index

    def find_longest_match(self, alo: int = 0, ahi: int | None = None, blo: int = 0, bhi: int | None = None) -> Match:
        """The next step, see `SequenceMatcher`. Raises `_TooMany`."""
        self._comparing.pairs_left -= sum(len(self._places.get(token, ())) for token in self._before[alo:ahi])
        if self._comparing.pairs_left < 0:
            raise _TooMany
        return super().find_longest_match(alo, ahi, blo, bhi)


def _narrowed(old: str, start: int, stop: int, text: str) -> Replacement:
    """A replacement without what it leaves as it is at both ends, where it is longer than words are."""
    if min(stop - start, len(text)) <= WORD_LENGTH_MAX:
        return start, stop, text
    replaced = old[start:stop]
    head = common_length(replaced, text)
    tail = common_length(replaced[head:][::-1], text[head:][::-1])
    return start + head, stop - tail, text[head : len(text) - tail]


def common_length(one: Sequence[str], other: Sequence[str]) -> int:
    """How many words, or characters, both begin with."""
    count = 0
    for a, b in zip(one, other, strict=False):
        if a != b:
            break
        count += 1
    return count
