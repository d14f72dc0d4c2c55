"""Phones, postal codes and ids that a spreadsheet took for numbers: last digits, leading zeros and plus are lost."""

import re

from crdt_sync.errors import InvalidValue
from crdt_sync.exchange.contacts import contact_of
from crdt_sync.exchange.names import loose
from crdt_sync.records.schema import FieldSpec

_ROUNDED = re.compile(r"\s*[+-]?\d([.,]\d+)?[eE]\+\d{1,3}\s*\Z")
_MARKS = re.compile(r"[\d\s()./-]+")  # of a number that is dialled, without a plus
_POSTAL = re.compile(r"postal|postcode|zip|plz|postleitzahl|邮编|邮政编码|郵便番号")


def is_rounded(text: str) -> bool:
    """Whether a text is a number in scientific notation: different ones look alike, and it identifies nothing."""
    return _ROUNDED.match(text) is not None


def in_short(text: str) -> str:
    """What is wrong with such a text."""
    return f"{text.strip()[:60]!r} is a number in short, as a spreadsheet shows long ones"


def is_dialled(field: str, spec: FieldSpec) -> bool:
    """Whether a field of texts holds phone numbers or postal codes."""
    return contact_of(field, spec) == "phone number" or bool(_POSTAL.search(loose(field)))


def check_whole(field: str, text: str) -> None:
    """Raise `InvalidValue` for digits of which a spreadsheet kept the first few."""
    if is_rounded(text):
        raise InvalidValue(
            field,
            f"{in_short(text)}: its last digits are lost",
            "Format the column as text in the spreadsheet, enter the cell again and save the file.",
        )


def only_lost_digits(field: str, spec: FieldSpec, here: object, wanted: object) -> bool:
    """Whether what a table says of a phone or postal code is what is here without its leading zeros or plus."""
    if not isinstance(here, str) or not isinstance(wanted, str) or not is_dialled(field, spec):
        return False
    digits, said = re.sub(r"\D", "", here), re.sub(r"\D", "", wanted)
    if digits.startswith("0") and said == digits.lstrip("0") and _MARKS.fullmatch(wanted):
        return True
    lost = here.strip().startswith("+") or digits.startswith("0")
    return lost and wanted.strip().isdecimal() and wanted.strip() in {digits.lstrip("0"), digits} - {here.strip()}
