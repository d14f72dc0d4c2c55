"""One spelling of what people type differently without noticing: width of letters, composed letters, blanks."""

import unicodedata

_WIDTHS = ("<wide>", "<narrow>")


def one_spelling(text: str) -> str:
    """Composed letters (NFC), of full or half width as is usual, and single blanks inside. Twice changes nothing."""
    if not text.isascii():
        text = unicodedata.normalize("NFC", "".join(map(_usual_width, text)))
    return spaced_once(text)


def spaced_once(text: str) -> str:
    """No blanks around, and one where several are in a row."""
    return " ".join(text.split())


def _usual_width(character: str) -> str:
    kind, _, code = unicodedata.decomposition(character).partition(" ")
    return chr(int(code, 16)) if kind in _WIDTHS else character
