"""A bounded reader of Yjs updates (encoding v1) that never builds a document.

Every update from another party passes `scan` before pycrdt sees it, because yrs panics, hangs or takes gigabytes
on hostile bytes. An update is

    update    = writers, { structs, writer, first clock, struct * structs } * writers, delete set
    struct    = info byte, then a run of skipped (10) operations, or an item
    item      = [left origin] [right origin] [parent, [key]] content
    delete set = writers, { writer, ranges, { clock, length } * ranges } * writers

Our layout makes only root types with items of deleted (1), text (4) and any-value (8) content; every other
content is refused, and so are collected runs (0), which only nested types leave behind. Deleted content must be
in the delete set of the same update: yrs miscounts otherwise, and panics when the record is read. All counts are
checked against the bytes that are left, so that work and memory stay in proportion to the input. Layout and names
follow yjs/src/utils/UpdateEncoder.js and lib0/encoding.js.
"""

import re
import struct
from math import isfinite
from typing import NamedTuple

from crdt_sync.errors import UpdateRefused
from crdt_sync.limits import CLIENTS_MAX, NESTING_MAX, STAMP_MAX, UPDATE_BYTES_MAX
from crdt_sync.records.updates.delete_set import Ranges, malformed, merge_ranges, range_covered, read_delete_set
from crdt_sync.records.updates.state_vector import CLOCK_MAX
from crdt_sync.records.updates.varint import read_uint

DELETED = 1
TEXT = 4
_ANY = 8
_SKIPPED = 10
HAS_LEFT = 0x80
HAS_RIGHT = 0x40
_HAS_KEY = 0x20
_FLOAT32 = struct.Struct(">f")
_FLOAT64 = struct.Struct(">d")
_BIGINT = struct.Struct(">q")
_BEYOND_16_BITS = re.compile("[\U00010000-\U0010ffff]")


class Item(NamedTuple):
    """Operations of one writer that were made together: what they hold and where they stand.

    `text` and `deleted` tell the kind of content; `root` is the root type, if the item gives it, and `key` its key
    there, if it has one; else it stands where its neighbours `left` and `right` stand, which are `(writer, clock)`.
    `halves` counts, from the item's begin, the operations that are the second half of a surrogate pair.
    """

    writer: int
    clock: int
    length: int
    text: bool
    deleted: bool
    root: str | None
    left: tuple[int, int] | None
    right: tuple[int, int] | None
    key: str | None = None
    halves: tuple[int, ...] = ()


class Scan(NamedTuple):
    """What an update says, without integrating it.

    `clients` maps each writer to its first clock and the one behind its last; `deletes` holds the delete set;
    `stamps` is the highest stamp of an entry, 0 without entries; `roots` names the root types that items give
    as their parent; `skips` tells that the update itself has gaps; `compact` counts deleted operations, which
    take no bytes of their own, so that a small update can raise a clock far; `items` are all items in order; `foreign`
    tells of items with values that our layout never writes: writer, clock and what is there.
    """

    clients: dict[int, tuple[int, int]]
    deletes: Ranges
    stamps: int
    roots: frozenset[str]
    skips: bool
    compact: int
    items: list[Item]
    foreign: list[tuple[int, int, str]]


def scan(update: bytes) -> Scan:
    """Read a whole update. Raises `UpdateRefused` ('malformed' or 'too_large') and nothing else."""
    if len(update) > UPDATE_BYTES_MAX:
        raise UpdateRefused("too_large", f"an update of {len(update)} bytes; the limit is {UPDATE_BYTES_MAX}")
    try:
        return Reader(update).scan()
    except IndexError:
        raise UpdateRefused("malformed", "an update is cut off") from None
    except UnicodeDecodeError:
        raise UpdateRefused("malformed", "an update holds text that is not UTF-8") from None


class Reader:
    """One pass over one update. Methods take a position and return the one behind what they read."""

    __slots__ = ("_foreign", "compact", "data", "foreign", "items", "roots", "size", "skips", "stamps")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.size = len(data)
        self.stamps = 0
        self.roots: set[str] = set()
        self.skips = False
        self.compact = 0
        self.items: list[Item] = []
        self.foreign: list[tuple[int, int, str]] = []
        self._foreign = ""  # what the item that is read holds of it

    def scan(self) -> Scan:
        """All of it."""
        data = self.data
        writers, position = read_uint(data, 0)
        if writers > CLIENTS_MAX or writers * 3 > self.size:
            raise malformed(f"an update announces {writers} writers in {self.size} bytes")
        clients: dict[int, tuple[int, int]] = {}
        for _ in range(writers):
            structs, position = read_uint(data, position)
            writer, position = read_uint(data, position)
            start, position = read_uint(data, position)
            if structs * 2 > self.size - position or writer in clients:
                raise malformed(f"an update announces {structs} operations in {self.size - position} bytes")
            clock = start
            for _ in range(structs):
                length, position = self.struct(position, writer, clock)
                clock += length
            if clock > CLOCK_MAX:
                raise malformed("an update reaches beyond the last possible clock")
            clients[writer] = (start, clock)
        deletes = read_delete_set(data, position)
        if self.compact:
            self._check_deleted(deletes)
        return Scan(
            clients, deletes, self.stamps, frozenset(self.roots), self.skips, self.compact, self.items, self.foreign
        )

    def struct(self, position: int, writer: int, clock: int) -> tuple[int, int]:
        """Read one struct; returns its length in operations and the position behind it."""
        data = self.data
        info = data[position]
        position += 1
        content = info & 0x1F
        if content == _SKIPPED:
            self.skips = True
            return self._run(position)
        if content not in (_ANY, TEXT, DELETED):
            raise malformed(f"an operation has content of kind {content}, which records never hold")
        root = left = right = key = None
        halves: tuple[int, ...] = ()
        if info & HAS_LEFT:
            left, position = self._neighbour(position)
        if info & HAS_RIGHT:
            right, position = self._neighbour(position)
        if left is None and right is None:
            root, key, position = self._parent(info, position)
        if content == _ANY:
            length, position = self._values(position)
            if self._foreign:
                self.foreign.append((writer, clock, self._foreign))
                self._foreign = ""
        elif content == TEXT:
            length, halves, position = self._text_content(position)
        else:
            length, position = self._run(position)
            self.compact += length
        self.items.append(
            Item(writer, clock, length, content == TEXT, content == DELETED, root, left, right, key, halves)
        )
        return length, position

    def _neighbour(self, position: int) -> tuple[tuple[int, int], int]:
        writer, position = read_uint(self.data, position)
        clock, position = read_uint(self.data, position)
        if clock > CLOCK_MAX:
            raise malformed("an origin lies beyond the last possible clock")
        return (writer, clock), position

    def _parent(self, info: int, position: int) -> tuple[str, str | None, int]:
        if self.data[position] != 1:
            raise malformed("an item has a parent that is not a root type")
        root, position = self._text(position + 1)
        self.roots.add(root)
        key = None
        if info & _HAS_KEY:
            key, position = self._text(position)
        return root, key, position

    def _text_content(self, position: int) -> tuple[int, tuple[int, ...], int]:
        text, position = self._text(position)
        if not text:
            raise malformed("an item holds no text")
        if text.isascii():
            return len(text), (), position
        length = len(text.encode("utf-16-le")) // 2  # Yjs counts UTF-16 units
        return length, second_halves(text) if length > len(text) else (), position

    def _check_deleted(self, deletes: Ranges) -> None:
        merged = {writer: merge_ranges(ranges) for writer, ranges in deletes.items()}
        for item in self.items:
            if item.deleted and not range_covered(merged.get(item.writer, []), item.clock, item.length):
                raise malformed("deleted content is missing in the delete set")

    def _run(self, position: int) -> tuple[int, int]:
        length, position = read_uint(self.data, position)
        if length == 0 or length > CLOCK_MAX:
            raise malformed("a run of operations has an impossible length")
        return length, position

    def _text(self, position: int) -> tuple[str, int]:
        data = self.data
        length = data[position]
        position += 1
        if length > 0x7F:
            length, position = read_uint(data, position - 1)
        end = position + length
        if end > self.size:
            raise IndexError
        return data[position:end].decode(), end

    def _values(self, position: int) -> tuple[int, int]:
        data = self.data
        count = data[position]
        position += 1
        if count > 0x7F:
            count, position = read_uint(data, position - 1)
        if count == 0 or count > self.size - position:
            raise malformed(f"an item announces {count} values in {self.size - position} bytes")
        for _ in range(count):
            if data[position] == 117:
                position = self._entry(position + 1)
            else:
                _, position = self._value(position, 1)
        return count, position

    def _entry(self, position: int) -> int:
        """Read a list that may be an entry `[value, stamp, actor, ...]` and take note of its stamp."""
        length, position = read_uint(self.data, position)
        if length > self.size - position:
            raise malformed(f"a list announces {length} values in {self.size - position} bytes")
        for index in range(length):
            value, position = self._value(position, 2)
            if index == 1 and length >= 3 and value is not None:
                if not isfinite(value) or value > STAMP_MAX:
                    raise malformed("an entry has a stamp that is no time")
                if value > self.stamps:
                    self.stamps = int(value)
        return position

    def _value(self, position: int, depth: int) -> tuple[float | None, int]:
        """Read one value; returns it if it is a number, and the position behind it."""
        data = self.data
        kind = data[position]
        position += 1
        if kind == 119:
            return None, self._text(position)[1]
        if kind == 123:
            return self._float(_FLOAT64.unpack(self._fixed(position, 8))[0]), position + 8
        if kind == 124:
            return self._float(_FLOAT32.unpack(self._fixed(position, 4))[0]), position + 4
        if kind == 125:
            return self._signed(position)
        if kind == 122:
            return _BIGINT.unpack(self._fixed(position, 8))[0], position + 8
        if kind in (120, 121, 126, 127):
            return None, position
        if kind in (117, 118):
            return None, self._container(kind, position, depth)
        if kind == 116:
            length, position = read_uint(data, position)
            self._fixed(position, length)
            self._foreign = "bytes"
            return None, position + length
        raise malformed(f"a value has the unknown kind {kind}")

    def _container(self, kind: int, position: int, depth: int) -> int:
        if depth > NESTING_MAX:
            raise malformed(f"a value is nested deeper than {NESTING_MAX}")
        if kind == 118:
            self._foreign = "an object"
        count, position = read_uint(self.data, position)
        if count > self.size - position:
            raise malformed(f"a value announces {count} members in {self.size - position} bytes")
        for _ in range(count):
            if kind == 118:
                _, position = self._text(position)
            _, position = self._value(position, depth + 1)
        return position

    def _float(self, number: float) -> float:
        if not isfinite(number):
            self._foreign = "a number that is none"
        return number

    def _fixed(self, position: int, length: int) -> bytes:
        part = self.data[position : position + length]
        if len(part) != length:
            raise IndexError
        return part

    def _signed(self, position: int) -> tuple[int, int]:
        """Read a signed variable-length integer: six bits and the sign in the first byte."""
        byte = self.data[position]
        position += 1
        value = byte & 0x3F
        if byte & 0x80:
            rest, position = read_uint(self.data, position)
            value |= rest << 6
        return (-value if byte & 0x40 else value), position


def second_halves(text: str) -> tuple[int, ...]:
    """Where the second halves of surrogate pairs stand in `text`, in UTF-16 units."""
    found = []
    for pairs, match in enumerate(_BEYOND_16_BITS.finditer(text)):
        found.append(match.start() + pairs + 1)
    return tuple(found)
