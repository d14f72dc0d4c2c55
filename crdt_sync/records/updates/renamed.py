"""Operations under other writer ids: what somebody wrote under one that others have used up."""

from collections.abc import Mapping
from typing import NamedTuple

from crdt_sync.records.updates.delete_set import Ranges, merged
from crdt_sync.records.updates.parts import Parts, Struct, read_parts, with_origins

_Operation = tuple[int, int]


class Other(NamedTuple):
    """The operations of a writer from the clock `begin` on become those of `writer` from 0 on."""

    begin: int
    writer: int


def renamed(update: bytes, others: Mapping[int, Other]) -> bytes:
    """The same operations and deletions, in the same places, with other writers for some.

    What the update has of one of these writers begins at `begin` or later, as a difference from such a state vector
    does. Where it has the same operations under the other writer as well, they are there once. Raises `UpdateRefused`,
    `IndexError` and `UnicodeDecodeError` for bytes that are no update of our layout.
    """
    parts = read_parts(update)
    writers: dict[int, tuple[int, tuple[Struct, ...]]] = {}
    for writer, (start, structs) in parts.writers.items():
        begin, name = others.get(writer, (0, writer))
        run = start - begin, tuple(_renamed(struct, others) for struct in structs)
        writers[name] = max(run, writers.get(name, run), key=_end)
    return Parts(writers, merged(_renamed_ranges(parts.deletes, others))).written()


def _end(run: tuple[int, tuple[Struct, ...]]) -> int:
    return run[0] + sum(struct.length for struct in run[1])


def _renamed(struct: Struct, others: Mapping[int, Other]) -> Struct:
    item = struct.item
    if item is None or (item.left is None and item.right is None):
        return struct
    left, right = _origin(item.left, others), _origin(item.right, others)
    return struct if (left, right) == (item.left, item.right) else with_origins(struct, item, left, right)


def _origin(origin: _Operation | None, others: Mapping[int, Other]) -> _Operation | None:
    if origin is None or (other := others.get(origin[0])) is None or origin[1] < other.begin:
        return origin
    return other.writer, origin[1] - other.begin


def _renamed_ranges(deletes: Ranges, others: Mapping[int, Other]) -> Ranges:
    found: Ranges = {}
    for writer, ranges in deletes.items():
        begin, name = others.get(writer, (None, writer))
        for clock, length in ranges:
            kept = length if begin is None else max(0, min(length, begin - clock))
            if kept:
                found.setdefault(writer, []).append((clock, kept))
            if begin is not None and kept < length:
                found.setdefault(name, []).append((max(clock, begin) - begin, length - kept))
    return found
