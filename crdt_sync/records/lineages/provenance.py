"""The provenance: what a renewed document was made of, and the text in it that tells.

The text is, in base 85 (RFC 1924), variable-length integers:

    3, generation, count, writers in order of their ids: (id less the one before, unless it is the next one,
    twice the clock, and one more where the next id is this one and 1) * count
                                                           the cover
    count, (number of a writer in the cover, clock, length) * count
                                                           the dots of what is live, in the order of its clocks
    count, (clock, count, (number less the one before, how many operations of its writer are known after it, amount)
    * count) * count
                                                           all dots of what is written once, and what each counted, as
                                                           twice the amount, or one less than twice what it lacks to 0
    count, (number, clock less that of the last edit) * count
                                                           writers whose last dots are no edits but memories of imports

Forms 1 and 2, in base64url without padding, tell every id as its difference to the one before, clocks as they are, and
numbers in the third row too. Form 1 has not the last row: there all dots count as edits.
"""

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise

from crdt_sync.errors import UpdateRefused
from crdt_sync.ids import WRITER_BITS
from crdt_sync.limits import GENERATIONS_MAX
from crdt_sync.records.lineages.dots import Dot, Dots, Piece
from crdt_sync.records.updates import state_vector as vectors
from crdt_sync.records.updates.varint import append_uint, read_uint

PLACEHOLDER = 1  # the writer under which a first update is hashed, which is no writer of a lineage
_FORM = 3
_FORM_WITHOUT_MEMORIES = 1
_FORMS_BEFORE = (2, _FORM_WITHOUT_MEMORIES)
_BEGINS = "A"  # a form before 3, as base64 has it; base 85 of form 3 does not begin so

Run = tuple[int, int, int]
"""Dots that follow each other: writer, clock, length. Of what is shared: writer, clock, amount."""

Packed = tuple[Piece, tuple[Run, ...]]
"""A piece as it is written, and of one that stands for several all of their dots and amounts."""


@dataclass(frozen=True, slots=True)
class Lineage:
    """What a document was made of. The first lineage of a record has generation 0 and no writer.

    `writer` wrote the first update, and `begin` is the clock of its first live operation; `runs` are the dots of these.
    `shared` maps the clocks of operations that stand for several to those, each with the amount that it counted.
    `edited` is the part of the cover up to each writer's last edit, see `Dots`.
    """

    generation: int = 0
    writer: int = 0
    begin: int = 0
    cover: Mapping[int, int] = field(default_factory=dict)
    runs: tuple[Run, ...] = ()
    shared: Mapping[int, tuple[Run, ...]] = field(default_factory=dict)
    edited: Mapping[int, int] = field(default_factory=dict)

    @property
    def rank(self) -> tuple[int, int]:
        """Of two lineages of a record the one of the higher rank is the later."""
        return self.generation, self.writer

    @property
    def own(self) -> tuple[Dot, Dot]:
        """The operations in `g.lineage`: the mark and the provenance."""
        return (self.writer, 0), (self.writer, self.begin - 1)

    @property
    def starts(self) -> list[int]:
        """The clock at which each run begins."""
        return list(accumulate((run[2] for run in self.runs[:-1]), initial=self.begin)) if self.runs else []

    def known(self, vector: Mapping[int, int]) -> dict[int, int]:
        """The state vector of dots of a document of this lineage that has the state vector `vector`."""
        return vectors.merged({writer: clock for writer, clock in vector.items() if writer != self.writer}, self.cover)

    def following(self, writer: int) -> int:
        """The id under which `writer` goes on: its own, or the first one after it of which nothing is told here.

        As such ids follow each other, a provenance tells of them in a few bytes. Whoever drew one of somebody by chance
        has as good as drawn the next ones, too.
        """
        while self.generation and (writer == self.writer or writer in self.cover):
            writer = writer + 1 if writer + 1 < 1 << WRITER_BITS else PLACEHOLDER + 1
        return writer


FIRST = Lineage()


def encoded(dots: Dots, generation: int, begin: int, packed: Sequence[Packed]) -> str:
    """The provenance of a document of these dots, whose first live operation is `begin`, written as `packed`."""
    cover = sorted((writer, clock) for writer, clock in dots.known.items() if clock)
    numbers = {writer: number for number, (writer, _) in enumerate(cover)}
    out = bytearray()

    def append(*several: int) -> None:
        for number in several:
            append_uint(out, number)

    append(_FORM, generation, len(cover))
    before, follows = 0, False
    for place, (writer, clock) in enumerate(cover):
        if not follows:
            append(writer - before)
        follows = place + 1 < len(cover) and cover[place + 1][0] == writer + 1
        append(2 * clock + follows)
        before = writer
    runs = _coalesced([(piece.writer, piece.clock, piece.length) for piece, _ in packed])
    append(len(runs))
    for writer, clock, length in runs:
        append(numbers[writer], clock, length)
    append(sum(1 for _, parts in packed if parts))
    at = begin
    for piece, parts in packed:
        if parts:
            append(at, len(parts))
            before = 0
            for writer, clock, amount in sorted(parts):
                after = dots.known[writer] - 1 - clock
                append(numbers[writer] - before, after, 2 * amount if amount >= 0 else -2 * amount - 1)
                before = numbers[writer]
        at += piece.length
    remembered = [(number, clock - dots.edited.get(writer, 0)) for number, (writer, clock) in enumerate(cover)]
    remembered = [row for row in remembered if row[1] > 0]
    append(len(remembered))
    for row in remembered:
        append(*row)
    return base64.b85encode(out).decode("ascii")


def _coalesced(runs: Sequence[Run]) -> list[Run]:
    """Runs of which none goes on where the one before it ends, so that they do not tell how they came about."""
    found: list[Run] = []
    for writer, clock, length in runs:
        if found and found[-1][0] == writer and sum(found[-1][1:]) == clock:
            found[-1] = writer, found[-1][1], found[-1][2] + length
        else:
            found.append((writer, clock, length))
    return found


def parsed(text: str, writer: int, begin: int) -> Lineage:
    """The lineage that a provenance tells. Anybody may have written it; raises `UpdateRefused`."""
    try:
        is_latest = not text.startswith(_BEGINS)
        data = base64.b85decode(text) if is_latest else base64.b64decode(text + "=" * (-len(text) % 4), b"-_", True)
        form, position = read_uint(data, 0)
        generation, position = read_uint(data, position)
        if form not in ((_FORM,) if is_latest else _FORMS_BEFORE) or not 0 < generation <= GENERATIONS_MAX:
            raise unreadable()
        pairs, position = _cover(data, position) if is_latest else _rows(data, position, 2)
        triples, position = _rows(data, position, 3)
        writers = list(accumulate(pair[0] for pair in pairs))
        runs = tuple((writers[number], clock, length) for number, clock, length in triples)
        shared = {}
        several, position = read_uint(data, position)
        for _ in range(several):
            at, position = read_uint(data, position)
            triples, position = _rows(data, position, 3)
            if is_latest:
                numbers = accumulate(row[0] for row in triples)
                triples = [
                    (number, pairs[number][1] - 1 - after, twice)
                    for number, (_, after, twice) in zip(numbers, triples, strict=True)
                ]
            if any(clock < 0 for _, clock, _ in triples):
                raise unreadable()
            shared[at] = tuple(
                (writers[number], clock, twice // 2 if twice % 2 == 0 else -(twice + 1) // 2)
                for number, clock, twice in triples
            )
        remembered: list[tuple[int, ...]] = []
        if form != _FORM_WITHOUT_MEMORIES:
            remembered, position = _rows(data, position, 2)
        memories = {writers[number]: length for number, length in remembered}
        if position != len(data):
            raise unreadable()
    except (ValueError, IndexError, binascii.Error):
        raise unreadable() from None
    cover = {writer: pair[1] for writer, pair in zip(writers, pairs, strict=True)}
    dots = [*runs, *((each, clock, 1) for parts in shared.values() for each, clock, _ in parts)]
    if (
        writer <= PLACEHOLDER
        or writer in cover
        or any(one >= other for one, other in pairwise(writers))
        or any(each >> WRITER_BITS for each in writers[-1:])
        or any(clock > vectors.CLOCK_MAX for clock in cover.values())
        or any(clock + length > cover[each] or not length for each, clock, length in dots)
    ):
        raise unreadable()
    edited = {each: max(0, clock - memories.get(each, 0)) for each, clock in cover.items()}
    return Lineage(generation, writer, begin, cover, runs, shared, edited)


def _cover(data: bytes, position: int) -> tuple[list[tuple[int, ...]], int]:
    """The first rows, as pairs of an id less the one before, and a clock."""
    count, position = read_uint(data, position)
    if count > len(data) - position:
        raise IndexError
    pairs: list[tuple[int, ...]] = []
    follows = 0
    for _ in range(count):
        step = 1
        if not follows:
            step, position = read_uint(data, position)
        twice, position = read_uint(data, position)
        follows = twice % 2
        pairs.append((step, twice // 2))
    if follows:
        raise IndexError
    return pairs, position


def _rows(data: bytes, position: int, width: int) -> tuple[list[tuple[int, ...]], int]:
    """A count, and so many rows of `width` numbers."""
    count, position = read_uint(data, position)
    if count * width > len(data) - position:
        raise IndexError
    rows = []
    for _ in range(count):
        row = []
        for _ in range(width):
            number, position = read_uint(data, position)
            row.append(number)
        rows.append(tuple(row))
    return rows, position


def unreadable() -> UpdateRefused:
    """The error for a provenance that tells nothing that can be."""
    return UpdateRefused("malformed", "what a renewed record was made of cannot be read")
