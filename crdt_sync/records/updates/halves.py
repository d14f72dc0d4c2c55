"""Stored bytes in which half of a surrogate pair is deleted, or is an origin: made whole again when they are read.

Earlier versions accepted such updates. yrs keeps a pair in one item and an empty one: the clocks of what follows shift
by one when the record is loaded from its own state, no later state of it can be scanned, and no partner takes it. So:

1. A deletion of one half is one of both.
2. A left origin that is a first half becomes the second one. A right origin that is a second half is left out where
   there is a left one, and becomes the first half elsewhere.
3. Of a pair that is deleted no half is an origin: what lies between them stays there, as in a record that was written
   anew since. Where something does, the pair becomes deleted content, which can be cut.
4. An empty item is what is left of a pair after the whole state was written. Where the pair stands in the text before,
   it is left out; else it is the lost half, and deleted.

What comes of a record depends on its bytes alone, so all replicas that hold it get the same. Only records with text are
looked at, and only those in which a pair may be cut (`pairs`) are read in parts.
"""

import re
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import replace

from crdt_sync.errors import UpdateRefused
from crdt_sync.records.updates.delete_set import Ranges, merge_ranges, merged, range_covered
from crdt_sync.records.updates.pairs import may_be_cut
from crdt_sync.records.updates.parts import Parts, Struct, as_deleted, read_parts, with_deleted_pairs, with_origins
from crdt_sync.records.updates.update import Item

_TEXT_ROOT = re.compile(rb"\x01[\x03-\xff]t\.")


def mended(updates: Sequence[bytes]) -> Sequence[bytes]:
    """`updates` of one record, verified ones, with every pair whole: themselves, where nothing is wrong."""
    return made_whole(updates) if any(_TEXT_ROOT.search(update) for update in updates) else updates


def made_whole(updates: Sequence[bytes], elsewhere: Callable[[], Ranges] = dict) -> Sequence[bytes]:
    """`mended` for updates that are only some of a record: the root that a text stands in need not be told.

    `elsewhere` gives what the rest of the record deletes, and is asked only where a pair is cut.
    """
    return healed(updates, elsewhere) if may_be_cut(updates) else updates


def healed(updates: Sequence[bytes], elsewhere: Callable[[], Ranges] = dict) -> Sequence[bytes]:
    """`made_whole` without looking first whether anything is cut."""
    try:
        read = [read_parts(update) for update in updates]
    except (UpdateRefused, IndexError, UnicodeDecodeError):
        return updates  # damaged in another way: whoever loads it will say so
    known = {id(one): one for one in read}
    filled = [_without_empty_items(one) for one in read]
    halves = _halves(filled)
    widened = [_with_whole_deletions(one, halves) for one in filled]
    cuts = _cuts(widened)
    inside = {writer: [clock for clock in clocks if (writer, clock) in cuts] for writer, clocks in halves.items()}
    whole = _with_cut_pairs(widened, inside, Parts({}, elsewhere())) if any(inside.values()) else widened
    if all(id(one) in known for one in whole):
        return updates
    return [update if id(one) in known else one.written() for update, one in zip(updates, whole, strict=True)]


def _with_cut_pairs(updates: Sequence[Parts], inside: dict[int, list[int]], other: Parts) -> list[Parts]:
    """Rules 2 and 3, for the pairs of these second halves, before which something is cut; `other` holds deletions."""
    deleted = merged(*(one.deletes for one in updates), _with_whole_deletions(other, inside).deletes)
    gone = {
        writer: {clock for clock in clocks if range_covered(deleted.get(writer, []), clock - 1, 2)}
        for writer, clocks in inside.items()
    }
    left = {writer: [clock for clock in clocks if clock not in gone[writer]] for writer, clocks in inside.items()}
    cut = {writer: sorted(clocks) for writer, clocks in gone.items()}
    return [_with_deleted_content(_with_whole_pairs(one, left), cut) for one in updates]


def _without_empty_items(update: Parts) -> Parts:
    """Rule 4."""
    if all(struct.length for _, structs in update.writers.values() for struct in structs):
        return update
    writers: dict[int, tuple[int, tuple[Struct, ...]]] = {}
    deletes = {writer: list(ranges) for writer, ranges in update.deletes.items()}
    for writer, (start, structs) in update.writers.items():
        kept: list[Struct] = []
        clock = start
        for struct in structs:
            item = struct.item
            if item is None or struct.length:
                kept.append(struct if item is None else _at(struct, item, clock))
                clock += struct.length
                continue
            shifted = _shifted(kept, merge_ranges(update.deletes.get(writer, [])))
            if shifted is None:
                kept.append(as_deleted(struct, item, clock))
                clock += 1
                shifted = 1
            if shifted:
                deletes.setdefault(writer, []).append((clock - shifted, shifted))
        writers[writer] = (start, tuple(kept))
    return Parts(writers, {writer: merge_ranges(ranges) for writer, ranges in deletes.items()})


def _shifted(before: list[Struct], deleted: list[tuple[int, int]]) -> int | None:
    """How many deleted operations stand between the pair that an empty item belongs to and that item; None: no pair.

    They are those whose clocks are not deleted: the pair is longer by one here than it was in the document.
    """
    count = 0
    for struct in reversed(before):
        item = struct.item
        if item is None:
            return None
        if item.halves and item.halves[-1] == item.length - 1:
            return count
        if not item.deleted or range_covered(deleted, item.clock, item.length):
            return None
        count += item.length
    return None


def _at(struct: Struct, item: Item, clock: int) -> Struct:
    return struct if item.clock == clock else replace(struct, item=item._replace(clock=clock))


def _halves(updates: Sequence[Parts]) -> dict[int, list[int]]:
    """By writer the clocks of second halves, ascending."""
    found: dict[int, set[int]] = {}
    for update in updates:
        for _, structs in update.writers.values():
            for struct in structs:
                if struct.item is not None and struct.item.halves:
                    clock = struct.item.clock
                    found.setdefault(struct.item.writer, set()).update(clock + half for half in struct.item.halves)
    return {writer: sorted(clocks) for writer, clocks in found.items()}


def _with_whole_deletions(update: Parts, halves: dict[int, list[int]]) -> Parts:
    """Rule 1."""
    deletes = dict(update.deletes)
    for writer, ranges in update.deletes.items():
        widened = [_widened(clock, length, halves.get(writer, [])) for clock, length in ranges]
        if widened != ranges:
            deletes[writer] = merge_ranges(widened)
    return update if deletes == update.deletes else Parts(update.writers, deletes)


def _with_whole_pairs(update: Parts, halves: dict[int, list[int]]) -> Parts:
    """Rule 2, for `halves` of pairs that are not deleted."""
    writers = dict(update.writers)
    for writer, (start, structs) in update.writers.items():
        moved = tuple(_with_whole_origins(struct, halves) for struct in structs)
        if moved != structs:
            writers[writer] = (start, moved)
    return update if writers == update.writers else Parts(writers, update.deletes)


def _cuts(updates: Sequence[Parts]) -> set[tuple[int, int]]:
    """The operations before which an item may be cut: one is, or an origin says so."""
    found: set[tuple[int, int]] = set()
    for update in updates:
        for _, structs in update.writers.values():
            for struct in structs:
                if (item := struct.item) is None:
                    continue
                found.add((item.writer, item.clock))
                if item.left is not None:
                    found.add((item.left[0], item.left[1] + 1))
                if item.right is not None:
                    found.add(item.right)
    return found


def _with_deleted_content(update: Parts, cut: dict[int, list[int]]) -> Parts:
    """Rule 3, for `cut` pairs that are deleted."""
    writers = dict(update.writers)
    deletes: Ranges = {}
    for writer, (start, structs) in update.writers.items():
        if not cut.get(writer):
            continue
        parted: list[Struct] = []
        for struct in structs:
            item = struct.item
            inside = [half for half in item.halves if _among(cut[writer], item.clock + half)] if item else []
            if item is None or not inside:
                parted.append(struct)
                continue
            parted += with_deleted_pairs(struct, item, inside)
            deletes.setdefault(writer, []).extend((item.clock + half - 1, 2) for half in inside)
        writers[writer] = (start, tuple(parted))
    return Parts(writers, merged(update.deletes, deletes)) if deletes else update


def _widened(clock: int, length: int, halves: list[int]) -> tuple[int, int]:
    if length == 0:
        return clock, length
    end = clock + length
    first = clock - 1 if _among(halves, clock) else clock
    return first, (end + 1 if _among(halves, end) else end) - first


def _with_whole_origins(struct: Struct, halves: dict[int, list[int]]) -> Struct:
    item = struct.item
    if item is None:
        return struct
    left, right = item.left, item.right
    if left is not None and _among(halves.get(left[0], []), left[1] + 1):
        left = (left[0], left[1] + 1)
    if right is not None and _among(halves.get(right[0], []), right[1]):
        right = None if left is not None else (right[0], right[1] - 1)
    if (left, right) == (item.left, item.right):
        return struct
    return with_origins(struct, item, left, right)


def _among(clocks: list[int], clock: int) -> bool:
    index = bisect_left(clocks, clock)
    return index < len(clocks) and clocks[index] == clock
