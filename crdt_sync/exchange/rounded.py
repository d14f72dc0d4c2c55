"""Texts in scientific notation, as spreadsheets show and save long numbers."""

import re

_ROUNDED = re.compile(r"\s*[+-]?\d([.,]\d+)?[eE]\+\d{1,3}\s*\Z")


def is_rounded(text: str) -> bool:
    """Whether a text is such a number: different ones are shown alike, so that it identifies nothing."""
    return _ROUNDED.match(text) is not None
