"""How people of one place write numbers, dates, times and yes or no: what an import is told, and what locales say."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone, tzinfo
from typing import Final, Literal
from zoneinfo import ZoneInfo

from crdt_sync.errors import UsageError

DateOrder = Literal["DMY", "MDY", "YMD"]
DecimalMark = Literal[",", "."]
BadCells = Literal["skip", "refuse"]
LOCAL: Final = "local"

# What CLDR says of the locales that most tables come from; others are told by --dates and --decimal.
_LOCALES: dict[str, tuple[DateOrder, DecimalMark]] = {
    "de": ("DMY", ","),
    "de-CH": ("DMY", "."),
    "en-US": ("MDY", "."),
    "en-GB": ("DMY", "."),
    "en-AU": ("DMY", "."),
    "en-CA": ("YMD", "."),
    "en-IE": ("DMY", "."),
    "en-IN": ("DMY", "."),
    "es": ("DMY", ","),
    "es-MX": ("DMY", "."),
    "fr": ("DMY", ","),
    "it": ("DMY", ","),
    "nl": ("DMY", ","),
    "pl": ("DMY", ","),
    "pt": ("DMY", ","),
    "sv": ("YMD", ","),
    "da": ("DMY", ","),
    "tr": ("DMY", ","),
    "ru": ("DMY", ","),
    "ja": ("YMD", "."),
    "ko": ("YMD", "."),
    "zh": ("YMD", "."),
}


@dataclass(frozen=True, slots=True)
class Conventions:
    """What an import is told about the cells of a table; None means: find out from each column.

    `dates` is the order of the numbers of a date that does not start with the year, `decimal` the mark before a
    fraction. `zone` is that of times which do not say theirs: None refuses them. `true_words` and `false_words` are
    known besides the usual ones. A cell that does not fit its field is left out and reported (`skip`), or refuses its
    row.
    """

    dates: DateOrder | None = None
    decimal: DecimalMark | None = None
    zone: tzinfo | Literal["local"] | None = None
    true_words: frozenset[str] = field(default_factory=frozenset)
    false_words: frozenset[str] = field(default_factory=frozenset)
    bad_cells: BadCells = "skip"

    def in_locale(self, name: str) -> "Conventions":
        """These, and what `name` (such as `de` or `en-US`) says about what is not told yet. Raises `UsageError`."""
        language, _, region = name.replace("_", "-").partition("-")
        exact = f"{language.lower()}-{region.upper()}" if region else language.lower()
        found = _LOCALES.get(exact) or (_LOCALES.get(language.lower()) if region else None)
        if found is None or exact == "en":
            raise UsageError(
                f"{name[:40]!r} is no locale that is known here",
                f"Known: {', '.join(sorted(_LOCALES))}; or say --dates and --decimal.",
            )
        dates, decimal = found
        return replace(self, dates=self.dates or dates, decimal=self.decimal or decimal)


FOUND_OUT: Final = Conventions()
"""Nothing is told."""


def zone_named(name: str) -> tzinfo | Literal["local"]:
    """A zone by its name: `Europe/Berlin`, `UTC`, `+02:00`, `local` for that of this machine. Raises `UsageError`."""
    if name.casefold() == LOCAL:
        return LOCAL
    if name[:1] in ("+", "-"):
        try:
            offset = datetime.strptime(name, "%z").utcoffset()
        except ValueError:
            offset = None
        if offset is not None and abs(offset) < timedelta(hours=24):
            return timezone(offset)
    else:
        try:
            return ZoneInfo(name)
        except (OSError, ValueError, KeyError):  # ZoneInfoNotFoundError is a KeyError
            pass
    raise UsageError(
        f"there is no time zone {name[:60]!r}", "Write it like Europe/Berlin, UTC, +02:00, or local for this machine's."
    )
