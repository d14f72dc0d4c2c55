"""What a sheet shows for a number: the part of spreadsheet number formats that changes what people read.

Zeros in front, signs between digits, thousands, decimals, percent, currency and text around a number. Anything else
(fractions, exponents, conditions, elapsed time) is left alone: the number itself is the value.
"""

import re
from decimal import ROUND_HALF_UP, Decimal

_SECTION = re.compile(r';(?=(?:[^"]*"[^"]*")*[^"]*$)')
_TOKEN = re.compile(
    r'"(?P<quoted>[^"]*)"|\\(?P<escaped>.)|_.|\*.|\[\$(?P<currency>[^\]-]*)[^\]]*\]|\[(?P<bracket>[^\]]*)\]|(?P<plain>.)',
    re.DOTALL,
)
_COLOURS = re.compile(r"(black|blue|cyan|green|magenta|red|white|yellow|color ?\d+)\Z", re.IGNORECASE)
_FORMAT_LENGTH_MAX = 255  # characters; spreadsheets allow no more
_DIGITS_MAX = 15
_SIGNS = frozenset(" -+/()€$£¥%")


def has_time(number_format: str) -> bool:
    """Whether the format of a date shows a time of day."""
    return re.search("[hHsS]", _bare(number_format)) is not None


def is_utc(number_format: str) -> bool:
    """Whether the format shows a Z after the time, as exports write it."""
    return number_format.endswith(('"Z"', "\\Z"))


def shown_number(value: int | float, number_format: str) -> str | None:
    """The text that the format shows for a number; None where it is the number itself, or the format is another kind.

    The texts of an export in another language have its point and comma; here they are those of the format.
    """
    if number_format in ("General", "@", "0") or len(number_format) > _FORMAT_LENGTH_MAX:
        return None
    sections = _SECTION.split(number_format)
    if len(sections) == 1 or value > 0 or (value == 0 and len(sections) < 3):
        section, amount = sections[0], value
    elif value < 0:
        section, amount = sections[1], abs(value)
    else:
        section, amount = sections[2], value
    text = _rendered(amount, section)
    return None if not text or text == str(value) else text


def _bare(number_format: str) -> str:
    return re.sub(r'"[^"]*"|\\.|_.|\*.|\[[^\]]*\]', "", number_format)


def _rendered(value: int | float, section: str) -> str | None:
    parts: list[str | None] = []  # text, or None for the place of one digit
    places: list[str] = []
    point: int | None = None
    percent = grouped = False
    for token in _TOKEN.finditer(section):
        if (text := token["quoted"] or token["escaped"] or token["currency"]) is not None:
            parts.append(text)
        elif token["bracket"] is not None:
            if not _COLOURS.match(token["bracket"]):
                return None
        elif (sign := token["plain"]) is not None:
            if sign in "0#?":
                places.append(sign)
                parts.append(None)
            elif sign == "." and point is None:
                point = len(places)
                parts.append(".")
            elif sign == ",":
                grouped = bool(places)
                if not places or section[token.end() :].lstrip(",")[:1] not in ("0", "#", "?"):
                    return None  # a comma at the end divides by a thousand
            elif sign in _SIGNS:
                percent = percent or sign == "%"
                parts.append(sign)
            else:
                return None
    if not places or len(places) > 2 * _DIGITS_MAX:
        return None
    return _filled(Decimal(repr(value)) * (100 if percent else 1), parts, places, point, grouped)


def _filled(
    number: Decimal, parts: list[str | None], places: list[str], point: int | None, grouped: bool
) -> str | None:
    whole_places = places if point is None else places[:point]
    fraction_places = [] if point is None else places[point:]
    if abs(number) >= 10**_DIGITS_MAX:
        return None
    rounded = number.copy_abs().quantize(Decimal(1).scaleb(-len(fraction_places)), ROUND_HALF_UP)
    if rounded != number.copy_abs():
        return None  # digits that the format hides must not be lost
    whole, _, fraction = format(rounded, "f").partition(".")
    least = sum(place == "0" for place in whole_places)
    whole = whole.lstrip("0").rjust(least, "0")
    while fraction and fraction_places[len(fraction) - 1] != "0" and fraction.endswith("0"):
        fraction = fraction[:-1]
    return _placed(number < 0 and bool(rounded), whole, fraction, parts, len(whole_places), grouped)


def _placed(negative: bool, whole: str, fraction: str, parts: list[str | None], whole_count: int, grouped: bool) -> str:
    """Digits fill their places from the right; those beyond the first place go in front of it."""
    spare = len(whole) - whole_count
    output: list[str] = []
    digits_left = len(whole)
    seen = 0
    for part in parts:
        if part is None and seen < whole_count:
            take = (spare + 1 if spare >= 0 else 1) if seen == 0 else 1
            if seen >= -spare if spare < 0 else True:
                for _ in range(take):
                    output.append(whole[len(whole) - digits_left])
                    digits_left -= 1
                    if grouped and digits_left and digits_left % 3 == 0:
                        output.append(",")
            seen += 1
        elif part is None:
            position = seen - whole_count
            output.append(fraction[position] if position < len(fraction) else "")
            seen += 1
        elif part == "." and seen == whole_count:
            output.append("." if fraction else "")
        else:
            output.append(part)
    return ("-" if negative else "") + "".join(output)
