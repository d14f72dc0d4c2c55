"""The lives of a store: which of the cursors that it ever handed out speak of the history that it holds.

Rules:

1. A life begins when a process starts to hand out cursors, to sessions or with a bundle. Its id, 16 random bytes, is
   the epoch that it names with them. A store keeps its last lives and where each ended.
2. The first commit of a process ends the life that it finds open, at the head before that commit and in the same
   transaction. Until then, the process takes it for ended there.
3. So whoever opens an older image of a store, however it was put back, ends the life in which the image was taken at
   the image's head: what was handed out beyond it was of a history that is not this one. Lives that began after the
   image are not known in it at all.
4. The log up to the end of a known life is the one that was handed out in it. A number at or below that end means
   the same in every later life; a number beyond it means nothing.

Pure: the stores keep and write what these functions return.
"""

from collections.abc import Sequence
from typing import NamedTuple

from crdt_sync.limits import LIVES_MAX


class Life(NamedTuple):
    """One life: its 16-byte id, and the last sequence number of it that is in the log; None while it lasts."""

    id: bytes
    end: int | None


Lives = tuple[Life, ...]
"""Ascending by age; never empty; only the last can be open."""


def first(life: bytes) -> Lives:
    """A history that begins, or begins anew: no other life is known."""
    return (Life(life, None),)


def ended(lives: Lives, head: int) -> Lives:
    """Nothing is handed out in the last life any more; `head` is the last sequence number."""
    *past, last = lives
    return lives if last.end is not None else (*past, Life(last.id, head))


def begun(lives: Lives, head: int, life: bytes) -> Lives:
    """A new life after `head`; the oldest is forgotten where there are too many."""
    return (*ended(lives, head), Life(life, None))[-LIVES_MAX:]


def reach(lives: Sequence[Life], life: bytes, head: int) -> int | None:
    """Up to which sequence number the history of `life` is the one that is here; None for a life that is not known."""
    for known in reversed(lives):
        if known.id == life:
            return head if known.end is None else known.end
    return None
