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
looked at, and only those with characters beyond 16 bits, or with what may be an empty item, are read.
"""

import re
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from crdt_sync.errors import UpdateRefused
from crdt_sync.records.delete_set import Ranges, merge_ranges, merged, range_covered, read_delete_set
from crdt_sync.records.update import HAS_LEFT, HAS_RIGHT, Item, Reader
from crdt_sync.records.varint import append_uint, read_uint

_TEXT_ROOT = re.compile(rb"\x01[\x03-\xff]t\.")
# A constant first byte each: that is searched for ten times as fast as a set of them.
_PAIRS = tuple(re.compile(bytes([first]) + rb"[\x80-\xbf]{3}") for first in range(0xF0, 0xF5))  # of four bytes
_SUSPECTS = _PAIRS + tuple(
    re.compile(pattern)
    for pattern in (
        rb"\x84(?:[\x80-\xff]{0,7}+[\x00-\x7f]){2}\x00",  # an empty text with a left origin
        rb"\xc4(?:[\x80-\xff]{0,7}+[\x00-\x7f]){4}\x00",  # and with a right one
    )
)
_KIND = 0x1F
_DELETED = 1
_TEXT = 4


def has_pairs(update: bytes) -> bool:
    """Whether an update may hold characters of two operations."""
    return any(suspect.search(update) for suspect in _PAIRS)


def mended(updates: Sequence[bytes]) -> Sequence[bytes]:
    """`updates` of one record, verified ones, with every pair whole: themselves, where nothing is wrong."""
    return made_whole(updates) if any(_TEXT_ROOT.search(update) for update in updates) else updates


def made_whole(updates: Sequence[bytes], elsewhere: Callable[[], Ranges] = dict) -> Sequence[bytes]:
    """`mended` for updates that are only some of a record: the root that a text stands in need not be told.

    `elsewhere` gives what the rest of the record deletes, and is asked only where a pair is cut.
    """
    if not any(suspect.search(update) for update in updates for suspect in _SUSPECTS):
        return updates
    try:
        read = [_read(update) for update in updates]
    except (UpdateRefused, IndexError, UnicodeDecodeError):
        return updates  # damaged in another way: whoever loads it will say so
    known = {id(one): one for one in read}
    filled = [_without_empty_items(one) for one in read]
    halves = _halves(filled)
    widened = [_with_whole_deletions(one, halves) for one in filled]
    cuts = _cuts(widened)
    inside = {writer: [clock for clock in clocks if (writer, clock) in cuts] for writer, clocks in halves.items()}
    whole = _with_cut_pairs(widened, inside, _Update({}, elsewhere())) if any(inside.values()) else widened
    if all(id(one) in known for one in whole):
        return updates
    return [update if id(one) in known else _written(one) for update, one in zip(updates, whole, strict=True)]


def _with_cut_pairs(updates: Sequence["_Update"], inside: dict[int, list[int]], other: "_Update") -> list["_Update"]:
    """Rules 2 and 3, for the pairs of these second halves, before which something is cut; `other` holds deletions."""
    deleted = merged(*(one.deletes for one in updates), _with_whole_deletions(other, inside).deletes)
    gone = {
        writer: {clock for clock in clocks if range_covered(deleted.get(writer, []), clock - 1, 2)}
        for writer, clocks in inside.items()
    }
    left = {writer: [clock for clock in clocks if clock not in gone[writer]] for writer, clocks in inside.items()}
    cut = {writer: sorted(clocks) for writer, clocks in gone.items()}
    return [_with_deleted_content(_with_whole_pairs(one, left), cut) for one in updates]


@dataclass(frozen=True, slots=True)
class _Struct:
    data: bytes
    length: int
    item: Item | None  # None: a run of skipped operations


@dataclass(frozen=True)
class _Update:
    """An update in parts: by writer the first clock and the structs, and the deletions."""

    writers: dict[int, tuple[int, tuple[_Struct, ...]]]
    deletes: Ranges


class _Structs(Reader):
    """Reads structs one by one, empty texts included."""

    def struct(self, position: int, writer: int, clock: int) -> tuple[_Struct, int]:
        count = len(self.items)
        length, end = self._struct(position, writer, clock)
        item = self.items[-1] if len(self.items) > count else None
        return _Struct(self.data[position:end], length, item), end

    def content(self) -> tuple[int, str]:
        """Where the content of a text begins, which is all the data, and that text."""
        info, position = self.data[0], 1
        for bit in (HAS_LEFT, HAS_RIGHT):
            if info & bit:
                _, position = self._neighbour(position)
        if not info & (HAS_LEFT | HAS_RIGHT):
            _, _, position = self._parent(info, position)
        text, _ = self._text(position)
        return position, text

    def _text_content(self, position: int) -> tuple[int, tuple[int, ...], int]:
        return (0, (), position + 1) if self.data[position] == 0 else super()._text_content(position)


def _read(update: bytes) -> _Update:
    reader = _Structs(update)
    writers: dict[int, tuple[int, tuple[_Struct, ...]]] = {}
    count, position = read_uint(update, 0)
    for _ in range(count):
        structs, position = read_uint(update, position)
        writer, position = read_uint(update, position)
        clock, position = read_uint(update, position)
        start, found = clock, []
        for _ in range(structs):
            struct, position = reader.struct(position, writer, clock)
            found.append(struct)
            clock += struct.length
        writers[writer] = (start, tuple(found))
    return _Update(writers, read_delete_set(update, position))


def _written(update: _Update) -> bytes:
    out = bytearray()
    append_uint(out, len(update.writers))
    for writer, (start, structs) in update.writers.items():
        for number in (len(structs), writer, start):
            append_uint(out, number)
        out += b"".join(struct.data for struct in structs)
    append_uint(out, len(update.deletes))
    for writer, ranges in update.deletes.items():
        append_uint(out, writer)
        append_uint(out, len(ranges))
        for clock, length in ranges:
            append_uint(out, clock)
            append_uint(out, length)
    return bytes(out)


def _without_empty_items(update: _Update) -> _Update:
    """Rule 4."""
    if all(struct.length for _, structs in update.writers.values() for struct in structs):
        return update
    writers: dict[int, tuple[int, tuple[_Struct, ...]]] = {}
    deletes = {writer: list(ranges) for writer, ranges in update.deletes.items()}
    for writer, (start, structs) in update.writers.items():
        kept: list[_Struct] = []
        clock = start
        for struct in structs:
            if struct.length:
                kept.append(struct if struct.item is None else _at(struct, struct.item, clock))
                clock += struct.length
                continue
            shifted = _shifted(kept, merge_ranges(update.deletes.get(writer, [])))
            if shifted is None:
                kept.append(_deleted(struct, clock))
                clock += 1
                shifted = 1
            if shifted:
                deletes.setdefault(writer, []).append((clock - shifted, shifted))
        writers[writer] = (start, tuple(kept))
    return _Update(writers, {writer: merge_ranges(ranges) for writer, ranges in deletes.items()})


def _shifted(before: list[_Struct], deleted: list[tuple[int, int]]) -> int | None:
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


def _deleted(struct: _Struct, clock: int) -> _Struct:
    """An empty text as one deleted operation."""
    item = struct.item
    assert item is not None
    data = bytes([struct.data[0] & ~_KIND | _DELETED]) + struct.data[1:-1] + b"\x01"
    return _Struct(data, 1, item._replace(clock=clock, length=1, text=False, deleted=True))


def _at(struct: _Struct, item: Item, clock: int) -> _Struct:
    return struct if item.clock == clock else replace(struct, item=item._replace(clock=clock))


def _halves(updates: Sequence[_Update]) -> dict[int, list[int]]:
    """By writer the clocks of second halves, ascending."""
    found: dict[int, set[int]] = {}
    for update in updates:
        for _, structs in update.writers.values():
            for struct in structs:
                if struct.item is not None and struct.item.halves:
                    clock = struct.item.clock
                    found.setdefault(struct.item.writer, set()).update(clock + half for half in struct.item.halves)
    return {writer: sorted(clocks) for writer, clocks in found.items()}


def _with_whole_deletions(update: _Update, halves: dict[int, list[int]]) -> _Update:
    """Rule 1."""
    deletes = dict(update.deletes)
    for writer, ranges in update.deletes.items():
        widened = [_widened(clock, length, halves.get(writer, [])) for clock, length in ranges]
        if widened != ranges:
            deletes[writer] = merge_ranges(widened)
    return update if deletes == update.deletes else _Update(update.writers, deletes)


def _with_whole_pairs(update: _Update, halves: dict[int, list[int]]) -> _Update:
    """Rule 2, for `halves` of pairs that are not deleted."""
    writers = dict(update.writers)
    for writer, (start, structs) in update.writers.items():
        moved = tuple(_with_whole_origins(struct, halves) for struct in structs)
        if moved != structs:
            writers[writer] = (start, moved)
    return update if writers == update.writers else _Update(writers, update.deletes)


def _cuts(updates: Sequence[_Update]) -> set[tuple[int, int]]:
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


def _with_deleted_content(update: _Update, cut: dict[int, list[int]]) -> _Update:
    """Rule 3, for `cut` pairs that are deleted."""
    writers = dict(update.writers)
    deletes: Ranges = {}
    for writer, (start, structs) in update.writers.items():
        if not cut.get(writer):
            continue
        parted: list[_Struct] = []
        for struct in structs:
            item = struct.item
            inside = [half for half in item.halves if _among(cut[writer], item.clock + half)] if item else []
            if item is None or not inside:
                parted.append(struct)
                continue
            parted += _parts(struct, item, inside)
            deletes.setdefault(writer, []).extend((item.clock + half - 1, 2) for half in inside)
        writers[writer] = (start, tuple(parted))
    return _Update(writers, merged(update.deletes, deletes)) if deletes else update


def _parts(struct: _Struct, item: Item, halves: list[int]) -> Iterator[_Struct]:
    """An item with the pairs of these second halves as deleted content: in parts, each after the one before."""
    content, text = _Structs(struct.data).content()
    units = text.encode("utf-16-le")
    begin = 0
    for half in halves:
        yield from _part(struct.data[:content], item, begin, units[2 * begin : 2 * half - 2])
        yield from _part(struct.data[:content], item, half - 1, None)
        begin = half + 1
    yield from _part(struct.data[:content], item, begin, units[2 * begin :])


def _part(head: bytes, item: Item, begin: int, units: bytes | None) -> Iterator[_Struct]:
    """The operations of an item from `begin` on, `units` of UTF-16; None: a deleted pair. Nothing where there are none.

    `head` is what stands before the content of the whole item.
    """
    length = 2 if units is None else len(units) // 2
    if not length:
        return
    out = bytearray(head)
    left = item.left
    if begin:
        left = (item.writer, item.clock + begin - 1)
        out = bytearray([HAS_LEFT | (HAS_RIGHT if item.right else 0)])
        for origin in (left, item.right):
            if origin is not None:
                append_uint(out, origin[0])
                append_uint(out, origin[1])
    out[0] = out[0] & ~_KIND | (_DELETED if units is None else _TEXT)
    if units is None:
        append_uint(out, length)
    else:
        text = units.decode("utf-16-le").encode()
        append_uint(out, len(text))
        out += text
    yield _Struct(bytes(out), length, item._replace(clock=item.clock + begin, length=length, left=left, halves=()))


def _widened(clock: int, length: int, halves: list[int]) -> tuple[int, int]:
    if length == 0:
        return clock, length
    end = clock + length
    first = clock - 1 if _among(halves, clock) else clock
    return first, (end + 1 if _among(halves, end) else end) - first


def _with_whole_origins(struct: _Struct, halves: dict[int, list[int]]) -> _Struct:
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
    position = 1
    for origin in (item.left, item.right):
        if origin is not None:
            _, position = read_uint(struct.data, position)
            _, position = read_uint(struct.data, position)
    out = bytearray([struct.data[0] & ~(HAS_LEFT | HAS_RIGHT)])
    for bit, origin in ((HAS_LEFT, left), (HAS_RIGHT, right)):
        if origin is not None:
            out[0] |= bit
            append_uint(out, origin[0])
            append_uint(out, origin[1])
    return replace(struct, data=bytes(out) + struct.data[position:], item=item._replace(left=left, right=right))


def _among(clocks: list[int], clock: int) -> bool:
    index = bisect_left(clocks, clock)
    return index < len(clocks) and clocks[index] == clock
