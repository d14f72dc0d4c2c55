"""Values: what a field may hold, how it is carried in the CRDT, and how it is read back.

A *carrier* is the form that the CRDT stores and that views hold: text, boolean, None or an exact integer.
Yjs numbers are JavaScript numbers and pycrdt panics on some inputs, so nothing reaches it unchecked:

| type | Python | carrier |
|---|---|---|
| string, enum, reference | str | the text |
| integer | int | integer up to 2**53 - 1 either way, beyond that decimal text |
| decimal | Decimal | canonical decimal text, without exponent and without trailing zeros |
| boolean | bool | boolean |
| date | date | `YYYY-MM-DD` |
| datetime | aware datetime | ISO 8601 in UTC, ending in `Z` |
| json | any JSON value | its canonical JSON text |
"""

import json
import re
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime
from decimal import Context, Decimal, InvalidOperation
from math import isfinite
from typing import TYPE_CHECKING

from crdt_sync.errors import InvalidValue
from crdt_sync.ids import collection_of, is_record
from crdt_sync.limits import INTEGER_EXACT_MAX, JSON_DEPTH_MAX, VALUE_BYTES_MAX

if TYPE_CHECKING:
    from crdt_sync.records.field_settings import FieldSettings

Carrier = str | int | float | bool | None

DECIMAL_DIGITS_MAX = 100  # before and behind the point together: any currency, any scientific constant
INTEGER_BITS_MAX = 1024  # far beyond any identifier, and quick to print
_TOTAL_DIGITS_MAX = 3 * DECIMAL_DIGITS_MAX  # of a sum of such numbers, however many there are
_EXACT = Context(prec=3 * _TOTAL_DIGITS_MAX)  # sums of these are exact

_ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_ENCODE = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode


def canonical(carrier: object) -> str:
    """Sorted, compact JSON text: one text for one value, so that it can be compared and be a map key."""
    return _ENCODE(carrier)


def normalise_value(field: str, spec: "FieldSettings", value: object) -> Carrier:
    """The carrier of one value that is not None, by the type of the field alone. Raises `InvalidValue`."""
    return _NORMALISE[spec.type](field, spec, value)


def restore_value(spec: "FieldSettings", carrier: object) -> object:
    """The Python value of one value, member or log entry; never raises."""
    reader = _RESTORE.get(spec.type)
    if reader is None:
        return carrier
    try:
        return reader(carrier)
    except (ValueError, ArithmeticError, TypeError, RecursionError):
        return carrier


def text_carrier(field: str, value: object, bytes_max: int = VALUE_BYTES_MAX) -> str:
    """Check that `value` is text that every replica can store. Raises `InvalidValue`."""
    if not isinstance(value, str):
        if isinstance(value, (list, dict)):
            raise InvalidValue(
                field, "it holds one text, and there are several values", "Choose one; a set or a log takes several."
            )
        raise InvalidValue(field, f"expected text, got {_kind_of(value)}", 'Write it as text, for example "42".')
    try:
        size = len(value.encode("utf-8"))
    except UnicodeEncodeError:
        raise InvalidValue(
            field,
            "the text holds half of a character (a lone surrogate)",
            "Read the source with its right encoding.",
        ) from None
    if size > bytes_max:
        raise InvalidValue(field, f"the text has {size} bytes, the limit is {bytes_max}", "Shorten or split it.")
    if "\x00" in value:
        raise InvalidValue(field, "the text holds a NUL character", "Remove it; no other program could read it.")
    return value


def integer_carrier(value: int) -> int | str:
    """Integers beyond what a JavaScript number holds exactly travel as text."""
    return value if -INTEGER_EXACT_MAX <= value <= INTEGER_EXACT_MAX else str(value)


def decimal_carrier(value: Decimal) -> str:
    """Canonical text of a finite decimal: no exponent, no trailing zeros, no negative zero."""
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def exact_sum(numbers: Iterable[Decimal]) -> Decimal:
    """The sum without the rounding to 28 digits that Decimal arithmetic does by default."""
    result = Decimal(0)
    for number in numbers:
        result = _EXACT.add(result, number)
    return result


def counted(part: object) -> Decimal | None:
    """The number that one writer, or one life, counted; None for what is no number of bounded length."""
    try:
        return parse_decimal("", part, _TOTAL_DIGITS_MAX)
    except InvalidValue:
        return None


def total(parts: Iterable[object]) -> int | str:
    """The sum of what writers counted: a number, or decimal text as soon as one of them is text.

    A part that is no number of bounded length counts nothing, so that one writer cannot spoil the sum.
    """
    parts = list(parts)
    if all(type(part) is int for part in parts):
        return integer_carrier(sum(part for part in parts if isinstance(part, int)))
    return decimal_carrier(exact_sum(number for part in parts if (number := counted(part)) is not None))


def parse_decimal(field: str, value: object, digits_max: int = DECIMAL_DIGITS_MAX) -> Decimal:
    """A finite decimal of bounded length from a decimal, integer, float or text. Raises `InvalidValue`."""
    hint = "Write it as digits with a point, for example 1234.50."
    if isinstance(value, bool) or not isinstance(value, (Decimal, int, float, str)):
        raise InvalidValue(field, f"expected a decimal number, got {_kind_of(value)}", hint)
    if isinstance(value, int):
        value = _bounded(field, value)
    try:
        number = Decimal(repr(value) if isinstance(value, float) else value)
    except (InvalidOperation, ValueError):
        raise InvalidValue(field, f"{_excerpt(value)} is not a decimal number", hint) from None
    if not number.is_finite():
        raise InvalidValue(field, f"{number} is not a number that can be stored", hint)
    digits, exponent = number.as_tuple().digits, number.as_tuple().exponent
    assert isinstance(exponent, int)
    if max(len(digits), len(digits) + exponent, -exponent) > digits_max:
        raise InvalidValue(field, f"the number has more than {digits_max} digits", "Round it.")
    return number


def _string(field: str, _spec: "FieldSettings", value: object) -> Carrier:
    return text_carrier(field, value)


def _integer(field: str, _spec: "FieldSettings", value: object) -> Carrier:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidValue(field, f"expected a whole number, got {_kind_of(value)}", "Write it without a fraction.")
    return integer_carrier(_bounded(field, value))


def _bounded(field: str, value: int) -> int:
    if value.bit_length() > INTEGER_BITS_MAX:
        raise InvalidValue(field, f"the number has more than {INTEGER_BITS_MAX} bits", "Store it as text.")
    return value


def _decimal(field: str, _spec: "FieldSettings", value: object) -> Carrier:
    return decimal_carrier(parse_decimal(field, value))


def _boolean(field: str, _spec: "FieldSettings", value: object) -> Carrier:
    if not isinstance(value, bool):
        raise InvalidValue(field, f"expected true or false, got {_kind_of(value)}", "Use True or False.")
    return value


def _date(field: str, _spec: "FieldSettings", value: object) -> Carrier:
    if isinstance(value, str):
        try:
            value = date.fromisoformat(value.strip())
        except ValueError:
            if _ISO_DATE.fullmatch(str(value).strip()):
                raise InvalidValue(
                    field, f"there is no day {_excerpt(value)}", "Correct its day, month or year."
                ) from None
            raise InvalidValue(field, f"{_excerpt(value)} is not a date", "Write it as YYYY-MM-DD.") from None
    if isinstance(value, datetime) or not isinstance(value, date):
        raise InvalidValue(field, f"expected a date, got {_kind_of(value)}", "Write it as YYYY-MM-DD.")
    return value.isoformat()


def _datetime(field: str, _spec: "FieldSettings", value: object) -> Carrier:
    hint = "Write it with its zone, for example 2026-03-01T09:30:00+01:00."
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value.strip())
        except ValueError:
            raise InvalidValue(field, f"{_excerpt(value)} is not a date and time", hint) from None
    if not isinstance(value, datetime):
        raise InvalidValue(field, f"expected a date and time, got {_kind_of(value)}", hint)
    if value.utcoffset() is None:
        raise InvalidValue(field, "the date and time has no time zone", hint)
    try:
        return value.astimezone(UTC).isoformat().removesuffix("+00:00") + "Z"
    except OverflowError:
        raise InvalidValue(field, "the date and time is out of range in UTC", hint) from None


def _enum(field: str, spec: "FieldSettings", value: object) -> Carrier:
    text = text_carrier(field, value)
    if text not in spec.choices:
        raise InvalidValue(field, f"{_excerpt(text)} is not a choice", f"One of: {', '.join(spec.choices)}.")
    return text


def _reference(field: str, spec: "FieldSettings", value: object) -> Carrier:
    text = text_carrier(field, value)
    if not is_record(text):
        raise InvalidValue(field, f"{_excerpt(text)} is not a record id", "A record id is 'collection/key'.")
    if spec.collection is not None and collection_of(text) != spec.collection:
        raise InvalidValue(field, f"{_excerpt(text)} is not in the collection {spec.collection!r}")
    return text


def _json(field: str, _spec: "FieldSettings", value: object) -> Carrier:
    check_json(field, value, 0)
    try:
        return text_carrier(field, canonical(value))
    except ValueError:
        raise InvalidValue(field, "NaN and infinity are not JSON", "Use null instead.") from None


def check_json(field: str, value: object, depth: int) -> None:
    """Refuse what JSON text cannot carry back unchanged. Raises `InvalidValue`."""
    if depth > JSON_DEPTH_MAX:
        raise InvalidValue(field, f"the JSON value is nested deeper than {JSON_DEPTH_MAX}", "Flatten it.")
    if isinstance(value, dict):
        for key, member in value.items():
            if not isinstance(key, str):
                raise InvalidValue(field, f"JSON object keys are text, got {_kind_of(key)}")
            check_json(field, member, depth + 1)
    elif isinstance(value, (list, tuple)):
        for member in value:
            check_json(field, member, depth + 1)
    elif isinstance(value, int) and not isinstance(value, bool):
        _bounded(field, value)
    elif value is not None and not isinstance(value, (str, bool, float)):
        raise InvalidValue(field, f"{_kind_of(value)} is not a JSON value", "Use text, numbers, lists and objects.")


def _read_integer(carrier: object) -> object:
    if isinstance(carrier, str):
        return int(carrier) if len(carrier) <= INTEGER_BITS_MAX else carrier
    return carrier


def _read_decimal(carrier: object) -> object:
    try:
        return parse_decimal("", carrier)
    except InvalidValue:
        return carrier


def _read_date(carrier: object) -> object:
    return date.fromisoformat(carrier) if isinstance(carrier, str) else carrier


def _read_datetime(carrier: object) -> object:
    if not isinstance(carrier, str):
        return carrier
    moment = datetime.fromisoformat(carrier)
    if moment.utcoffset() is None:
        return carrier
    moment.astimezone(UTC)  # raises where it is out of range there
    return moment


def _read_json(carrier: object) -> object:
    return parse_json_carrier(carrier) if isinstance(carrier, str) else carrier


def parse_json_carrier(carrier: str) -> object:
    """The value of JSON text that anybody may have written, as far as `normalise` takes it. Raises `ValueError`."""
    try:
        value = json_value(carrier)
        if carrier.count("[") + carrier.count("{") > JSON_DEPTH_MAX:
            check_json("", value, 0)
    except (RecursionError, InvalidValue):
        raise ValueError(f"the JSON is nested deeper than {JSON_DEPTH_MAX}, or has a number that is too long") from None
    if "\\u" in carrier:
        canonical(value).encode()
    return value


def _finite(text: str) -> float:
    number = float(text)
    if not isfinite(number):
        raise ValueError(f"{text[:60]} is no number that can be stored")
    return number


json_value = json.JSONDecoder(parse_constant=_finite, parse_float=_finite).decode
"""What JSON text says, all numbers of it finite. Raises `ValueError` and `RecursionError`."""


def _kind_of(value: object) -> str:
    return type(value).__name__


def _excerpt(value: object) -> str:
    return repr(str(value)[:60])


_NORMALISE: dict[str, Callable[[str, "FieldSettings", object], Carrier]] = {
    "string": _string,
    "integer": _integer,
    "decimal": _decimal,
    "boolean": _boolean,
    "date": _date,
    "datetime": _datetime,
    "enum": _enum,
    "reference": _reference,
    "json": _json,
}

_RESTORE: dict[str, Callable[[object], object]] = {
    "integer": _read_integer,
    "decimal": _read_decimal,
    "date": _read_date,
    "datetime": _read_datetime,
    "json": _read_json,
}
