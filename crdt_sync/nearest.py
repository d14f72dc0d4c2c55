"""Which of the known names somebody may have meant."""

from collections.abc import Iterable
from difflib import SequenceMatcher, get_close_matches

_LISTED_MAX = 20
_COMPARED_LENGTH = 60  # characters


def suggestion(given: str, known: Iterable[str], what: str, listed: Iterable[str] | None = None) -> str:
    """A sentence for a hint: the names close to `given`, or else what is known, the nearest first.

    `what` is their plural; `listed` are those to list, where others of the same things are known as well.
    """
    names = list(known)
    close = get_close_matches(given, names, n=3)
    if close:
        return f"Did you mean {', '.join(close)}?"
    every = sorted(dict.fromkeys(names if listed is None else listed), key=lambda name: (-_nearness(given, name), name))
    more = f" and {len(every) - _LISTED_MAX} more" if len(every) > _LISTED_MAX else ""
    return f"Known {what}: {', '.join(every[:_LISTED_MAX]) or 'none'}{more}."


def _nearness(one: str, other: str) -> float:
    first, second = (text[:_COMPARED_LENGTH].casefold() for text in (one, other))
    return SequenceMatcher(None, first, second, autojunk=False).ratio()
