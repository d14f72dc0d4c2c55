"""One column into one field: its cells as the values that they mean, by what the whole column shows of its format.

A cell that speaks for itself is read so. One that could mean two things is read as the other cells of its column are
written, where those agree; else it is refused with both readings.
"""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field as _made
from datetime import date, datetime, time, tzinfo
from decimal import Decimal
from typing import Literal

from crdt_sync.errors import InvalidValue
from crdt_sync.exchange.cells import read_sheet_text
from crdt_sync.exchange.conventions import Conventions, DateOrder, DecimalMark
from crdt_sync.exchange.key_columns import is_number
from crdt_sync.exchange.lost_digits import check_whole, is_dialled, is_rounded
from crdt_sync.exchange.table import MISSING, BrokenCell, Cell, RowError, Shown
from crdt_sync.exchange.written import (
    Numbers,
    date_readings,
    header_zone,
    in_zone,
    lacks_century,
    no_date,
    no_such_day,
    number_readings,
    sheet_day,
    split_time,
)
from crdt_sync.records.roots import Layout
from crdt_sync.records.schema import FieldSpec
from crdt_sync.records.text_input import FALSE_WORDS, TRUE_WORDS, choice_of

_NUMBERS = frozenset({"integer", "decimal"})
_TIMES = frozenset({"date", "datetime"})
_WORDS = frozenset({"string", "enum", "reference"})  # of which a comma may separate several
_GROUP = re.compile(r"[.,]\d{3}\D*\Z")
_DAY_COUNT = re.compile(r"[0-9]{4,7}([.][0-9]{1,15})?")
_EXPONENT = re.compile(r"[+-]?\d+(\.\d+)?[eE][+-]?\d{1,3}\Z")


@dataclass(slots=True)
class ColumnReading:
    """What is known of a column; `look` at every cell of it first, then `read` them."""

    header: str
    field: str
    spec: FieldSpec
    conventions: Conventions
    words: Mapping[str, str]  # in lower case, to the values that they mean
    in_sheet: bool = False  # where a text may hold JSON, see `sheet_text`
    marks: Counter[DecimalMark] = _made(default_factory=Counter)
    orders: Counter[DateOrder] = _made(default_factory=Counter)
    units: Counter[str] = _made(default_factory=Counter)
    _first: dict[Literal[";", ","], tuple[int, str]] = _made(default_factory=dict)  # line and cell
    separators: Counter[Literal[";", ","]] = _made(default_factory=Counter)  # between the members of a set
    zone: tzinfo | Literal["local"] | None = None

    _of_digits: bool = False  # phones, postal codes and ids, which are no amounts

    def __post_init__(self) -> None:
        self._of_digits = self.spec.type == "string" and (
            is_dialled(self.field, self.spec) or is_number(self.field) or is_number(self.header)
        )
        self.zone = header_zone(self.header) or self.conventions.zone

    @property
    def depends(self) -> bool:
        """Whether the meaning of a cell may depend on other cells."""
        return self.spec.type in _NUMBERS or self.spec.type in _TIMES or self._of_words

    @property
    def _of_words(self) -> bool:
        return self._of_members and self.spec.type in _WORDS

    @property
    def _of_members(self) -> bool:
        return self.spec.rules.layout is Layout.MEMBERS

    @property
    def by_comma(self) -> bool:
        """Whether commas separate the members of a set, in cells without a semicolon: where most cells have them so."""
        return self.separators[","] > self.separators[";"]

    def doubts(self) -> tuple[RowError, ...]:
        """Where some cells of a set have commas and others semicolons: the first that is unlike the most."""
        commas, semicolons = self.separators[","], self.separators[";"]
        if not (commas and semicolons):
            return ()
        line, cell = self._first[";" if self.by_comma else ","]
        if self.by_comma:
            why = f"{cell[:60]!r} is split at its semicolons, {_counted(commas)} of the column at commas"
        else:
            why = f"{cell[:60]!r} is one value with its comma, since {_counted(semicolons)} of the column"
            why += f" {'is' if semicolons == 1 else 'are'} split at semicolons"
        return (RowError(line, self.header, "separators_mixed", f"{why}; write them alike, or in double quotes"),)

    @property
    def mark(self) -> DecimalMark | None:
        """The decimal mark, if it was given or all cells that show it agree."""
        return self.conventions.decimal or (next(iter(self.marks)) if len(self.marks) == 1 else None)

    @property
    def order(self) -> DateOrder | None:
        """The order of dates, likewise."""
        return self.conventions.dates or (next(iter(self.orders)) if len(self.orders) == 1 else None)

    def described(self) -> str:
        """The format in words, for people; empty where there is nothing to tell."""
        parts = []
        if self.spec.type in _NUMBERS and self.mark is not None:
            parts.append("decimal comma" if self.mark == "," else "decimal point")
        if self.spec.type in _TIMES and self.order is not None:
            parts.append(self.order)
        if self.spec.type == "datetime" and self.zone is not None:
            parts.append(f"zone {self.zone}")
        if self.by_comma:
            more = ", or semicolons where a cell has them" if self.separators[";"] else ""
            parts.append(f"several separated by commas{more}")
        if self.units:
            parts.append(f"without its unit {', '.join(self.units)}")
        return "; ".join(parts)

    def look(self, cell: Cell, line: int = 0) -> None:
        """Note what a cell shows of the format."""
        if self._of_words:
            if isinstance(cell, str) and not cell.lstrip().startswith("["):
                bare = _WHOLE.sub("", cell)
                mark = ";" if _GOOGLE in cell else _separator(bare)
                if mark is not None:
                    self.separators[mark] += 1
                    self._first.setdefault(mark, (line, cell))
            return
        for text in self._texts(cell):
            if self.spec.type in _NUMBERS:
                found = self._numbers(text)
                if found.unit:
                    self.units[found.unit] += 1
                if len(found.by_mark) == 1 and (self.spec.type == "decimal" or _GROUP.search(text.strip())):
                    self.marks.update(list(found.by_mark))
            else:
                moment = split_time(text)
                readings = date_readings(moment.day if moment else text)
                if len(readings) == 1 and "." not in text.partition(" ")[0]:
                    self.orders.update(list(readings))

    def read(self, cell: Cell) -> Cell:
        """The cell as its field takes it. Raises `InvalidValue`."""
        if isinstance(cell, BrokenCell):
            raise InvalidValue(self.field, cell.reason, "")
        if cell is MISSING or cell is None:
            return cell
        if isinstance(cell, Shown):
            shortened = self._of_digits and is_rounded(cell.text)
            cell = cell.text if self._keeps_texts and not shortened else cell.value
        if isinstance(cell, Decimal):
            return self._exact(cell)
        if isinstance(cell, (datetime, date)):
            return self._time(cell)
        if isinstance(cell, str):
            return self._text(cell)
        if self.spec.type == "boolean" and cell.__class__ is int and cell in (0, 1):
            return cell == 1
        if self.spec.type in _TIMES and isinstance(cell, (int, float)) and not isinstance(cell, bool):
            raise self._no_time(str(cell), cell)
        return cell

    @property
    def _keeps_texts(self) -> bool:
        return self.spec.type in ("string", "enum", "reference")

    def _exact(self, number: Decimal) -> Cell:
        if self._keeps_texts:
            return format(number, "f") if abs(number.adjusted()) < 100 else str(number)
        return float(number) if self.spec.type == "json" else number

    def _time(self, moment: date) -> Cell:
        if self.spec.type == "date":
            return self._day(moment)
        if self.spec.type != "datetime":
            return moment.isoformat()
        if isinstance(moment, datetime):
            return moment if moment.tzinfo else self._zoned(moment)
        return self._zoned(datetime.combine(moment, time()))

    def _day(self, moment: date) -> date:
        if not isinstance(moment, datetime):
            return moment
        if moment.time() != time():
            raise InvalidValue(self.field, f"{moment.isoformat(' ')} is a time of day, not a date", "")
        return moment.date()

    def _zoned(self, moment: datetime) -> datetime:
        if self.zone is None:
            raise InvalidValue(
                self.field,
                f"{moment.isoformat(' ', 'minutes')} does not say its time zone",
                "Say it with --zone, for example --zone Europe/Berlin or --zone local.",
            )
        try:
            return in_zone(moment, self.zone)
        except (ValueError, OverflowError) as error:
            raise InvalidValue(
                self.field, f"{moment.isoformat(' ', 'minutes')} {error} in {self.zone}", "Correct the cell."
            ) from None

    def _text(self, text: str) -> Cell:
        spec = self.spec
        if spec.rules.layout in (Layout.LOG, Layout.TEXT):
            return text
        if spec.type == "json" and self.in_sheet and not self._of_members:
            return read_sheet_text(text)
        if self._of_digits:
            check_whole(self.field, text)  # before its comma parts it
        if self._of_members:
            return self._members(text)
        if not text.strip() and not spec.is_free_text and spec.type != "json":
            return MISSING
        return self._single(text)

    def _members(self, text: str) -> Cell:
        if text.lstrip().startswith("["):
            return text  # as an export writes it
        if _GOOGLE in text or (self._of_words and text.lstrip().startswith("* ")):
            parts = [part.strip().removeprefix("* ") for part in text.split(_GOOGLE)]
            return [self._single(part) for part in parts if part]
        if self.by_comma and _separator(_WHOLE.sub("", text)) != ";":
            return [self._single(part) for part in _parts(text, ",")]
        if self._of_words:
            return [self._single(part) for part in _parts(text, ";")]
        if self.spec.type == "json":
            return text
        return [self._single(part.strip()) for part in text.split(";") if part.strip()]

    def _single(self, text: str) -> Cell:
        spec = self.spec
        if spec.choices or spec.states:
            return self.words.get(text.strip().casefold()) or choice_of(spec.choices or spec.states, text)
        if spec.type in _NUMBERS:
            return self._number(text)
        if spec.type == "date":
            return MISSING if no_date(text) else self._date(text)
        if spec.type == "datetime":
            return MISSING if no_date(text) else self._moment(text)
        if spec.type == "boolean":
            return self._yes_or_no(text)
        return text

    def _texts(self, cell: Cell) -> list[str]:
        if not isinstance(cell, str) or not cell.strip() or cell.lstrip().startswith("["):
            return []
        return cell.split(";") if self._of_members else [cell]

    def _numbers(self, text: str) -> Numbers:
        found = number_readings(text)
        if self.spec.type == "integer":
            whole = {mark: value for mark, value in found.by_mark.items() if value == value.to_integral_value()}
            return Numbers(whole, found.unit)
        return found

    def _number(self, text: str) -> Cell:
        if _EXPONENT.fullmatch(text.strip()):
            return text.strip() if self.spec.type == "decimal" else text
        found = self._numbers(text)
        what = "a whole number" if self.spec.type == "integer" else "a number"
        if not found.by_mark:
            raise InvalidValue(self.field, f"{text[:60]!r} is not {what}", "")
        if found.unit and len(self.units) > 1:
            units = ", ".join(self.units)
            raise InvalidValue(
                self.field,
                f"{text[:60]!r}: the column has amounts in {units}",
                "Put the currency in a column of its own.",
            )
        given = self.conventions.decimal
        if given is not None and given not in found.by_mark:
            raise InvalidValue(self.field, f"{text[:60]!r} is not {what} with {given!r} before its fraction", "")
        values = set(found.by_mark.values())
        if len(values) == 1:
            return self._carried(values.pop())
        if self.mark is None:
            point, comma = (format(found.by_mark[mark], "f") for mark in (".", ","))
            raise InvalidValue(
                self.field,
                f"{text[:60]!r} could be {_short(point)} or {_short(comma)}",
                "Say which, with --decimal . or --decimal ,",
            )
        return self._carried(found.by_mark[self.mark])

    def _carried(self, number: Decimal) -> Cell:
        return int(number) if self.spec.type == "integer" else format(number, "f")

    def _date(self, text: str) -> Cell:
        moment = split_time(text)
        if moment is None:
            return self._which(text, text)
        if moment.time != time():
            raise InvalidValue(self.field, f"{text[:60]!r} is a time of day, not a date", "")
        return self._which(moment.day, text)

    def _which(self, day: str, text: str) -> date:
        readings = date_readings(day)
        days = set(readings.values())
        if not days and lacks_century(day):
            raise InvalidValue(
                self.field,
                f"{text[:60]!r} does not say its century",
                "Write years with four digits, or format the column so in the spreadsheet.",
            )
        if not days and no_such_day(day):
            raise InvalidValue(self.field, f"there is no day {text[:60]!r}", "Correct its day, month or year.")
        if not days:
            raise self._no_time(repr(text[:60]), float(text) if _DAY_COUNT.fullmatch(text.strip()) else None)
        given = self.conventions.dates
        if given is not None and given not in readings and "." not in day:
            raise InvalidValue(self.field, f"{text[:60]!r} is not a date in the order {given}", "")
        if len(days) == 1:
            return days.pop()
        if self.order is None or self.order not in readings:
            one, other = sorted(days)
            raise InvalidValue(
                self.field, f"{text[:60]!r} could be {one} or {other}", "Say which, with --dates DMY or --dates MDY."
            )
        return readings[self.order]

    def _no_time(self, shown: str, number: float | None) -> InvalidValue:
        """The error for what is no date, with the day that a spreadsheet means by a `number`."""
        day = None if number is None else sheet_day(number)
        if day is None:
            return InvalidValue(
                self.field, f"{shown} is not a date", "Write it as YYYY-MM-DD, with all digits of the year."
            )
        return InvalidValue(
            self.field,
            f"{shown} is a number, perhaps a spreadsheet's day number for {day}",
            "If so, format the column as a date in the spreadsheet and save the file again.",
        )

    def _moment(self, text: str) -> Cell:
        found = split_time(text)
        if found is None:
            return self._zoned(datetime.combine(self._which(text, text), time()))
        moment = datetime.combine(self._which(found.day, text), found.time)
        return moment.replace(tzinfo=found.zone) if found.zone is not None else self._zoned(moment)

    def _yes_or_no(self, text: str) -> bool:
        word = text.strip().casefold()
        given = self.conventions
        if word in given.true_words or (word in TRUE_WORDS and word not in given.false_words):
            return True
        if word in given.false_words or word in FALSE_WORDS:
            return False
        raise InvalidValue(
            self.field, f"{text[:60]!r} is not yes or no", "Name the words of the table with --true and --false."
        )


def _separator(bare: str) -> Literal[";", ","] | None:
    """What separates the members in a cell, of which the parts in double quotes were taken away."""
    if ";" in bare:
        return ";"
    return "," if "," in bare else None


def _counted(cells: int) -> str:
    return "1 other" if cells == 1 else f"{cells} others"


_GOOGLE = " ::: "
_WHOLE = re.compile(r'(?:\A|(?<=[,;]))\s*"(?:[^"]|"")*"\s*(?=[,;]|\Z)')  # a part in double quotes
_QUOTED = {mark: re.compile(rf'\s*"((?:[^"]|"")*)"\s*(?:{mark}|\Z)') for mark in (",", ";")}


def _parts(text: str, mark: Literal[",", ";"]) -> list[str]:
    """The parts of a cell between these marks; one in double quotes is whole, marks and all."""
    parts, at = [], 0
    while at < len(text):
        if (quoted := _QUOTED[mark].match(text, at)) is not None:
            part, at = quoted[1].replace('""', '"'), quoted.end()
        else:
            end = text.find(mark, at)
            end = len(text) if end < 0 else end
            part, at = text[at:end], end + 1
        parts.append(part.strip())
    return [part for part in parts if part]


def _short(number: str) -> str:
    return number.rstrip("0").rstrip(".") if "." in number else number
