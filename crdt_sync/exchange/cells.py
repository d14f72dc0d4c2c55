"""From the carrier of a field to what a file holds: a text cell or a JSON value."""

import json
import re
from datetime import date
from decimal import Decimal

from crdt_sync.exchange.guard import guard
from crdt_sync.exchange.json_tables import parse_json
from crdt_sync.records.field_values import restore
from crdt_sync.records.schema import FieldSpec
from crdt_sync.records.values import parse_json_carrier

_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?\Z")
_LIKE_THOUSANDS = re.compile(r"-?[1-9][0-9]{0,2}\.[0-9]{3}")  # 1.234 is 1234 to some readers, 1.2340 to none
_LONG_INTEGER = re.compile(r"-?[1-9][0-9]{15,300}")  # beyond the 15 digits that a sheet keeps
_TEXT_TYPES = frozenset({"string", "enum", "reference", "json"})


def text_cell(spec: FieldSpec, carrier: object, *, guarded: bool = False) -> str:
    """The cell of a text table; empty for no value. Sets, logs and `json` values are JSON text.

    `guarded` keeps spreadsheets from running texts as formulas; numbers and dates are left as they are.
    """
    if carrier is None:
        return ""
    if isinstance(carrier, str):
        if spec.type == "decimal" and _LIKE_THOUSANDS.fullmatch(carrier):
            return f"{carrier}0"
        return guard(carrier) if guarded and spec.type in _TEXT_TYPES else carrier
    if isinstance(carrier, list) and not carrier:
        return ""
    return json_value(spec, carrier)


def json_value(spec: FieldSpec, carrier: object) -> str:
    """The JSON text of a field. Decimals and integers are numbers with all their digits, dates are texts."""
    if isinstance(carrier, str):
        if spec.type in ("decimal", "integer") and _NUMBER.match(carrier):
            return carrier
        if spec.type != "json":
            return _ENCODE(carrier)
    return _ENCODE(_with_exact_numbers(restore(spec, carrier)))


def sheet_value(carrier: str) -> object:
    """The value of a `json` field as a sheet holds it: plain values as they are, others as JSON text.

    What is no JSON, which another program wrote, is its text.
    """
    try:
        value = parse_json_carrier(carrier)
    except ValueError:
        return carrier
    if isinstance(value, str):
        return value if read_sheet_text(value) == value else _ENCODE(value)
    return value if isinstance(value, (bool, int)) else _ENCODE(value)


def read_sheet_text(text: str) -> str | int | list[object] | dict[str, object]:
    """What a text in a sheet means in a `json` field: JSON for an object, an array, a quoted text or an integer that is
    too long for a number of a sheet; any other is itself.
    """
    if _LONG_INTEGER.fullmatch(text):
        return int(text)
    if text[:1] not in ("[", "{", '"'):
        return text
    try:
        value = parse_json(text)
    except ValueError:
        return text
    return value if isinstance(value, (str, list, dict)) else text


def _with_exact_numbers(value: object) -> object:
    """Decimals inside sets and logs as texts: the encoder would make them floats."""
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, list):
        return [_with_exact_numbers(member) for member in value]
    if isinstance(value, dict):
        return {key: _with_exact_numbers(member) for key, member in value.items()}
    return value


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, date) else str(value)


_ENCODE = json.JSONEncoder(ensure_ascii=False, default=_plain).encode
