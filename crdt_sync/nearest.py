"""Which of the known names somebody may have meant."""

from collections.abc import Iterable, Mapping
from difflib import SequenceMatcher, get_close_matches

_CLOSE_MAX = 3
_LISTED_MAX = 20
_COMPARED_LENGTH = 60  # characters


def suggestion(given: str, known: Iterable[str], what: str, meaning: Mapping[str, str] | None = None) -> str:
    """A sentence for a hint: the names close to `given`, or else what is known, the nearest first.

    `what` is their plural; `meaning` gives other names of the same things, each with the one to be told.
    """
    names = dict.fromkeys(known)
    others = dict(meaning or {})
    close = get_close_matches(given, [*names, *others], n=_CLOSE_MAX * (1 + bool(others)))
    if close:
        return f"Did you mean {', '.join([*dict.fromkeys(others.get(name, name) for name in close)][:_CLOSE_MAX])}?"
    every = sorted(names, key=lambda name: (-_nearness(given, name), name))
    more = f" and {len(every) - _LISTED_MAX} more" if len(every) > _LISTED_MAX else ""
    return f"Known {what}: {', '.join(every[:_LISTED_MAX]) or 'none'}{more}."


def _nearness(one: str, other: str) -> float:
    first, second = (text[:_COMPARED_LENGTH].casefold() for text in (one, other))
    return SequenceMatcher(None, first, second, autojunk=False).ratio()
