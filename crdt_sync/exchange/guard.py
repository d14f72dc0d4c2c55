"""Spreadsheets run a CSV cell that starts like a formula; an apostrophe in front makes it text.

Guarding changes what is in the file, phone numbers such as `+49 30 555` included, so it is an option; it can be undone
exactly: every text that `guard` changes, and no other, `unguard` changes back.
"""

import re

_TRIGGERS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # the wide forms count in some locales
_RUN = ("=", "@", "＝", "＠")
_CALL = re.compile(r"[+\-＋－].*[A-Za-z(|!]", re.DOTALL)  # numbers and phone numbers start with a sign, too


def is_formula(text: str) -> bool:
    """Whether a spreadsheet might run more of `text` than the sign of a number."""
    return text.startswith(_RUN) or _CALL.match(text) is not None


def guard(text: str) -> str:
    """`text` with an apostrophe in front if a spreadsheet might run it."""
    return f"'{text}" if text.lstrip("'").startswith(_TRIGGERS) else text


def unguard(text: str) -> str:
    """The text that `guard` made this one of."""
    return text[1:] if text.startswith("'") and text.lstrip("'").startswith(_TRIGGERS) else text
