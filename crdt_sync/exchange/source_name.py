"""The name of a source: what next month's version of a file shares with this month's."""

import hashlib
import re
import unicodedata

from crdt_sync.errors import UsageError
from crdt_sync.exchange.written import MONTHS
from crdt_sync.limits import SOURCE_LENGTH_MAX

_DIGEST_LENGTH = 8
_SHORT = frozenset(
    {"jan", "feb", "mär", "mrz", "apr", "jun", "jul", "aug", "sep", "oct", "okt", "nov", "dec", "dez", "mai", "may"}
)
_DATE = (
    r"(?<!\d)(?:(?:19|20)\d\d[-_. ]?(?:0[1-9]|1[0-2])(?:[-_. ]?[0-3]\d)?(?:[-_t ]+\d\d[-_.]?\d\d(?:[-_.]?\d\d)?)?"
    r"|[0-3]?\d[-_.][01]?\d[-_.](?:(?:19|20)\d\d|\d\d))(?!\d)"
)
_MONTH = "|".join(sorted((re.escape(month) for month in MONTHS if len(month) > 3 or month in _SHORT), key=len)[::-1])
_WORD_DATE = (
    rf"(?<![^\W_])(?:[0-3]?\d\.?[-_. ]+)?(?:{_MONTH})\.?(?:[-_. ]+[0-3]?\d,?(?!\d))?(?:[-_. ]*(?:19|20)\d\d)?(?![^\W_])"
)
_VERSION = (
    r"[\s_-]+\(?(?:finale?|neu|new|nuevo|nouveau|aktuell|current|stand|as of|kopie|copy|"
    r"(?:v|version|rev)[\s_.-]?\d+(?:\.\d+)*)\)?\Z"
)
_NOISE = [
    re.compile(_VERSION),
    re.compile(r"\.(csv|tsv|tab|psv|txt|jsonl?|ndjson|xlsx?|zip|gz)\Z"),
    re.compile(r"[\s_-]*\(\d+\)\Z"),
    re.compile(r"[\s_-]*\b(copy|kopie|copie|copia)(?:[\s_-]*\d+)?\Z"),
    re.compile(r"[\s_-]*副本\Z"),
    re.compile(r"\A(?:copy of|kopie von|copie de|copia de)\s+"),
    re.compile(_DATE),
    re.compile(_WORD_DATE),
]


def source_name(name: str) -> str:
    """The name of the source that a file is a version of: no extension, copy number, version, date, month or case.

    `Customers 2026-11-28 (1).csv` is `customers`. A name that holds nothing else is kept whole.
    """
    plain = unicodedata.normalize("NFKC", name).casefold().strip()
    shortened = None
    text = plain
    while text != shortened:
        shortened = text
        for noise in _NOISE:
            text = noise.sub("", text).strip(" _-.")
    return _fitting(text or plain) or "table"


def given_source(name: str) -> str:
    """A name that somebody chose. Raises `UsageError` where it cannot be one."""
    plain = unicodedata.normalize("NFKC", name).casefold().strip()
    if not plain or len(plain) > SOURCE_LENGTH_MAX or not plain.isprintable():
        raise UsageError(f"{name[:60]!r} cannot name a source", f"Use 1 to {SOURCE_LENGTH_MAX} printable characters.")
    return plain


def export_source(name: str) -> str:
    """The source of what was edited in exports of this device that are called like a source: no file has its name."""
    suffix = " (export)"
    return name[: SOURCE_LENGTH_MAX - len(suffix)] + suffix


def _fitting(name: str) -> str:
    printable = "".join(character for character in name if character.isprintable())
    printable = re.sub(r"[\s_-]+", "-", printable)
    if len(printable) <= SOURCE_LENGTH_MAX:
        return printable
    digest = hashlib.blake2b(printable.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST_LENGTH]
    return printable[: SOURCE_LENGTH_MAX - _DIGEST_LENGTH - 1] + "-" + digest
