"""Where one range ends and the next begins.

A range holds the records after its lower bound, up to and including its upper one. A bound is any text of
printable ASCII or DEL, not only a record id; DEL sorts after everything that a record id may hold.
"""

import re

from crdt_sync.ids import RECORD_LENGTH_MAX

_BOUND = re.compile(rf"\A[!-\x7f]{{1,{RECORD_LENGTH_MAX}}}\Z")
_LAST = "\x7f"


def is_bound(text: str) -> bool:
    """Whether `text` can be a bound."""
    return _BOUND.match(text) is not None


def separator(left: str, right: str) -> str:
    """A short text `b` with `left <= b < right`, for two neighbours in ascending order."""
    shared = shared_length(left, right)
    if shared == len(left):
        return left
    if shared + 1 < len(right):
        return right[: shared + 1]
    return min(left, left[: shared + 1] + _LAST, key=len)


def shared_length(left: str, right: str, guess: int = 0) -> int:
    """How many characters two texts have in common at their beginning; quickest if `guess` is near."""
    length = min(guess, len(left), len(right))
    if left[:length] != right[:length]:
        length = 0
    end = min(len(left), len(right))
    while length < end and left[length] == right[length]:
        length += 1
    return length
