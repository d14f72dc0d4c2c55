"""Collections of which records are here but no schema: a device that has it sends records, never schemas."""

from collections.abc import Collection, Iterator
from typing import NamedTuple

from crdt_sync import ids
from crdt_sync.limits import SCHEMALESS_NAMED_MAX, STATUS_ENTRIES_MAX
from crdt_sync.storage.port import Records

_LAST = "\x7f"  # sorts after every character of a record id
_PAGE = 512


class Schemaless(NamedTuple):
    """A collection without a schema here, and how many records it has; `exact` False: that many at least."""

    collection: str
    records: int
    exact: bool


def schemaless(store: Records, known: Collection[str], only: str | None = None) -> tuple[Schemaless, ...]:
    """The collections that have records here and are not `known`, by name; at most `SCHEMALESS_NAMED_MAX` of them.

    With `only`, that collection, if it is one of them. Costs a read for each known collection, and looks at
    `STATUS_ENTRIES_MAX` records of the others at most.
    """
    left = STATUS_ENTRIES_MAX
    found = []
    for collection in _collections(store, known) if only is None else {only}.difference(known):
        count, more = _count(store, f"{collection}/", max(1, left))
        if not count:
            continue
        found.append(Schemaless(collection, count, not more))
        left -= count
        if len(found) == SCHEMALESS_NAMED_MAX:
            break
    return tuple(found)


def _collections(store: Records, known: Collection[str]) -> Iterator[str]:
    after = ""
    while page := store.records(after, 1):
        collection = ids.collection_of(page[0])
        if collection not in known and not ids.section_of(collection):
            yield collection
        after = f"{collection}/{_LAST}"


def count_companions(store: Records) -> int:
    """How many companions there are, which hold what records have in sections. Costs what they are."""
    found, after = 0, ""
    while page := store.records(after, 1):
        collection = ids.collection_of(page[0])
        if ids.section_of(collection):
            found += _count(store, f"{collection}/", store.count())[0]
        after = f"{collection}/{_LAST}"
    return found


def _count(store: Records, prefix: str, most: int) -> tuple[int, bool]:
    """How many records begin so, up to `most`, and whether there are more."""
    count, after = 0, ""
    while page := store.records(after, min(_PAGE, most + 1 - count), prefix):
        count, after = count + len(page), page[-1]
        if count > most:
            return most, True
    return count, False
