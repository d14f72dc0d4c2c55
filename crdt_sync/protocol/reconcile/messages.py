"""The message of a reconciliation, valid once it exists; docs/reconciliation.md gives its grammar.

Answers are in the order of the ranges that they answer: those that the partner left to the sender, ascending. So
they need not name them, and cannot overlap or be out of order. A constructor raises `ValueError` that names the
field; what depends on the state of the run is for `Reconciler` to check.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple, NoReturn

from crdt_sync.ids import is_record
from crdt_sync.limits import (
    RECONCILE_LISTED_RECORDS_MAX,
    RECONCILE_OPEN_RANGES_MAX,
    RECONCILE_PARTS_MAX,
    RECONCILE_RECORDS_MAX,
)
from crdt_sync.protocol.reconcile.bounds import is_bound
from crdt_sync.protocol.reconcile.fingerprint import FINGERPRINT_BYTES

DIGEST_BYTES = 16


class Item(NamedTuple):
    """A record that the sender holds, and its 16-byte state digest."""

    record: str
    digest: bytes


class Print(NamedTuple):
    """What the sender holds in a range: how many records, and their fingerprint; empty if none."""

    records: int
    fingerprint: bytes


@dataclass(frozen=True, slots=True)
class Equal:
    """Nothing differs in the next `ranges` ranges; they are closed."""

    ranges: int

    def __post_init__(self) -> None:
        _check_integer("equal.ranges", self.ranges, 1, RECONCILE_OPEN_RANGES_MAX)


@dataclass(frozen=True, slots=True)
class Split:
    """The next range differs: the prints of its parts, which `bounds` separate. The parts are left to the partner."""

    bounds: tuple[str, ...]
    prints: tuple[Print, ...]

    def __post_init__(self) -> None:
        _check_length("split.prints", self.prints, 1, RECONCILE_PARTS_MAX)
        _check_length("split.bounds", self.bounds, len(self.prints) - 1, len(self.prints) - 1)
        for bound in self.bounds:
            _check_bound("split.bounds", bound)
        _check_ascending("split.bounds", self.bounds)
        for records, fingerprint in self.prints:
            _check_integer("split.prints.records", records, 0, RECONCILE_RECORDS_MAX)
            _check_bytes("split.prints.fingerprint", fingerprint, FINGERPRINT_BYTES if records else 0)


@dataclass(frozen=True, slots=True)
class Listing:
    """All that the sender holds in the next range, or only up to `through`; then the sender goes on after that."""

    through: str | None
    items: tuple[Item, ...]

    def __post_init__(self) -> None:
        _check_items("listing.items", self.items)
        if self.through is not None:
            _check_bound("listing.through", self.through)
            if not self.items:
                _refuse("listing", "makes no progress")
            if self.items[-1].record > self.through:
                _refuse("listing.items", "lie beyond its end")


@dataclass(frozen=True, slots=True)
class Reply:
    """What differs from the partner's listing of the next range, or of that only up to `through`.

    `held` are the sender's records that were not listed, or with another digest; `lacking` are listed records that
    the sender does not hold.
    """

    through: str | None
    held: tuple[Item, ...]
    lacking: tuple[str, ...]

    def __post_init__(self) -> None:
        _check_items("reply.held", self.held)
        _check_length("reply.lacking", self.lacking, 0, RECONCILE_LISTED_RECORDS_MAX)
        for record in self.lacking:
            _check_record("reply.lacking", record)
        _check_ascending("reply.lacking", self.lacking)
        if self.held and self.lacking and not {record for record, _ in self.held}.isdisjoint(self.lacking):
            _refuse("reply.lacking", "names a record that is held")
        if self.through is not None:
            _check_bound("reply.through", self.through)
            if not self.held and not self.lacking:
                _refuse("reply", "makes no progress")
            if max([*(record for record, _ in self.held[-1:]), *self.lacking[-1:]]) > self.through:
                _refuse("reply", "lies beyond its end")


Answer = Equal | Split | Listing | Reply


@dataclass(frozen=True, slots=True)
class Ranges:
    """One message: answers, and how many ranges are open after them, on both sides together; 0 is the end."""

    answers: tuple[Answer, ...]
    open: int

    def __post_init__(self) -> None:
        _check_length("ranges.answers", self.answers, 0, RECONCILE_OPEN_RANGES_MAX)
        for answer in self.answers:
            if type(answer) not in _ANSWERS:
                _refuse("ranges.answers", f"holds {type(answer).__name__}")
        _check_integer("ranges.open", self.open, 0, RECONCILE_OPEN_RANGES_MAX)


_ANSWERS = {Equal, Split, Listing, Reply}


def _refuse(field: str, problem: str) -> NoReturn:
    raise ValueError(f"{field} {problem}")


def _check_integer(field: str, value: object, at_least: int, at_most: int) -> None:
    if type(value) is not int:  # exact: a bool is an int to Python, not to the wire
        _refuse(field, f"is {type(value).__name__}, not an integer")
    if not at_least <= value <= at_most:
        _refuse(field, f"is not between {at_least} and {at_most}")


def _check_bytes(field: str, value: object, length: int) -> None:
    if type(value) is not bytes:
        _refuse(field, f"is {type(value).__name__}, not a byte string")
    if len(value) != length:
        _refuse(field, f"has {len(value)} bytes, not {length}")


def _check_length(field: str, value: object, at_least: int, at_most: int) -> None:
    if type(value) is not tuple:
        _refuse(field, f"is {type(value).__name__}, not a tuple")
    if not at_least <= len(value) <= at_most:
        _refuse(field, f"has {len(value)} entries, not {at_least} to {at_most}")


def _check_record(field: str, value: object) -> None:
    if type(value) is not str or not is_record(value):
        _refuse(field, "is not a record id")


def _check_bound(field: str, value: object) -> None:
    if type(value) is not str or not is_bound(value):
        _refuse(field, "is not a bound")


def _check_items(field: str, items: tuple[Item, ...]) -> None:
    _check_length(field, items, 0, RECONCILE_LISTED_RECORDS_MAX)
    for record, digest in items:
        _check_record(f"{field}.record", record)
        _check_bytes(f"{field}.digest", digest, DIGEST_BYTES)
    _check_ascending(field, [record for record, _ in items])


def _check_ascending(field: str, texts: tuple[str, ...] | list[str]) -> None:
    if any(left >= right for left, right in pairwise(texts)):
        _refuse(field, "are not in strictly ascending order")
