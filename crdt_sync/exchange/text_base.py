"""What a text of an export was edited from, where the export does not say so and the field has changed since."""

from collections.abc import Sequence

from crdt_sync.records.text_diff import WORD, differences


def text_base(text: str, present: str, before: Sequence[str], *, known: bool) -> str | None:
    """The text that `text` was edited from: of what the field held `before` (oldest first) and holds now the one of
    which it has the most words. Where that leaves a doubt, one from before, so that what came since is not taken for
    removed. None where it cannot be told.

    `known` tells whether `before` is all that it held. Where it is not, a text that leaves every word of what is there
    now takes nothing away if it was edited from that.
    """
    if known:
        held = [*(each for each in before if each != present), present]
        words = [_words_left(each, text) for each in held]
        return held[words.index(max(words))] if max(words) else None
    only_adds = all(start == stop for start, stop, _ in differences(present, text))
    return present if only_adds else None


def _words_left(old: str, new: str) -> int:
    """How many words of a text are in a later one."""
    gone = sum(len(WORD.findall(old[start:stop])) for start, stop, _ in differences(old, new))
    return len(WORD.findall(old)) - gone
