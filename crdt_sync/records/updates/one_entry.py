"""A quicker way through the updates that devices send most: one new value of a field of one value.

Such an update has one writer and one item: an entry `[value, stamp, actor]` behind the one that it replaces, and the
deletions of its writer as one range. All numbers and lengths stand where three regular expressions find them. What is
of another form, and all that is wrong, is for `update.scan`, which says what it is.
"""

import re
import struct
from functools import lru_cache
from typing import Final

from crdt_sync.limits import STAMP_MAX
from crdt_sync.records.updates.delete_set import Ranges
from crdt_sync.records.updates.state_vector import CLOCK_MAX
from crdt_sync.records.updates.update import Item, Scan, scan
from crdt_sync.records.updates.varint import UINT_MAX

_UINT = rb"([\x80-\xff]{0,7}[\x00-\x7f])"
_LENGTH = rb"([\x00-\x7f])"  # of a text; longer ones are read the other way
# One writer, one struct; an item of one value with a left origin; a list of three, and in it a text, a small integer,
# or something without bytes of its own.
_HEAD = re.compile(rb"\x01\x01%(n)b%(n)b\x88%(n)b%(n)b\x01\x75\x03(?:\x77%(l)b|\x7d[\x00-\x7f]|[\x78\x79\x7e])" % {
    b"n": _UINT, b"l": _LENGTH
})  # fmt: skip
_STAMP_AND_ACTOR = re.compile(rb"\x7b(.{8})\x77%b" % _LENGTH, re.DOTALL)
_DELETES = re.compile(rb"(?:\x00|\x01%(n)b\x01%(n)b%(n)b)\Z" % {b"n": _UINT})
_FLOAT64 = struct.Struct(">d")
_WRITERS_KEPT: Final = 1024
_CONSTANTS: Final[dict[int, object]] = {120: True, 121: False, 126: None}
_SMALL_INTEGER: Final = 0x7D  # before its byte
_NEGATIVE: Final = 0x40  # in a small integer
_NO_ROOTS: Final[frozenset[str]] = frozenset()


def scan_quickly(update: bytes) -> Scan:
    """What `scan` says of it, and raises."""
    try:
        found = _one_entry(update)
    except UnicodeDecodeError:
        found = None
    return scan(update) if found is None else found


def _one_entry(update: bytes) -> Scan | None:
    head = _HEAD.match(update)
    if head is None:
        return None
    writer_bytes, clock_bytes, left_writer_bytes, left_clock_bytes, length = head.groups()
    position = head.end()
    if length is not None:
        position = _behind_text(update, position, length[0])
    middle = _STAMP_AND_ACTOR.match(update, position)
    if middle is None:
        return None
    stamp_bytes, length = middle.groups()
    last = _DELETES.match(update, _behind_text(update, middle.end(), length[0]))
    if last is None:
        return None
    writer, clock, left_clock = _writer(writer_bytes), _uint(clock_bytes), _uint(left_clock_bytes)
    left_writer = writer if left_writer_bytes == writer_bytes else _writer(left_writer_bytes)
    stamp: float = _FLOAT64.unpack(stamp_bytes)[0]
    if not (stamp <= STAMP_MAX and clock < CLOCK_MAX and left_clock <= CLOCK_MAX):
        return None
    if stamp < 0 or writer > UINT_MAX or left_writer > UINT_MAX:
        return None
    deletes: Ranges = {}
    deleted_bytes, first_bytes, count_bytes = last.groups()
    if deleted_bytes is not None:
        deleted = writer if deleted_bytes == writer_bytes else _writer(deleted_bytes)
        first, count = _uint(first_bytes), _uint(count_bytes)
        if first + count > CLOCK_MAX or deleted > UINT_MAX:
            return None
        deletes[deleted] = [(first, count)]
    item = Item(writer, clock, 1, False, False, None, (left_writer, left_clock), None)
    return Scan({writer: (clock, clock + 1)}, deletes, int(stamp), _NO_ROOTS, False, 0, [item], [])


def entry_of(update: bytes) -> list[object] | None:
    """The entry that an update of that form writes, as JSON has it; None for any other. One that `scan` has read."""
    head = _HEAD.match(update)
    if head is None:
        return None
    start, length = head.end(), head[5]
    position = start if length is None else start + length[0]
    middle = _STAMP_AND_ACTOR.match(update, position)
    if middle is None:
        return None
    stamp: float = _FLOAT64.unpack(middle[1])[0]
    end = middle.end() + middle[2][0]
    if not stamp.is_integer() or _DELETES.match(update, end) is None:
        return None
    kind = update[start - 1]
    if length is not None:
        value: object = update[start:position].decode()
    elif update[start - 2] != _SMALL_INTEGER:
        value = _CONSTANTS[kind]
    else:
        value = kind if not kind & _NEGATIVE else -(kind & ~_NEGATIVE)
    return [value, int(stamp), update[middle.end() : end].decode()]


def _behind_text(update: bytes, position: int, length: int) -> int:
    """Where a text ends, which may be behind the end of all. Raises `UnicodeDecodeError`."""
    end = position + length
    text = update[position:end]
    if not text.isascii():
        text.decode()
    return end


def _uint(data: bytes) -> int:
    if len(data) == 1:
        return data[0]
    value = shift = 0
    for byte in data:
        value |= (byte & 0x7F) << shift
        shift += 7
    return value


_writer = lru_cache(_WRITERS_KEPT)(_uint)  # of eight bytes, and the same in each update
