"""When two values say the same, however they were typed. Values are stored as typed; only comparisons go through here.

| | finding, natural keys: `folded` | conflicts, set members: `same_form` |
|---|---|---|
| composed and decomposed letters (NFC, NFD), full and half width | equal | equal |
| blanks around, several blanks in a row | equal | equal |
| e-mail addresses: case, blanks inside | equal | equal |
| phone numbers: blanks, `- . / ( )`, `00` for `+`, a `(0)` after the country | equal | equal |
| upper and lower case elsewhere; ligatures, superscripts and the like (NFKC) | equal | different |

What looks like an e-mail address is one: text around a single `@`. A phone number begins with `+`, `0` or `(`, holds
nothing but digits and those marks, and has 7 to 15 digits (the most that E.164 allows).
"""

import re
import unicodedata
from typing import TYPE_CHECKING

from crdt_sync.records.values import canonical
from crdt_sync.spelling import one_spelling, spaced_once

if TYPE_CHECKING:
    from crdt_sync.records.field_settings import FieldSettings

_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\Z")
_PHONE = re.compile(r"[+0(][0-9 ()./\-\u2010-\u2015]*\Z")
_TRUNK = re.compile(r"(?<=\d)\s*\(0\)")  # +49 (0)30: dialled within the country only
_NO_DIGIT = re.compile(r"\D+")
_PHONE_DIGITS_MIN, _PHONE_DIGITS_MAX = 7, 15
_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue"})
_UNSEEN = frozenset({"Cc", "Cf", "Mn", "Zl", "Zp", "Zs"})  # alone; marks are seen upon a letter
_FILLERS = frozenset("\u115f\u1160\u2800\u3164\uffa0")  # letters and a symbol that are drawn as blanks


def folded(text: str) -> str:
    """The form in which texts are found, and natural keys compared. Folding twice changes nothing."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    text = spaced_once(text).casefold()
    if not text.isascii():
        text = spaced_once(unicodedata.normalize("NFKC", text).casefold())
        text = unicodedata.normalize("NFC", text)
    return _contact(text)


def same_form(text: str) -> str:
    """The form in which conflicting values and members of a set are compared. Forming twice changes nothing."""
    return _contact(one_spelling(text))


def identity(carrier: object, spec: "FieldSettings | None") -> str:
    """One text for all carriers that say the same in a field; without its `spec`, for equal ones alone."""
    if isinstance(carrier, str) and spec is not None and spec.is_free_text:
        return canonical(same_form(carrier))
    if spec is not None and spec.type == "decimal" and type(carrier) is int:
        return canonical(str(carrier))  # written when the field was an integer
    return canonical(carrier)


def filled(carrier: object) -> bool:
    """Whether a carrier says anything; blanks, and characters that nobody sees, do not."""
    if not isinstance(carrier, str):
        return carrier is not None
    return not all(unicodedata.category(character) in _UNSEEN or character in _FILLERS for character in carrier)


def equal_when_folded(one: object, other: object) -> bool:
    """Whether two carriers are equal, texts in their folded form."""
    if isinstance(one, str) and isinstance(other, str):
        return one == other or folded(one) == folded(other)
    return bool(one == other)


def contains(text: str, sought: str) -> bool:
    """Whether `text` contains the folded text `sought`; in a phone number, its digits in a row are enough.

    Letters with accents are found by those without, and umlauts also as ae, oe, ue, and the other way round.
    """
    found = folded(text)
    if sought in found:
        return True
    if not (found.isascii() and sought.isascii()) and any(
        form(sought) in form(found) for form in (_spelt_out, _without_accents)
    ):
        return True
    digits = _NO_DIGIT.sub("", sought)
    return bool(digits) and _is_phone(text.strip()) and not sought.strip("+0123456789 ()./-") and digits in found


def _spelt_out(text: str) -> str:
    return text.translate(_UMLAUTS)


def _without_accents(text: str) -> str:
    return "".join(each for each in unicodedata.normalize("NFD", text) if not unicodedata.combining(each))


def _contact(text: str) -> str:
    """An e-mail address or phone number in the form in which it is compared; other text as it is."""
    if "@" in text:
        closed = re.sub(r"\s*@\s*", "@", text)
        return unicodedata.normalize("NFC", closed.casefold()) if _EMAIL.match(closed) else text
    if text[:1] in ("+", "0", "(") and _is_phone(text):
        number = _NO_DIGIT.sub("", _TRUNK.sub("", text) if text.startswith(("+", "00")) else text)
        if text.startswith("00"):
            return "+" + number[2:]
        return "+" + number if text.startswith("+") else number
    return text


def _is_phone(text: str) -> bool:
    return (
        _PHONE.match(text) is not None
        and _PHONE_DIGITS_MIN <= sum(character.isdigit() for character in text) <= _PHONE_DIGITS_MAX
    )
