"""Numbers and dates as people write them: every reading that a text has, so that nothing is guessed.

`number_readings` and `date_readings` give a value for each convention under which the text makes sense. One value means
that the text speaks for itself; several, that only its column or the user can say which; none, that it is no such text.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from typing import Literal

from crdt_sync.exchange.conventions import LOCAL, DateOrder, DecimalMark

_NUMBER_LENGTH_MAX = 128  # characters
_SYMBOLS = {"€": "EUR", "£": "GBP", "¥": "¥", "￥": "¥", "$": "$", "₹": "INR", "zł": "PLN", "kr": "kr", "Fr.": "CHF"}
_UNIT = r"[A-Z]{3}|[A-Z]{0,2}\$|€|£|¥|₹|zł|kr\.?|Fr\.|元|円"
_AMOUNT = re.compile(
    rf"(?P<sign>[-+]?)\s*(?P<before>{_UNIT})?\s*(?P<inner>[-+]?)(?P<body>\d[\d.,'\s]*|[.,]\d+)\s*(?P<after>{_UNIT})?"
)
_GROUPS = {
    mark: re.compile(
        rf"[1-9]\d{{0,2}}(?:{re.escape(mark)}\d{{3}})+|[1-9]\d?(?:{re.escape(mark)}\d{{2}})+{re.escape(mark)}\d{{3}}"
    )
    for mark in ".,' "
}
_OTHER: dict[DecimalMark, DecimalMark] = {".": ",", ",": "."}
_MARKS: tuple[DecimalMark, ...] = (".", ",")


@dataclass(frozen=True, slots=True)
class Numbers:
    """The readings of one text: decimal mark to value, and the unit beside it, such as EUR, or an empty text."""

    by_mark: Mapping[DecimalMark, Decimal]
    unit: str = ""


def number_readings(text: str) -> Numbers:
    """The values that `text` has with a decimal point and with a decimal comma, where it makes sense so.

    Signs, thousands in groups, spaces and apostrophes between them, full-width digits and one currency are understood.
    """
    plain = unicodedata.normalize("NFKC", text.strip()).replace("\u2212", "-").replace("\u2019", "'")
    match = _AMOUNT.fullmatch(plain) if len(plain) <= _NUMBER_LENGTH_MAX else None
    if match is None or (match["sign"] and match["inner"]) or (match["before"] and match["after"]):
        return Numbers({})
    unit = match["before"] or match["after"] or ""
    body = re.sub(r"\s", " ", match["body"]).strip()
    found: dict[DecimalMark, Decimal] = {}
    for mark in _MARKS:
        if (digits := _digits(body, mark)) is not None:
            found[mark] = Decimal((match["sign"] or match["inner"]) + digits)
    return Numbers(found, _SYMBOLS.get(unit, unit))


def _digits(body: str, mark: DecimalMark) -> str | None:
    """The digits with a point for their fraction, read with `mark` as the decimal mark; None if that makes no sense."""
    whole, found, fraction = body.partition(mark)
    if found and not fraction.isdecimal():
        return None
    groups = [each for each in (_OTHER[mark], "'", " ") if each in whole]
    if len(groups) > 1:
        return None
    if groups:
        if not _GROUPS[groups[0]].fullmatch(whole):
            return None
        whole = whole.replace(groups[0], "")
    if whole and not whole.isdecimal():
        return None
    return f"{whole or '0'}.{fraction}" if found else whole


MONTHS = {
    name: number
    for number, names in enumerate(
        (
            "january jan januar jänner janvier enero gennaio",
            "february feb februar février febrero febbraio",
            "march mar märz mär mrz mars marzo",
            "april apr avril abril aprile",
            "may mai mayo maggio",
            "june jun juni juin junio giugno",
            "july jul juli juillet julio luglio",
            "august aug août agosto",
            "september sep sept septembre septiembre settembre",
            "october oct oktober okt octobre octubre ottobre",
            "november nov novembre noviembre",
            "december dec dezember dez décembre diciembre dicembre",
        ),
        1,
    )
    for name in names.split()
}
_YEAR_FIRST = re.compile(r"(\d{4})\s*[-/.年]\s*(\d{1,2})\s*[-/.月]\s*(\d{1,2})\s*日?|(\d{4})(\d{2})(\d{2})")
_YEAR_LAST = re.compile(r"(\d{1,2})([./-])\s?(\d{1,2})\2\s?(\d{4})")
_DAY_MONTH = re.compile(
    r"(?:\w+,?\s+)?(\d{1,2})(?:\.|st|nd|rd|th)?[\s-]+(?:de\s+)?([^\W\d_]{3,})\.?,?[\s-]+(?:de\s+)?(\d{4})"
)
_MONTH_DAY = re.compile(r"([^\W\d_]{3,})\.?\s+(\d{1,2})(?:st|nd|rd|th)?,?\s+(\d{4})")
_SHORT_YEAR = re.compile(
    r"\d{1,2}[./-]\s?\d{1,2}[./-]\s?['\u2019]?\d{2}|(?:\d{1,2}\.?[\s-]+[^\W\d_]{3,}\.?|[^\W\d_]{3,}\.?\s+\d{1,2}),?[\s-]+['\u2019]?\d{2}"
)
_NO_DATE = re.compile(r"0{1,4}[./-]0{1,2}[./-]0{1,4}")
_TIME = re.compile(
    r"(?P<day>.*?\S)(?:\s*T|,?\s+)(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?:[.,](?P<part>\d{1,9}))?)?"
    r"\s*(?P<half>[AaPp]\.?[Mm]\.?)?(?:\s*Uhr)?\s*(?P<zone>Z|UTC|GMT|[+-]\d{2}:?\d{2})?"
)
_HEADER_ZONE = re.compile(r"\((?:GMT|UTC)\s*(?:([+-]\d{1,2})(?::?(\d{2}))?)?\)", re.IGNORECASE)
_SHEET_DAY_MIN = 1000  # in 1902; smaller numbers are years of age, months or mistakes
_SHEET_DAY_MAX = 2_958_466  # the last one is 9999-12-31
_TEXT_LENGTH_MAX = 64  # characters of a date and time
_ORDERS: tuple[DateOrder, ...] = ("DMY", "MDY", "YMD")


def no_date(text: str) -> bool:
    """Whether this is how programs write that there is no date: 0/0/00, 0000-00-00."""
    return _NO_DATE.fullmatch(text.strip()) is not None


def lacks_century(text: str) -> bool:
    """Whether this is a date whose year has two digits: of the century nothing is guessed."""
    plain = unicodedata.normalize("NFKC", text.strip())
    return len(plain) <= _TEXT_LENGTH_MAX and _SHORT_YEAR.fullmatch(plain) is not None


def no_such_day(text: str) -> bool:
    """Whether this has the form of a date of which the calendar has no day: 31.02.1990, 2001-02-29."""
    plain = unicodedata.normalize("NFKC", text.strip())
    formed = len(plain) <= _TEXT_LENGTH_MAX and (_YEAR_FIRST.fullmatch(plain) or _YEAR_LAST.fullmatch(plain))
    return bool(formed) and re.fullmatch(r"\d+", plain) is None and not date_readings(text)


def sheet_day(number: float) -> date | None:
    """The day that a spreadsheet shows for a count of days since 1900; None for a count that no table has."""
    return date(1899, 12, 30) + timedelta(int(number)) if _SHEET_DAY_MIN <= number < _SHEET_DAY_MAX else None


def date_readings(text: str) -> dict[DateOrder, date]:
    """The days that `text` means, by the order in which it would be written.

    A year in front, a month in words and points between the numbers speak for themselves. Two digits of a year do not.
    """
    plain = unicodedata.normalize("NFKC", text.strip())
    if len(plain) > _TEXT_LENGTH_MAX:
        return {}
    if (match := _YEAR_FIRST.fullmatch(plain)) is not None:
        year, month, day = (match[1], match[2], match[3]) if match[1] else (match[4], match[5], match[6])
        return _in_any_order(year, month, day)
    if (match := _YEAR_LAST.fullmatch(plain)) is not None:
        first, sign, second, year = match.groups()
        readings: dict[DateOrder, date] = {}
        for day in _day(year, second, first):
            readings["DMY"] = day
        for day in _day(year, first, second):
            readings["MDY"] = day
        if sign == "." and "DMY" in readings:
            return {"DMY": readings["DMY"]}
        return readings
    for pattern, order in ((_DAY_MONTH, (3, 2, 1)), (_MONTH_DAY, (3, 1, 2))):
        if (match := pattern.fullmatch(plain)) is not None:
            year, word, number_of_day = (match[at] for at in order)
            if (number := MONTHS.get(word.casefold())) is not None:
                return _in_any_order(year, number, number_of_day)
    try:
        return dict.fromkeys(_ORDERS, date.fromisoformat(plain))
    except ValueError:
        return {}


def _in_any_order(year: str, month: str | int, day: str) -> dict[DateOrder, date]:
    return {order: found for found in _day(year, month, day) for order in _ORDERS}


def _day(year: str, month: str | int, day: str) -> Iterator[date]:
    try:
        yield date(int(year), int(month), int(day))
    except ValueError:
        return


@dataclass(frozen=True, slots=True)
class Moment:
    """A day and a time of day as written; `zone` None: not said."""

    day: str
    time: time
    zone: tzinfo | None


def split_time(text: str) -> Moment | None:
    """The parts of a date with a time: 31.12.1980 7:08 PM, 2024-05-06T07:08:00+02:00; None for anything else."""
    if len(text) > _TEXT_LENGTH_MAX:
        return None
    match = _TIME.fullmatch(unicodedata.normalize("NFKC", text.strip()))
    if match is None:
        return None
    hour = int(match["hour"])
    if match["half"]:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if match["half"][0] in "pP" else 0)
    micro = int((match["part"] or "0")[:6].ljust(6, "0"))
    if match["part"] and match["part"][6:].strip("0"):
        return None  # finer than is kept
    try:
        return Moment(
            match["day"], time(hour, int(match["minute"]), int(match["second"] or 0), micro), _zone(match["zone"])
        )
    except ValueError:
        return None


def _zone(text: str | None) -> tzinfo | None:
    if text is None:
        return None
    if text in ("Z", "UTC", "GMT"):
        return UTC
    sign = -1 if text[0] == "-" else 1
    return timezone(sign * timedelta(hours=int(text[1:3]), minutes=int(text[-2:])))


def header_zone(header: str) -> tzinfo | None:
    """The zone that a header names for its column: `Last activity (GMT+2)`."""
    match = _HEADER_ZONE.search(header)
    if match is None:
        return None
    hours, minutes = int(match[1] or 0), int(match[2] or 0)
    if abs(hours) > 14 or minutes > 59:
        return None
    return timezone(timedelta(hours=hours, minutes=-minutes if hours < 0 else minutes))


def in_zone(moment: datetime, zone: tzinfo | Literal["local"]) -> datetime:
    """A time without a zone, in `zone`. Raises `ValueError` for one that is skipped or stands twice there."""
    if zone == LOCAL:
        first, second = moment.replace(fold=0).astimezone(), moment.replace(fold=1).astimezone()
        back = first.replace(tzinfo=None)
    else:
        first, second = moment.replace(tzinfo=zone, fold=0), moment.replace(tzinfo=zone, fold=1)
        back = first.astimezone(UTC).astimezone(zone).replace(tzinfo=None)
    if first.utcoffset() != second.utcoffset():
        skipped = back.replace(fold=0) != moment.replace(fold=0)
        raise ValueError("is skipped when clocks change" if skipped else "stands twice, when clocks change")
    return first
