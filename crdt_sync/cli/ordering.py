"""The order in which records are shown: by fields, or else by what each is called.

Bounded: with a limit, only as many records are held as are shown. Without one, and asked to sort, all that match are
held, about a kilobyte each; a store of more than `SORTED_RECORDS_MAX` records is not sorted unless it is asked for.
"""

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date
from decimal import Decimal
from functools import total_ordering
from typing import Any

from crdt_sync.cli.finding import field_named
from crdt_sync.cli.values import title
from crdt_sync.errors import UnknownField
from crdt_sync.nearest import suggestion
from crdt_sync.records.comparing import folded
from crdt_sync.records.schema import Schema
from crdt_sync.replica import RecordView

SORTED_RECORDS_MAX = 10_000  # a tenth of a second


@total_ordering
class _Falling:
    """A key that sorts the other way round."""

    def __init__(self, key: Any) -> None:
        self.key = key

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Falling) and bool(self.key == other.key)

    def __lt__(self, other: "_Falling") -> bool:
        return bool(other.key < self.key)

    def __hash__(self) -> int:
        return hash(self.key)


def ordered(
    views: Iterable[RecordView], schemas: Iterable[Schema], by: str | None, count: int, limit: int = 0
) -> Iterator[RecordView]:
    """The first `limit` views (0: all) as `by` says, such as `city,-visits`; `count` is how many the store holds.

    Raises `UnknownField`.
    """
    if by is None and count > SORTED_RECORDS_MAX:
        return iter(views)
    key = _by_title if by is None else _by_fields(by, list(schemas))
    return iter(heapq.nsmallest(limit, views, key) if limit else sorted(views, key=key))


def _by_title(view: RecordView) -> tuple[object, ...]:
    return folded(title(view)), view.record


def _by_fields(by: str, schemas: Sequence[Schema]) -> Callable[[RecordView], tuple[object, ...]]:
    parts: list[tuple[frozenset[str], bool]] = []
    for part in filter(None, map(str.strip, by.split(","))):
        name = part.removeprefix("-").strip()
        fields = frozenset(field for schema in schemas if (field := field_named(schema, name)))
        if not fields:
            names = dict.fromkeys(field for schema in schemas for field in schema.fields)
            raise UnknownField(f"no field {name[:60]!r} here to sort by", suggestion(name, names, "fields"))
        parts.append((fields, part.startswith("-")))

    def key(view: RecordView) -> tuple[object, ...]:
        return (*(_key(view, fields, falling) for fields, falling in parts), view.record)

    return key


def _key(view: RecordView, fields: frozenset[str], falling: bool) -> tuple[object, ...]:
    """What is empty comes last, either way; values of one type are compared with each other."""
    value = next((view[field] for field in sorted(fields) if field in view), None)
    if value in (None, "", []):
        return (1,)
    rank: tuple[object, ...]
    match value:
        case bool() | int() | Decimal() | float():
            rank = (0, value)
        case date():
            rank = (1, value.isoformat())
        case _:
            rank = (2, folded(str(value)))
    return (0, _Falling(rank)) if falling else (0, rank)
