"""The name of a source: what next month's version of a file shares with this month's."""

import hashlib
import re
import unicodedata
from collections.abc import Iterable

from crdt_sync.errors import UsageError
from crdt_sync.exchange.written import MONTHS
from crdt_sync.limits import SOURCE_LENGTH_MAX

_DIGEST_LENGTH = 8
_ABBREVIATED = frozenset(re.findall(r"\w+", "feb mär mrz apr jun jul aug sep sept oct okt nov dec dez"))
# Also the names of people: which salesperson's list a file is matters more than of which month.
_NAMES_TOO = frozenset(
    re.findall(r"\w+", "jan mars april avril abril may mai mayo june juni junio july juli julio august")
)
_DATE = (
    r"(?<!\d)(?:(?:19|20)\d\d[-_. ]?(?:0[1-9]|1[0-2])(?:[-_. ]?[0-3]\d)?(?:[-_t ]+\d\d[-_.]?\d\d(?:[-_.]?\d\d)?)?"
    r"|[0-3]?\d[-_.][01]?\d[-_.](?:(?:19|20)\d\d|\d\d))(?!\d)"
)
_FULL = frozenset(month for month in MONTHS if len(month) > 3) - _ABBREVIATED - _NAMES_TOO
_YEAR = r"(?:19|20)\d\d"
_DAY_BEFORE, _DAY_AFTER = r"[0-3]?\d\.?[-_. ]+", r"\.?[-_. ]+[0-3]?\d,?(?!\d)"
_START, _END = r"(?<![^\W_])", r"(?![^\W_])"


def _any(months: Iterable[str]) -> str:
    return "(?:" + "|".join(map(re.escape, sorted(months, key=lambda month: (-len(month), month)))) + ")"


_ENDING = _any(_ABBREVIATED - {"jun"})  # as the last word, but for one that is a name, too
_WEEK = r"(?:kw|cw|wk|woche|week|semaine|semana)[-_. ]*(?:[1-4]\d|5[0-3]|0?[1-9])"
_EVERY = _any(_FULL | _ABBREVIATED | _NAMES_TOO)
_WORD_DATES = [
    rf"{_START}(?:{_DAY_BEFORE})?{_EVERY}(?:{_DAY_AFTER})?\.?[-_. ]*{_YEAR}{_END}",
    rf"{_START}{_YEAR}[-_. ]*{_EVERY}(?:{_DAY_AFTER})?{_END}",
    rf"{_START}(?:{_DAY_BEFORE})?{_any(_FULL)}(?:{_DAY_AFTER})?{_END}",
    rf"{_START}{_any(_ABBREVIATED)}{_DAY_AFTER}{_END}",
    rf"{_START}{_DAY_BEFORE}{_any(_ABBREVIATED)}{_END}",
    rf"(?<=[-_. ]){_ENDING}\.?\Z",
    rf"(?<!\d)(?<!\d[-_.])(?:0[1-9]|1[0-2])[-_.]{_YEAR}(?!\d)",
    rf"{_START}(?:{_YEAR}[-_. ]*)?{_WEEK}(?:[-_. ]*{_YEAR})?{_END}",
    rf"{_START}{_YEAR}[-_. ]?w(?:[1-4]\d|5[0-3]|0[1-9]){_END}",
    r"(?:\d{4}年[-_. ]*)?(?:(?<!\d)(?:1[0-2]|0?[1-9])|(?<![一二三四五六七八九十])(?:十[一二]?|[一二三四五六七八九]))月"
    r"份?(?:[0-3]?\d[日号])?",
]
_VERSION = (
    r"[\s_-]+\(?(?:finale?|neu|new|nuevo|nouveau|aktuell|current|stand|as of|kopie|copy|"
    r"(?:v|version|rev)[\s_.-]?\d+(?:\.\d+)*)\)?\Z"
)
_SIGNS = [  # of a file name, which nobody takes for the name of a list
    re.compile(r"\.(csv|tsv|tab|psv|txt|jsonl?|ndjson|xlsx?|zip|gz)\Z"),
    re.compile(r"[\s_-]*\(\d+\)\Z"),
    re.compile(r"[\s_-]*\b(copy|kopie|copie|copia)(?:[\s_-]*\d+)?\Z"),
    re.compile(r"[\s_-]*副本\Z"),
    re.compile(r"\A(?:copy of|kopie von|copie de|copia de)\s+"),
    re.compile(_DATE),
]
_NOISE = [re.compile(_VERSION), *_SIGNS, *map(re.compile, _WORD_DATES)]


def source_name(name: str) -> str:
    """The name of the source that a file is a version of: no extension, copy number, version, date, month or case.

    `Customers 2026-11-28 (1).csv` is `customers`. A month that is also a name, such as Jan or August, is one unless a
    year stands beside it; an abbreviation needs a year or a day, or ends the name. A week counts as a month does. A
    name that holds nothing else is kept whole.
    """
    return _without(_NOISE, name)


def with_its_words(name: str) -> str:
    """`source_name`, but with the words that may also tell lists apart: `neu`, `new`, `final`, `v2`, a month."""
    return _without(_SIGNS, name)


def _without(noises: list[re.Pattern[str]], name: str) -> str:
    plain = unicodedata.normalize("NFKC", name).casefold().strip()
    shortened = None
    text = plain
    while text != shortened:
        shortened = text
        for noise in noises:
            text = noise.sub("", text).strip(" _-.")
    return _fitting(text or plain) or "table"


def given_source(name: str) -> str:
    """A name that somebody chose. Raises `UsageError` where it cannot be one."""
    plain = unicodedata.normalize("NFKC", name).casefold().strip()
    if not plain or len(plain) > SOURCE_LENGTH_MAX or not plain.isprintable():
        raise UsageError(f"{name[:60]!r} cannot name a source", f"Use 1 to {SOURCE_LENGTH_MAX} printable characters.")
    return plain


def _fitting(name: str) -> str:
    printable = "".join(character for character in name if character.isprintable())
    printable = re.sub(r"[\s_-]+", "-", printable)
    if len(printable) <= SOURCE_LENGTH_MAX:
        return printable
    digest = hashlib.blake2b(printable.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST_LENGTH]
    return printable[: SOURCE_LENGTH_MAX - _DIGEST_LENGTH - 1] + "-" + digest
