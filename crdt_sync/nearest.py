"""Which of the known names somebody may have meant."""

from collections.abc import Iterable
from difflib import get_close_matches

_LISTED_MAX = 40


def suggestion(given: str, known: Iterable[str], what: str) -> str:
    """A sentence for a hint: the names close to `given`, or else what is known; `what` is their plural."""
    names = list(known)
    close = get_close_matches(given, names, n=3)
    if close:
        return f"Did you mean {', '.join(close)}?"
    return f"Known {what}: {', '.join(sorted(names)[:_LISTED_MAX]) or 'none'}."
