"""Phones, postal codes and ids that a spreadsheet took for numbers: last digits, leading zeros and plus are lost."""

import re

from crdt_sync.errors import InvalidValue
from crdt_sync.exchange.contacts import contact_of
from crdt_sync.exchange.key_columns import is_number
from crdt_sync.exchange.mapping import loose
from crdt_sync.exchange.rounded import is_rounded
from crdt_sync.records.schema import FieldSpec

_POSTAL = re.compile(r"postal|postcode|zip|plz|postleitzahl|邮编|邮政编码|郵便番号")


def holds_digits(field: str, spec: FieldSpec, header: str = "") -> bool:
    """Whether a field, or the column with that header, holds texts of digits that are no amounts."""
    if spec.type != "string":
        return False
    return _is_dialled(field, spec) or is_number(field) or is_number(header)


def check_whole(field: str, text: str) -> None:
    """Raise `InvalidValue` for digits of which a spreadsheet kept the first few."""
    if is_rounded(text):
        raise InvalidValue(
            field,
            f"{text.strip()[:60]!r} is a number in short, as a spreadsheet shows long ones: its last digits are lost",
            "Format the column as text in the spreadsheet, enter the cell again and save the file.",
        )


def only_lost_digits(field: str, spec: FieldSpec, here: object, wanted: object) -> bool:
    """Whether what a table says of a phone or postal code is what is here without its leading zeros or plus."""
    if not isinstance(here, str) or not isinstance(wanted, str) or not _is_dialled(field, spec):
        return False
    digits = re.sub(r"\D", "", here)
    lost = here.strip().startswith("+") or digits.startswith("0")
    return lost and wanted.strip().isdecimal() and wanted.strip() in {digits.lstrip("0"), digits} - {here.strip()}


def _is_dialled(field: str, spec: FieldSpec) -> bool:
    return contact_of(field, spec) == "phone number" or bool(_POSTAL.search(loose(field)))
