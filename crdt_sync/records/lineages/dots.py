"""The state of a record apart from any document: which operations were known, and what is live of them.

A *dot* is the identity of an operation: the writer and the clock that it had in the document that it was made in. No
dot is given twice. Two states are joined as observed-remove sets are: all is known that either knew, and live is what
is live in both, or live in one and never known to the other. The join is commutative, associative and idempotent, but
for the order of a list, where `later` decides. Nothing here knows how documents store any of it: see `lineage`.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from crdt_sync.records.roots import DELETED_ROOT, MAP_PREFIXES
from crdt_sync.records.updates import state_vector as vectors
from crdt_sync.records.updates.delete_set import Ranges, merged, without

COUNTED_MAX = 1 << 50  # of what one writer counted, so that twice of it is written exactly

Dot = tuple[int, int]
"""Writer and clock."""


class Piece(NamedTuple):
    """Live content of one root, of `length` dots from `clock` on: letters (UTF-16 units) of a text, else one value."""

    writer: int
    clock: int
    length: int
    content: object
    key: str | None = None  # in a map

    @property
    def last(self) -> Dot:
        """The dot at its end."""
        return self.writer, self.clock + self.length - 1

    def part(self, start: int, stop: int) -> "Piece":
        """Its dots from clock `start` up to, not including, `stop`."""
        if (start, stop) == (self.clock, self.clock + self.length):
            return self
        units = str(self.content).encode("utf-16-le", "surrogatepass")
        begin, end = 2 * (start - self.clock), 2 * (stop - self.clock)
        text = units[begin:end].decode("utf-16-le", "surrogatepass")
        return Piece(self.writer, start, stop - start, text)


@dataclass(frozen=True, slots=True)
class Dots:
    """What one replica knows of a record.

    `known` is a state vector of dots. `live` maps each root to its pieces in order, those of a map by key. `gone` names
    what was there once, as an import must know: `(root, "")` for a field that was changed, `(root, member)` for a
    member that was taken from a set, be it back by now. `edited` is the part of `known` up to the last dot of each
    writer that was an edit, and not what an import remembered. `seen` maps each entry of a deletion to the state vector
    of dots that it deletes: the record is deleted where all of them together hold `edited`.
    """

    known: Mapping[int, int]
    live: Mapping[str, tuple[Piece, ...]]
    gone: frozenset[tuple[str, str]] = frozenset()
    edited: Mapping[int, int] = field(default_factory=dict)
    seen: Mapping[Dot, Mapping[int, int]] = field(default_factory=dict)

    def pieces(self) -> Iterator[tuple[str, Piece]]:
        """Everything that is live, with its root, by root."""
        for root in sorted(self.live):
            for piece in self.live[root]:
                yield root, piece

    def live_ranges(self) -> Ranges:
        """The dots that are live."""
        found: Ranges = {}
        for _, piece in self.pieces():
            found.setdefault(piece.writer, []).append((piece.clock, piece.length))
        return merged(found)

    def dead_ranges(self) -> Ranges:
        """The dots that are known and not live."""
        return without({writer: [(0, clock)] for writer, clock in self.known.items() if clock}, self.live_ranges())

    def holds(self, other: "Dots") -> bool:
        """Whether `other`, a join that this took part in, has nothing that is not here: the same state."""
        return (
            _counted(self.known) == _counted(other.known)
            and _counted(self.edited) == _counted(other.edited)
            and self.live_ranges() == other.live_ranges()
            and self.gone == other.gone
            and self.seen == other.seen
        )


def restates(after: Dots, before: Dots) -> bool:
    """Whether a deletion that stood before, and still does, names other dots that it had seen."""
    return any(after.seen[dot] != seen for dot, seen in before.seen.items() if dot in after.seen)


def joined(later: Dots, earlier: Dots) -> Dots:
    """What both know together. The order of lists is that of `later`, with what only `earlier` has put in between."""
    dead_later, dead_earlier = later.dead_ranges(), earlier.dead_ranges()
    live = {}
    for root in later.live.keys() | earlier.live.keys():
        kept = list(_cut(later.live.get(root, ()), dead_earlier))
        others = list(_split(_cut(earlier.live.get(root, ()), dead_later), later.known))
        pieces = _by_key([*kept, *others]) if root[:2] in MAP_PREFIXES else list(_placed(kept, others, later.known))
        if pieces:
            live[root] = tuple(pieces)
    known = vectors.merged(later.known, earlier.known)
    standing = {(piece.writer, piece.clock) for piece in live.get(DELETED_ROOT, ())}
    seen = {
        dot: vectors.merged(*(side.seen[dot] for side in (later, earlier) if dot in side.seen))
        for dot in standing & (later.seen.keys() | earlier.seen.keys())
    }
    edited = vectors.merged(later.edited, earlier.edited)
    return Dots(known, live, later.gone | earlier.gone, edited, seen)


def _counted(vector: Mapping[int, int]) -> dict[int, int]:
    return {writer: clock for writer, clock in vector.items() if clock}


def _cut(pieces: Iterable[Piece], dead: Ranges) -> Iterator[Piece]:
    """The pieces without the dots that are dead."""
    for piece in pieces:
        ranges = dead.get(piece.writer)
        left = without({0: [(piece.clock, piece.length)]}, {0: ranges}) if ranges else None
        if left is None:
            yield piece
        else:
            for clock, length in left.get(0, ()):
                yield piece.part(clock, clock + length)


def _split(pieces: Iterable[Piece], known: Mapping[int, int]) -> Iterator[Piece]:
    """The pieces, cut where what is known ends."""
    for piece in pieces:
        edge = known.get(piece.writer, 0)
        if piece.clock < edge < piece.clock + piece.length:
            yield piece.part(piece.clock, edge)
            yield piece.part(edge, piece.clock + piece.length)
        else:
            yield piece


def _placed(kept: Sequence[Piece], others: Sequence[Piece], known: Mapping[int, int]) -> Iterator[Piece]:
    """`kept`, and after each dot of it those of `others` that are not known here and stood after it there."""
    after: dict[Dot | None, list[Piece]] = {}
    anchor: Dot | None = None
    for piece in others:
        if piece.clock >= known.get(piece.writer, 0):
            after.setdefault(anchor, []).append(piece)
        else:
            anchor = piece.last
    yield from after.get(None, ())
    anchors: dict[int, list[int]] = {}
    for dot in sorted(dot for dot in after if dot is not None):
        anchors.setdefault(dot[0], []).append(dot[1])
    for piece in kept:
        clocks = anchors.get(piece.writer, [])
        start, end = piece.clock, piece.clock + piece.length
        for clock in clocks[bisect_left(clocks, start) : bisect_left(clocks, end)]:
            yield piece.part(start, clock + 1)
            yield from after[piece.writer, clock]
            start = clock + 1
        if start < end:
            yield piece.part(start, end)


def _by_key(pieces: Iterable[Piece]) -> list[Piece]:
    """One piece for each key of a map, sorted by key: each writer has keys of its own, and its last value counts."""
    last: dict[str, Piece] = {}
    for piece in pieces:
        key = piece.key or ""
        if key not in last or last[key][:2] < piece[:2]:
            last[key] = piece
    return [last[key] for key in sorted(last)]
