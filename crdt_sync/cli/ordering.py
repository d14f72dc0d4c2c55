"""The order in which records are shown: by fields, by when each changed here last, or else by what each is called.

Bounded: with a limit, only as many records are held as are shown. Without one, and asked to sort, all that match are
held, about a kilobyte each; a store of more than `SORTED_RECORDS_MAX` records is not sorted unless it is asked for.
"""

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import date
from decimal import Decimal
from functools import partial, total_ordering
from typing import Any

from crdt_sync.cli.finding import field_named
from crdt_sync.cli.values import title
from crdt_sync.errors import StoreCorrupt, UnknownField
from crdt_sync.nearest import suggestion
from crdt_sync.records.comparing import folded
from crdt_sync.records.schema import Schema
from crdt_sync.replica import RecordView, Replica

CHANGED = "changed"
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
    replica: Replica, views: Iterable[RecordView], schemas: Iterable[Schema], by: str | None, limit: int = 0
) -> Iterator[RecordView]:
    """The first `limit` views (0: all) as `by` says, such as `city,-visits`.

    `changed` is the order in which this device stored the latest change of each record, whoever made it, unless a
    field has that name. Raises `UnknownField`.
    """
    if by is None and replica.count() > SORTED_RECORDS_MAX:
        return iter(views)
    key = _by_title if by is None else _by_fields(replica, by, list(schemas))
    return iter(heapq.nsmallest(limit, views, key) if limit else sorted(views, key=key))


def _by_title(view: RecordView) -> tuple[object, ...]:
    return folded(title(view)), view.record


def _by_fields(replica: Replica, by: str, schemas: Sequence[Schema]) -> Callable[[RecordView], tuple[object, ...]]:
    parts: list[tuple[Callable[[RecordView], object], bool]] = []
    for part in filter(None, map(str.strip, by.split(","))):
        name = part.removeprefix("-").strip()
        fields = frozenset(field for schema in schemas if (field := field_named(schema, name)))
        if not fields and name != CHANGED:
            names = dict.fromkeys((*(field for schema in schemas for field in schema.fields), CHANGED))
            raise UnknownField(f"no field {name[:60]!r} here to sort by", suggestion(name, names, "fields"))
        parts.append((partial(_value, fields) if fields else partial(_place, replica), part.startswith("-")))

    def key(view: RecordView) -> tuple[object, ...]:
        return (*(_key(of(view), falling) for of, falling in parts), view.record)

    return key


def _value(fields: frozenset[str], view: RecordView) -> object:
    return next((view[field] for field in sorted(fields) if field in view), None)


def _place(replica: Replica, view: RecordView) -> int | None:
    """The place of its latest change in the log of this store; None where that is damaged."""
    with suppress(StoreCorrupt):
        head = replica.store.record_head(view.record)
        return None if head is None else head.seq
    return None


def _key(value: object, falling: bool) -> tuple[object, ...]:
    """What is empty comes last, either way; values of one type are compared with each other."""
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
