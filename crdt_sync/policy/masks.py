"""Masks: what is shown of a value that may be seen in part.

A mask hides at least four characters, and always shows as many stars, so that it tells no length. A short value is
hidden whole: its last characters would be most of it. So is one that is too long to be what masks are for.
"""

import re
from collections.abc import Callable, Mapping
from typing import Final

from crdt_sync.limits import MASKED_LENGTH_MAX

_STARS = "****"
_TAIL = 4
_HEAD = 3
_TAIL_LENGTH_MIN = _TAIL + 4
_PHONE_LENGTH_MIN = _HEAD + _TAIL + 4


def _phone(text: str) -> str:
    """`138****1234`. Of fewer than eleven digits only the last four, of fewer than eight none."""
    digits = "".join(each for each in text if each.isdecimal())
    if len(digits) >= _PHONE_LENGTH_MIN:
        return f"{digits[:_HEAD]}{_STARS}{digits[-_TAIL:]}"
    return _tail(digits)


def _last4(text: str) -> str:
    """`****1234`: the last four letters or digits, where there are eight."""
    return _tail("".join(each for each in text if each.isalnum()))


def _tail(characters: str) -> str:
    return _STARS + (characters[-_TAIL:] if len(characters) >= _TAIL_LENGTH_MIN else "")


MASKS: Final[Mapping[str, Callable[[str], str]]] = {"last4": _last4, "phone": _phone}
"""The masks by name, from the one that shows least: of two that somebody is given, the later one counts."""


_SHOWN = re.compile(r"(\d{3})?\*{4}\w{0,4}")


def masked(mask: str, text: str) -> str:
    """What a mask shows of a text; nothing of an empty one."""
    if len(text) > MASKED_LENGTH_MAX:
        return _STARS
    return MASKS[mask](text) if text.strip() else ""


def looks_masked(text: str) -> bool:
    """Whether a text is like what a mask shows, and so most likely was copied from there."""
    return _SHOWN.fullmatch(text.strip()) is not None


def weaker(one: str, other: str) -> str:
    """Of two masks the one that shows more."""
    order = list(MASKS)
    return max(one, other, key=order.index)
