"""What an update does to a record, root by root, told before it is integrated.

Whatever is written or deleted is found, however it is said: by the items that are new, in whatever root they stand, and
by deletions, which name operations and no roots. What is here already, or deleted already, is not done again. An update
of another lineage says all anew: what that does is told by the two documents, before and after.
"""

import json
from collections import Counter
from collections.abc import Callable, Collection, Container, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from crdt_sync.ids import is_collection
from crdt_sync.limits import AUDIT_AUTHORS_MAX, FIELDS_MAX
from crdt_sync.records.entries import is_entry
from crdt_sync.records.member_keys import is_imported, member_of, source_of
from crdt_sync.records.roots import (
    ARRAY_PREFIXES,
    DELETED_ROOT,
    LINEAGE_ROOT,
    MEMORY_ROOTS,
    TEXT_PREFIX,
    Contents,
    Layout,
)
from crdt_sync.records.updates.delete_set import Ranges, merged, range_covered, without
from crdt_sync.records.updates.lists import Lists, Operation
from crdt_sync.records.updates.one_entry import entry_of
from crdt_sync.records.updates.update import Item, Scan
from crdt_sync.records.updates.written import Written, written
from crdt_sync.records.values import total
from crdt_sync.verdicts import Touched

_NO_FIELDS = MEMORY_ROOTS | {DELETED_ROOT}

_REMOVED_MAX: Final = 64  # operations that are looked up one by one


@dataclass(slots=True)
class Touch:
    """What is done to one root.

    `values` are what is new there, entries of an array or, with their keys, values of a map; `removed` counts what was
    shown and is deleted, in operations; `items` counts what was written, be it gone again. Of a text it is told that it
    was written, and not what.
    """

    values: list[object] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    removed: int = 0
    items: int = 0


Touches = Mapping[str, Touch]
"""By root."""


class Overwritten(NamedTuple):
    """An entry that is written behind what is deleted in the same array, and how many operations that may be."""

    root: str
    entry: list[object]
    removed: int


def overwritten(
    update: bytes, found: Scan, fresh: Sequence[Item], places: Mapping[Operation, str]
) -> Overwritten | None:
    """What an update does that writes one entry behind what it deletes in the same array: the most frequent one, and
    the quickest to tell. None for any other. `places` has the root of each entry that may be the one before.
    """
    if len(fresh) != 1 or len(found.deletes) > 1 or (left := fresh[0].left) is None:
        return None
    root = places.get(left)
    if root is None or (entry := entry_of(update)) is None:
        return None
    removed = 0
    for writer, ranges in found.deletes.items():
        for clock, length in ranges:
            removed += length
            if removed > _REMOVED_MAX:
                return None
            for each in range(clock, clock + length):
                if places.get((writer, each)) != root:
                    return None
    return Overwritten(root, entry, removed)


def touches_of(update: bytes, found: Scan, fresh: Collection[Item], lists: Lists, known: Ranges) -> dict[str, Touch]:
    """What `update`, whose scan is `found`, does where its items `fresh` are new.

    `lists` holds what is here and the new items, and `known` the deletions that are here, merged.
    """
    touched: dict[str, Touch] = {}
    deletes = merged(found.deletes)
    values: Written = {}
    if len(fresh) == 1 and (entry := entry_of(update)) is not None:  # most are such
        values = {(item.writer, item.clock): [entry] for item in fresh}
    elif any(not item.deleted and not item.text for item in fresh):
        values = written(update)
    for item in fresh:
        name = lists.name((item.writer, item.clock))
        touch = touched.setdefault(name.root, Touch())
        touch.items += 1
        if item.deleted or item.text:
            continue
        gone = deletes.get(item.writer, [])
        for offset, value in enumerate(values[item.writer, item.clock]):
            if not range_covered(gone, item.clock + offset, 1):
                touch.values.append(value)
                if name.key is not None:
                    touch.keys.append(name.key)
    new = {(item.writer, item.clock) for item in fresh}
    for writer, ranges in (without(deletes, known) if deletes else {}).items():
        for clock, length in ranges:
            for root, count in _roots(lists, writer, clock, length, new).items():
                touched.setdefault(root, Touch()).removed += count
    return touched


def touches_between(before: Contents, after: Contents) -> dict[str, Touch]:
    """What was done to a record that held `before` and holds `after`; that it was written anew is nothing."""
    touched: dict[str, Touch] = {}
    for root in sorted(before.keys() | after.keys()):
        if root == LINEAGE_ROOT:
            continue
        touch = _difference(root, before.get(root), after.get(root))
        if touch.items or touch.removed:
            touched[root] = touch
    return touched


def told_of(touched: Touches, user: str, users: Container[str]) -> Touched:
    """Fields and authors of an update that `user` sent; `users` are those whom the policy names."""
    fields = {field for root in touched if is_collection(field := _field(root)) or root in _NO_FIELDS}
    authors: set[str] = set()
    for root, touch in touched.items():
        if root[:2] in ARRAY_PREFIXES and root not in MEMORY_ROOTS:
            authors.update(entry[2] for entry in touch.values if is_entry(entry) and entry[2] in users)
    authors.discard(user)
    return Touched(tuple(sorted(fields)[:FIELDS_MAX]), tuple(sorted(authors)[:AUDIT_AUTHORS_MAX]))


def _field(root: str) -> str:
    """The field that a root belongs to, what is no field by its own name."""
    return root.rpartition(".")[2] if root.startswith(f"{TEXT_PREFIX}_") else root[2:]


def _roots(lists: Lists, writer: int, clock: int, length: int, new: Collection[tuple[int, int]]) -> Mapping[str, int]:
    """The roots in which these operations stand, and how many of them do that were here before."""
    found: Counter[str] = Counter()
    while length > 0:
        first, name, end = lists.placed((writer, clock))
        count = min(length, end - clock)
        found[name.root] += 0 if first in new else count
        clock, length = clock + count, length - count
    return found


def _difference(root: str, before: object, after: object) -> Touch:
    if root[:2] in ARRAY_PREFIXES:
        told = _told_of_deletion if root == DELETED_ROOT else _told
        return _of_arrays(before if isinstance(before, list) else [], after if isinstance(after, list) else [], told)
    if root.startswith(Layout.MEMBERS):
        return _of_members(before if isinstance(before, dict) else {}, after if isinstance(after, dict) else {})
    if root.startswith(Layout.COUNTS):
        return _of_counts(before if isinstance(before, dict) else {}, after if isinstance(after, dict) else {})
    if (before or None) == (after or None):
        return Touch()
    return Touch(removed=1 if before else 0, items=1)


def _of_arrays(before: list[object], after: list[object], told: Callable[[object], str]) -> Touch:
    left = Counter(map(told, before))
    added = []
    for value in after:
        if left[one := told(value)]:
            left[one] -= 1
        else:
            added.append(value)
    return Touch(added, removed=left.total(), items=len(added))


def _of_members(before: dict[str, object], after: dict[str, object]) -> Touch:
    """Whoever writes a record anew gives several who added a member one key."""
    left, now = _members(before), _members(after)
    keys = [key for member, key in now.items() if member not in left]
    return Touch([after[key] for key in keys], keys, len(left.keys() - now.keys()), len(keys))


def _members(held: dict[str, object]) -> dict[tuple[object, ...], str]:
    return {(member_of(key), is_imported(key), source_of(key), _told(held[key])): key for key in sorted(held)}


def _of_counts(before: dict[str, object], after: dict[str, object]) -> Touch:
    """Likewise: their sum has one."""
    if total(before.values()) == total(after.values()):
        return Touch()
    keys = [key for key in sorted(after) if key not in before or _told(before[key]) != _told(after[key])]
    return Touch([after[key] for key in keys], keys, 1, len(keys))


def _told_of_deletion(entry: object) -> str:
    """Without what it had seen, which each lineage says by its own operations."""
    return _told([isinstance(entry[0], str), *entry[1:]] if is_entry(entry) else entry)


def _told(value: object) -> str:
    return json.dumps(value, sort_keys=True)
