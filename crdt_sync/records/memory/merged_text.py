"""Merging a text that two sides have edited."""

from collections.abc import Sequence
from itertools import pairwise

from crdt_sync.records.text_diff import WORD, Comparing, Replacement, differences, words_changed


def cleanly_merged_text(base: str, ours: str, theirs: str, comparing: Comparing | None = None) -> str | None:
    """`ours` with what changed from `base` to `theirs`; None where the two changed the same place.

    Two changes are of different places where a word that neither changed, or the end of a line, is between them. Few
    words that stay between many that change are of one place with these: a sentence that was written anew may have a
    word in common with the old one. `comparing` bounds the work, see `differences`: the result is coarse where it was
    used up.
    """
    mine, wanted = differences(base, ours, comparing), differences(base, theirs, comparing)
    rest = [change for change in wanted if change not in mine]
    regions = [(change, 0) for change in _regions(base, mine)] + [(change, 1) for change in _regions(base, rest)]
    regions.sort(key=lambda region: region[0][:2])
    for (before, side), (after, other) in pairwise(regions):
        if side != other and not _apart(base, before, after):
            return None
    return with_changes(base, mine, wanted)


def with_changes(base: str, ours: Sequence[Replacement], theirs: Sequence[Replacement]) -> str:
    """`base` with the changes of both; what both changed alike is changed once."""
    wanted = [change for change in theirs if change not in ours]
    kept = bytearray(b"\x01") * len(base)
    inserted: dict[int, str] = {}
    # What is inserted before a place comes before what replaces it; of two insertions at one place ours comes first.
    for start, stop, text in sorted((*ours, *wanted), key=_place):
        kept[start:stop] = bytes(stop - start)
        inserted[start] = inserted.get(start, "") + text
    parts = []
    for index in range(len(base) + 1):
        parts.append(inserted.get(index, ""))
        parts.append(base[index : index + 1] if index < len(base) and kept[index] else "")
    return "".join(parts)


def _place(change: Replacement) -> tuple[int, int]:
    return change[0], change[1]


def _regions(base: str, changes: Sequence[Replacement]) -> list[Replacement]:
    """The changes of one side in whole words, those joined between which no words stay, or fewer than were changed."""
    regions: list[Replacement] = []
    for change in changes:
        start, stop, text = _in_whole_words(base, change)
        if regions:
            before = regions[-1]
            between = base[before[1] : start]
            stays = len(WORD.findall(between))
            if not stays or (
                "\n" not in between
                and stays <= min(words_changed(base, before), words_changed(base, (start, stop, text)))
            ):
                start, text = before[0], before[2] + between + text
                regions.pop()
        regions.append((start, stop, text))
    return regions


def _in_whole_words(base: str, change: Replacement) -> Replacement:
    start, stop, text = change
    while 0 < start < len(base) and WORD.fullmatch(base[start - 1 : start + 1]):
        start, text = start - 1, base[start - 1] + text
    while 0 < stop < len(base) and WORD.fullmatch(base[stop - 1 : stop + 1]):
        stop, text = stop + 1, text + base[stop]
    return start, stop, text


def _apart(base: str, before: Replacement, after: Replacement) -> bool:
    """Whether a word or the end of a line is between two changes, of which either may bring that end along."""
    between = base[before[1] : after[0]]
    if before[1] > after[0]:
        return False
    if WORD.search(between) or "\n" in between:
        return True
    before_ends = before[2].endswith("\n") and not between
    after_begins = after[2].startswith("\n") and not between
    if before[0] == before[1] == after[0] == after[1]:  # whole lines at one place
        return (before_ends and after[2].endswith("\n")) or (before[2].startswith("\n") and after_begins)
    return before_ends if before[0] == before[1] == after[0] else after_begins
