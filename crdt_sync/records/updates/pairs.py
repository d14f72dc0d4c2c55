"""Whether an update may hold surrogate pairs that are cut: told from the bytes, without reading what cannot matter.

Nearly every note with a character beyond 16 bits has all of them whole. To see that, only the clocks of second halves
are needed, and whether an operation, an origin or a deletion begins or ends there.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence

from crdt_sync.errors import UpdateRefused
from crdt_sync.records.updates.delete_set import Ranges, read_delete_set
from crdt_sync.records.updates.stepping import step
from crdt_sync.records.updates.update import Item, Reader, second_halves
from crdt_sync.records.updates.varint import append_uint, read_uint

# A constant first byte each: that is searched for ten times as fast as a set of them.
_PAIRS = tuple(re.compile(bytes([first]) + rb"[\x80-\xbf]{3}") for first in range(0xF0, 0xF5))  # of four bytes
_PAIR_IN_LITTLE = re.compile(rb"[\xf0-\xf4][\x80-\xbf]{3}")  # five searches take longer than one up to there
_LITTLE_BYTES = 256
_FIRST_OF_FOUR = 0xF0
_EMPTY_TEXTS = (
    re.compile(rb"\x84(?:[\x80-\xff]{0,7}+[\x00-\x7f]){2}\x00"),  # with a left origin
    re.compile(rb"\xc4(?:[\x80-\xff]{0,7}+[\x00-\x7f]){4}\x00"),  # and with a right one
)


def has_pairs(update: bytes) -> bool:
    """Whether an update may hold characters of two operations."""
    if len(update) <= _LITTLE_BYTES:
        return _PAIR_IN_LITTLE.search(update) is not None
    for pair in _PAIRS:  # noqa: SIM110 - of each update: a generator would take longer than the searches
        if pair.search(update):
            return True
    return False


def may_be_cut(updates: Sequence[bytes]) -> bool:
    """Whether a pair may be cut in these updates of one record, or half of one be lost. False is certain."""
    if not any(suspect.search(update) for update in updates for suspect in _PAIRS + _EMPTY_TEXTS):
        return False
    edges = _Edges()
    try:
        for update in updates:
            edges.read(update)
    except (UpdateRefused, IndexError, UnicodeDecodeError):
        return True  # an empty text, or bytes that are no update
    return edges.cut()


class _Edges:
    """Second halves of pairs, and everything that could cut one."""

    def __init__(self) -> None:
        self._halves: defaultdict[int, set[int]] = defaultdict(set)
        self._starts: defaultdict[int, list[int]] = defaultdict(list)
        self._lefts: set[bytes | None] = set()
        self._rights: set[bytes | None] = set()
        self._deletes: list[Ranges] = []

    def cut(self) -> bool:
        """Whether something begins or ends at a second half."""
        return any(
            not halves.isdisjoint(self._starts[writer])
            or any(not halves.isdisjoint(_ends(deletes.get(writer, ()))) for deletes in self._deletes)
            or any(
                _encoded((writer, half - 1)) in self._lefts or _encoded((writer, half)) in self._rights
                for half in halves
            )
            for writer, halves in self._halves.items()
        )

    def read(self, update: bytes) -> None:
        """Take in an update. Raises `UpdateRefused`, `IndexError` and `UnicodeDecodeError`."""
        reader = Reader(update)
        writers, position = read_uint(update, 0)
        for _ in range(writers):
            structs, position = read_uint(update, position)
            writer, position = read_uint(update, position)
            clock, position = read_uint(update, position)
            starts = self._starts[writer]
            for _ in range(structs):
                starts.append(clock)
                stepped = step(update, position)
                if stepped is None:
                    length, position = reader.struct(position, writer, clock)
                    if reader.items:
                        self._take(reader.items.pop())
                else:
                    length, position, text, left, right = stepped
                    self._lefts.add(left)
                    self._rights.add(right)
                    if length < len(text) and max(text) >= _FIRST_OF_FOUR:
                        self._halves[writer].update([clock + half for half in second_halves(text.decode())])
                clock += length
        self._deletes.append(read_delete_set(update, position))

    def _take(self, item: Item) -> None:
        if item.left is not None:
            self._lefts.add(_encoded(item.left))
        if item.right is not None:
            self._rights.add(_encoded(item.right))
        self._halves[item.writer].update([item.clock + half for half in item.halves])


def _ends(ranges: Iterable[tuple[int, int]]) -> Iterable[int]:
    for clock, length in ranges:
        yield clock
        yield clock + length


def _encoded(operation: tuple[int, int]) -> bytes:
    out = bytearray()
    append_uint(out, operation[0])
    append_uint(out, operation[1])
    return bytes(out)
