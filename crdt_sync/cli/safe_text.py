"""Texts of customers on a terminal: nothing in them may move the cursor, change colours or reorder what is read."""

import json
import re
from collections.abc import Mapping, Sequence

# Control characters of both ranges, line separators, bidirectional overrides, lone surrogates.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_UNSAFE_IN_JSON = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_NAME_LENGTH_MAX = 60
_NAMES_MAX = 12
_NAMED = {"\n": "⏎", "\t": " "}


def one_line(text: str) -> str:
    """`text` for a table cell: line breaks as ⏎, everything that a terminal would act on as an escape."""
    return _UNSAFE.sub(_escape, text.replace("\r\n", "\n"))


def lines(text: str) -> str:
    """`text` for a place of its own: line breaks stay, everything else as in `one_line`."""
    return "\n".join(one_line(line) for line in text.replace("\r\n", "\n").split("\n"))


def name(text: str) -> str:
    """A name that nobody here gave, as that of a field without a schema: in one line, and never longer than a cell."""
    shown = one_line(text[: _NAME_LENGTH_MAX + 1])
    return shown if len(text) <= _NAME_LENGTH_MAX else f"{shown[:_NAME_LENGTH_MAX]}…"


def names(texts: Sequence[str]) -> str:
    """Several of them, and how many there are beside."""
    rest = len(texts) - _NAMES_MAX
    return ", ".join(map(name, texts[:_NAMES_MAX])) + (f" and {rest} more" if rest > 0 else "")


def json_line(data: Mapping[str, object]) -> str:
    """One line of JSON that is safe on a terminal too."""
    text = json.dumps(data, ensure_ascii=False, separators=(", ", ": "), allow_nan=False)
    return _UNSAFE_IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _escape(found: re.Match[str]) -> str:
    character = found[0]
    if character in _NAMED:
        return _NAMED[character]
    if ord(character) < 0x100:
        return f"\\x{ord(character):02x}"
    return f"\\u{ord(character):04x}"
