"""What differs between two texts, word by word, in bounded work."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import Match, SequenceMatcher

TOKENS_COMPARED_MAX = 4_000  # the comparison is quadratic; beyond it the changed middle is replaced as one
PAIRS_COMPARED_MAX = 10_000_000  # pairs of equal words looked at, about a second; repeated words make many
WORD_LENGTH_MAX = 64  # characters; what is longer is no word, and only what differs inside is replaced
Replacement = tuple[int, int, str]  # start, stop, text
WORD = re.compile(r"\w+")
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


def edits(old: str, new: str) -> list[Replacement]:
    """The replacements by which a text is written: whole words, so that what two devices write at one place at the same
    time stands beside each other and joins no words.

    A new word brings the blank that is beside it along, before the word or after it. Few words that stay between many
    that change are replaced with these: else two texts that were written anew alternate word by word.
    """
    passages = _joined(old, differences(old, new), lambda stay, _: not stay)
    changes = _joined(old, passages, lambda stay, change: stay < change)
    starts = [*(start for start, _, _ in changes), len(old)]
    widened: list[Replacement] = []
    for at, change in enumerate(changes):
        before = widened[-1][1] if widened else 0  # a blank between two goes along with one of them
        widened.append(_with_blank(old, change, before, starts[at + 1]))
    return widened


def _joined(old: str, changes: list[Replacement], are_one: Callable[[int, int], bool]) -> list[Replacement]:
    """The changes, those of one line as one where `are_one` says so of the words that stay between two, and of those
    that the smaller of them changes."""
    joined: list[Replacement] = []
    for change in changes:
        between = old[joined[-1][1] : change[0]] if joined else "\n"
        if "\n" not in between and are_one(
            len(WORD.findall(between)), min(words_changed(old, joined[-1]), words_changed(old, change))
        ):
            start, _, text = joined.pop()
            joined.append((start, change[1], text + between + change[2]))
        else:
            joined.append(change)
    return joined


def words_changed(old: str, change: Replacement) -> int:
    """How many words a replacement takes away or brings, whichever are more."""
    start, stop, text = change
    return max(len(WORD.findall(old[start:stop])), len(WORD.findall(text)))


def _with_blank(old: str, change: Replacement, first: int, last: int) -> Replacement:
    """A replacement with a blank at its end or start that stands beside it between `first` and `last`."""
    start, stop, text = change
    if not text or not (text[0].isalnum() or text[-1].isalnum()):
        return change
    if start == stop:  # an insertion before a blank is one after it
        moved = text[0] in _BLANKS and start < last and old[start] == text[0]
        return (start + 1, stop + 1, text[1:] + text[0]) if moved else change
    for blank in _BLANKS:
        if stop < last and old[stop] == blank:
            return start, stop + 1, text + blank
        if first < start and old[start - 1] == blank:
            return start - 1, stop, blank + text
    return change


_BLANKS = " \n"


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
