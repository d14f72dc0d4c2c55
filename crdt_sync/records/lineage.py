"""Renewing a record: what it shows, written into a fresh document, and what others still write into the old one.

A document that was written fresh begins a *lineage*. Its first update is of one writer, whose id is the hash of that
update, so that equal states make equal bytes. By clock it holds

| what | root |
|---|---|
| the *mark*: an operation that is deleted | `g.lineage` |
| one deleted operation for each thing that was there once, see `Dots.gone` | its own, under its key |
| the *provenance*: text | `g.lineage` |
| everything that is live, by root, in order | its own |

What many writers put into a map is written once: a member of a set that several added, and the sum of the whole numbers
that writers counted, under the key `0`.

The provenance is, in base64url without padding, variable-length integers:

    2, generation, count, (writer less the one before, clock) * count
                                                           the cover
    count, (number of a writer in the cover, clock, length) * count
                                                           the dots of what is live, in the order of its clocks
    count, (clock, count, (number, clock, amount) * count) * count
                                                           all dots of what is written once, and what each counted, as
                                                           twice the amount, or one less than twice what it lacks to 0
    count, (number, clock less that of the last edit) * count
                                                           writers whose last dots are no edits but memories of imports

Form 1 had not the last row: there all dots count as edits.

Each update of a lineage deletes the mark again, so bytes tell their own lineage. Documents of different lineages must
never be merged by Yjs; `carried` makes one document of two. A writer that the cover names writes nothing natively.
"""

import base64
import binascii
import hashlib
import json
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

from crdt_sync import limits
from crdt_sync.errors import UpdateRefused
from crdt_sync.ids import WRITER_BITS
from crdt_sync.limits import GENERATIONS_MAX, INTEGER_EXACT_MAX, RENEWED_WRITER_BYTES
from crdt_sync.records import state_vector as vectors
from crdt_sync.records.deletion import deletion_text, seen_by
from crdt_sync.records.document import Document
from crdt_sync.records.dots import Dot, Dots, Piece, joined
from crdt_sync.records.entries import is_entry
from crdt_sync.records.lists import Lists
from crdt_sync.records.member_keys import member_of
from crdt_sync.records.parts import read_parts, with_marks
from crdt_sync.records.roots import (
    ARRAY_PREFIXES,
    DELETED_ROOT,
    LINEAGE_ROOT,
    MAP_PREFIXES,
    TEXT_PREFIX,
    is_reserved,
)
from crdt_sync.records.sources import SOURCES_ROOT
from crdt_sync.records.update import Item, Scan, scan
from crdt_sync.records.values import canonical
from crdt_sync.records.varint import append_uint, read_uint

if TYPE_CHECKING:
    from crdt_sync.records.yrs import Transaction as YrsTransaction

_FORM = 2
_FORM_WITHOUT_MEMORIES = 1
_PLACEHOLDER = 1  # the writer under which a first update is hashed
_ATTEMPTS_MAX = 1 << 20
_ROOT_BYTES = LINEAGE_ROOT.encode()
_ZERO = 0x4E00  # letters of one UTF-16 unit that nothing normalises
_DIGITS = 20_000  # of them
_AMOUNT_MAX = 1 << 50  # of what one writer counted, so that twice of it is written exactly

Run = tuple[int, int, int]
"""Dots that follow each other: writer, clock, length. Of what is shared: writer, clock, amount."""

_Packed = tuple[Piece, tuple[Run, ...]]


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

    def is_written_by(self, writer: int) -> bool:
        """Whether operations of `writer` are told of here, so that it writes nothing natively."""
        return bool(self.generation) and (writer == self.writer or writer in self.cover)


FIRST = Lineage()


def lineage_of(document: Document) -> Lineage:
    """The lineage of a document. Raises `UpdateRefused` where its provenance cannot be read."""
    with document.transaction() as transaction:
        if LINEAGE_ROOT not in document.root_names(transaction):
            return FIRST
        array = document.array(transaction, LINEAGE_ROOT)
        written = json.loads(array.to_json(transaction))
        if len(written) != 1 or not isinstance(written[0], str):
            raise _unreadable()
        writer, clock = document.first_of_item(array, transaction, 0)
    return _parsed(written[0], writer, clock + 1)


def is_of(lineage: int, update: Scan) -> bool:
    """Whether an update was made in the lineage of this writer, 0 for the first.

    One of another must not be integrated into its documents.
    """
    if not lineage:
        return LINEAGE_ROOT not in update.roots
    if lineage in update.clients and LINEAGE_ROOT not in update.roots:
        return False  # an earlier document of somebody whose id the lineage was given
    return any(clock == 0 and length > 0 for clock, length in update.deletes.get(lineage, ()))


def current(updates: Sequence[bytes]) -> Sequence[bytes]:
    """Those of a record's updates, in order, that it is made of: where it was renewed, what came before is in it."""
    writers = [begun(update) for update in updates]
    last = next((writer for writer in reversed(writers) if writer), 0)
    return updates[writers.index(last) :] if last else updates


def begun(update: bytes) -> int:
    """The lineage whose first update is in this one; 0 where it has none."""
    if _ROOT_BYTES not in update:
        return 0
    try:
        return next((item.writer for item in scan(update).items if item.root == LINEAGE_ROOT), 0)
    except UpdateRefused:
        return 0


def is_foreign(lineage: int, update: bytes) -> bool:
    """`not is_of`, from the bytes, which most often tell at a glance; false where they cannot be read."""
    if not lineage and _ROOT_BYTES not in update:
        return False
    try:
        return not is_of(lineage, scan(update))
    except UpdateRefused:
        return False


def is_whole(update: bytes, state_vector: bytes) -> bool:
    """Whether an update has by itself all operations of this state vector, from the first of each writer on."""
    try:
        clients = scan(update).clients
    except UpdateRefused:
        return False
    wanted = vectors.decode(state_vector)
    parts = {writer: clients.get(writer, (1, 0)) for writer, clock in wanted.items() if clock}
    return all(start == 0 and end >= wanted[writer] for writer, (start, end) in parts.items())


def is_grown(document: Document) -> bool:
    """Whether a record takes so much more than what it shows that it is worth a renewal, which makes it smaller."""
    size = document.size
    if size < limits.RENEWED_BYTES_MIN:
        return False
    content = document.content_bytes()
    if size < limits.RENEWED_CONTENT_FACTOR * content:
        return False
    with document.transaction() as transaction:
        if LINEAGE_ROOT in document.root_names(transaction):
            told = len(document.array(transaction, LINEAGE_ROOT).to_json(transaction))
        else:
            told = RENEWED_WRITER_BYTES * len(vectors.decode(document.raw_state_vector(transaction)))
    return 2 * size > 3 * (content + told)  # a fresh document has both again


def renewed(document: Document, writer: int | None = None) -> Document:
    """A fresh document that shows the same, of the next generation; `writer` is for edits of it.

    Raises `UpdateRefused` where the document holds what cannot be written again as it is: of a layout to come, or what
    earlier versions let pass, or where no later lineage can be. It is to be left as it is then.
    """
    generation = lineage_of(document).generation
    if generation >= GENERATIONS_MAX:
        raise UpdateRefused("malformed", f"the record was renewed {generation} times, as somebody wrote")
    return Document.load_whole((_first_update(dots_of(document), generation + 1),), writer)


def carried(one: Document, other: Document, writer: int | None = None) -> Document:
    """What two documents of different lineages know together: one of them, where it lacks nothing, else a fresh one.

    The one of the later lineage is left as it is where it has all of the other. It does not matter which is `one`. The
    other may be a part of a document, so long as everything that it builds on is in it. Raises what `renewed` raises.
    """
    ranks = lineage_of(one).rank, lineage_of(other).rank
    if ranks[0] == ranks[1]:
        raise ValueError("documents of one lineage are merged")
    later, earlier = (one, other) if ranks[0] > ranks[1] else (other, one)
    known = dots_of(later)
    together = joined(known, dots_of(earlier))
    if known.holds(together):
        return later
    generation = min(max(ranks)[0] + 1, GENERATIONS_MAX)  # of equal ones the writers' ids decide
    return Document.load_whole((_first_update(together, generation),), writer)


# --- from a document ---------------------------------------------------------------------------------------------


def dots_of(document: Document) -> Dots:
    """The state of a record as its dots. Raises `UpdateRefused` where a document holds what dots cannot say."""
    return _Reading(document).dots()


class _Reading:
    def __init__(self, document: Document) -> None:
        self._document = document
        self._lineage = lineage_of(document)
        self._vector = vectors.decode(document.raw_state_vector())
        whole = document.diff()
        found = scan(whole)
        if found.foreign:
            raise UpdateRefused("malformed", "the record holds values of a kind that records never hold")
        self._lists = Lists(found.items)
        self._by_root: dict[str, list[Item]] = {}
        for item in found.items:
            root = self._lists.name((item.writer, item.clock)).root
            if root[:2] not in (*ARRAY_PREFIXES, *MAP_PREFIXES, TEXT_PREFIX) and root != LINEAGE_ROOT:
                raise UpdateRefused("malformed", f"the record has a root {root[:60]!r} that is not known here")
            self._by_root.setdefault(root, []).append(item)
        self._by_root.pop(LINEAGE_ROOT, None)
        self._starts = _starts(self._lineage)
        self._ordered = _ordered(whole) if found.items else {}

    def dots(self) -> Dots:
        live = {}
        for root in self._by_root:
            pieces = list(self._map(root) if root[:2] in MAP_PREFIXES else self._list(root))
            if pieces:
                live[root] = tuple(pieces)
        seen: dict[Dot, Mapping[int, int]] = {}
        known = {writer: clock for writer, clock in self._vector.items() if writer != self._lineage.writer}
        if not known.keys().isdisjoint(self._lineage.cover):
            raise UpdateRefused("malformed", "the record holds operations of two lineages")
        known = vectors.merged(known, self._lineage.cover)
        edited = dict(self._lineage.edited)
        for root, items in self._by_root.items():
            for item in items if root != SOURCES_ROOT else ():
                if item.writer != self._lineage.writer:
                    edited[item.writer] = max(edited.get(item.writer, 0), item.clock + item.length)
        if DELETED_ROOT in live:
            live[DELETED_ROOT] = tuple(self._deletion(piece, seen) for piece in live[DELETED_ROOT])
        return Dots(known, live, frozenset(self._gone()), edited, seen)

    def _list(self, root: str) -> Iterator[Piece]:
        items = self._ordered.get(root, ())
        document = self._document
        with document.transaction() as transaction:
            if root.startswith(TEXT_PREFIX):
                text = document.text(transaction, root).get_string(transaction)
                units, values = text.encode("utf-16-le", "surrogatepass"), []
            else:
                units, values = b"", json.loads(document.array(transaction, root).to_json(transaction))
        place = 0
        for item in items:
            if units:
                content = units[2 * place : 2 * (place + item.length)].decode("utf-16-le", "surrogatepass")
                whole = Piece(item.writer, item.clock, item.length, content)
                yield from (whole.part(*part)._replace(writer=run[0], clock=run[1]) for part, run in self._runs(whole))
            else:
                for offset in range(item.length):
                    writer, clock, _ = self._dot(item.writer, item.clock + offset)
                    yield Piece(writer, clock, 1, values[place + offset])
            place += item.length

    def _map(self, root: str) -> Iterator[Piece]:
        with self._document.transaction() as transaction:
            values = json.loads(self._document.map(transaction, root).to_json(transaction))
        found = {}
        for item in self._by_root[root]:
            key = self._lists.name((item.writer, item.clock)).key
            if not item.deleted and key is not None and key in values:
                for piece in self._of_key(root, item, key, values[key]):
                    found[str(piece.key)] = piece
        return iter([found[key] for key in sorted(found)])

    def _of_key(self, root: str, item: Item, key: str, value: object) -> Iterator[Piece]:
        """What stands under one key of a map: of all writers whose it is."""
        shared = self._lineage.shared.get(item.clock) if item.writer == self._lineage.writer else None
        if shared is None:
            writer, clock, _ = self._dot(item.writer, item.clock + item.length - 1)
            yield Piece(writer, clock, 1, value, key)
            return
        member, _, rest = key.partition("\n")
        _, line, more = rest.partition("\n")
        for writer, clock, amount in shared:
            if root.startswith("n."):
                yield Piece(writer, clock, 1, amount, str(writer))
            else:
                yield Piece(writer, clock, 1, value, f"{member}\n{writer}{line}{more}")

    def _gone(self) -> Iterator[tuple[str, str]]:
        once = self._document.written_once()
        for root, items in self._by_root.items():
            if root.startswith("c.") and not is_reserved(root) and root[2:] not in once:
                yield root, ""
            elif root.startswith("s."):
                keys = {self._lists.name((item.writer, item.clock)).key for item in items if item.deleted}
                yield from {(root, member_of(key)) for key in keys if key}

    def _deletion(self, piece: Piece, seen: dict[Dot, Mapping[int, int]]) -> Piece:
        """An entry of a deletion without the vector that it names, which is noted by dots."""
        entry = piece.content
        if not is_entry(entry) or not isinstance(entry[0], str):
            return piece
        vector = dict(seen_by(entry[0]))
        lineage = self._lineage
        everything = lineage.begin + sum(run[2] for run in lineage.runs)
        if lineage.writer and vector.pop(lineage.writer, 0) >= everything and lineage.cover.keys().isdisjoint(vector):
            vector = vectors.merged(vector, lineage.cover)
        seen[piece.writer, piece.clock] = vector
        return piece._replace(content=["", *entry[1:]])

    def _dot(self, writer: int, clock: int) -> Run:
        """The dot of one operation, and how many follow it in the same run."""
        lineage = self._lineage
        if writer != lineage.writer:
            return writer, clock, self._vector[writer] - clock
        index = bisect_right(self._starts, clock) - 1
        run = lineage.runs[index] if index >= 0 else (0, 0, 0)
        offset = clock - self._starts[index] if index >= 0 else 0
        if not 0 <= offset < run[2]:
            raise _unreadable()
        return run[0], run[1] + offset, run[2] - offset

    def _runs(self, piece: Piece) -> Iterator[tuple[tuple[int, int], Run]]:
        """The parts of live letters whose dots follow each other: their clocks, and their dots."""
        start, end = piece.clock, piece.clock + piece.length
        while start < end:
            run = self._dot(piece.writer, start)
            stop = min(end, start + run[2])
            yield (start, stop), run
            start = stop


def _ordered(whole: bytes) -> dict[str, list[Item]]:
    """The live items of each list of a record, given as one update of its whole state, in the order of the list.

    Nobody but yrs knows that order, and it tells it by content alone: so it is asked about a record in which the
    content of each item is its number, in two digits. That takes time in proportion to the bytes.
    """
    parts = read_parts(whole)
    items = [struct.item for _, structs in parts.writers.values() for struct in structs]
    lows, highs = (
        Document.load_whole((with_marks(parts, mark),)).contents()
        for mark in (lambda number: _digit(number % _DIGITS), lambda number: _digit(number // _DIGITS))
    )
    found: dict[str, list[Item]] = {}
    for root, low in lows.items():
        high = highs[root]
        if not isinstance(low, (str, list)) or not isinstance(high, (str, list)):
            continue
        place = 0
        while place < len(low):
            item = items[ord(low[place]) - _ZERO + _DIGITS * (ord(high[place]) - _ZERO)]
            if item is None or not item.length:
                raise _unreadable()
            found.setdefault(root, []).append(item)
            place += item.length
    return found


def _digit(value: int) -> str:
    return chr(_ZERO + value)


def _starts(lineage: Lineage) -> list[int]:
    """The clock at which each run of the first update begins."""
    starts = []
    clock = lineage.begin
    for _, _, length in lineage.runs:
        starts.append(clock)
        clock += length
    return starts


# --- into a document ---------------------------------------------------------------------------------------------


def _first_update(dots: Dots, generation: int) -> bytes:
    """The first update of a lineage that has this state."""
    for attempt in range(_ATTEMPTS_MAX):
        draft = _written(dots, generation, _PLACEHOLDER)
        digest = hashlib.blake2b(attempt.to_bytes(4, "big") + draft, digest_size=8, person=b"crdt-sync line").digest()
        writer = int.from_bytes(digest, "big") >> (64 - WRITER_BITS)
        if writer > _PLACEHOLDER and writer not in dots.known:
            return _written(dots, generation, writer)
    raise AssertionError("no writer id is free")


def _written(dots: Dots, generation: int, writer: int) -> bytes:
    document = Document(writer)
    packed = {root: _packed(root, dots.live[root]) for root in sorted(dots.live)}
    begin = 2 + len(dots.gone)
    count = begin + sum(piece.length for pieces in packed.values() for piece, _ in pieces)
    with document.transaction() as transaction:
        document.array(transaction, LINEAGE_ROOT).insert(transaction, 0, "")
        for root, key in sorted(dots.gone):
            if key:
                document.map(transaction, root).insert(transaction, key, "")
            else:
                document.array(transaction, root).insert(transaction, 0, "")
    with document.transaction() as transaction:
        document.array(transaction, LINEAGE_ROOT).remove_range(transaction, 0, 1)
        for root, key in sorted(dots.gone):
            if key:
                document.map(transaction, root).remove(transaction, key)
            else:
                document.array(transaction, root).remove_range(transaction, 0, 1)
    provenance = _provenance(dots, generation, begin, [each for pieces in packed.values() for each in pieces])
    with document.transaction() as transaction:
        document.array(transaction, LINEAGE_ROOT).insert(transaction, 0, provenance)
        for root, pieces in packed.items():
            written = [piece for piece, _ in pieces]
            if root == DELETED_ROOT:
                written = [_with_vector(dots, piece, writer, count) for piece in written]
            _write_root(document, transaction, root, written)
    return document.diff()


def _packed(root: str, pieces: Sequence[Piece]) -> list[_Packed]:
    """The pieces as they are written: each, and of one that stands for several all of their dots and amounts."""
    if root[:2] not in MAP_PREFIXES:
        return [(piece, ()) for piece in pieces]
    alike: dict[object, list[Piece]] = {}
    for piece in pieces:
        alike.setdefault(_form(root, piece), []).append(piece)
    packed: list[_Packed] = []
    for form, group in alike.items():
        total = sum(amount for piece in group if type(amount := piece.content) is int)
        if form is None or len(group) < 2 or abs(total) > INTEGER_EXACT_MAX:
            packed += [(piece, ()) for piece in group]
        elif root.startswith("n."):
            parts = tuple((piece.writer, piece.clock, piece.content) for piece in group)
            packed.append((group[0]._replace(content=total, key="0"), parts))  # type: ignore[arg-type]
        else:
            packed.append((group[0], tuple((piece.writer, piece.clock, 0) for piece in group)))
    return sorted(packed, key=lambda each: str(each[0].key))


def _form(root: str, piece: Piece) -> object:
    """What pieces of a map have in common that can be written as one; None for one that is written by itself."""
    key, content = str(piece.key), piece.content
    if root.startswith("n."):
        return True if key == str(piece.writer) and type(content) is int and abs(content) < _AMOUNT_MAX else None
    member, *rest = key.split("\n")
    return (member, *rest[1:], canonical(content)) if rest[:1] == [str(piece.writer)] else None


def _write_root(document: Document, transaction: "YrsTransaction", root: str, pieces: Sequence[Piece]) -> None:
    if root.startswith(TEXT_PREFIX):
        units = b"".join(str(piece.content).encode("utf-16-le", "surrogatepass") for piece in pieces)
        document.text(transaction, root).insert(transaction, 0, _without_halves(units))
    elif root[:2] in MAP_PREFIXES:
        for piece in pieces:
            document.map(transaction, root).insert(transaction, str(piece.key), piece.content)
    else:
        array = document.array(transaction, root)
        for place, piece in enumerate(pieces):
            array.insert(transaction, place, piece.content)


def _without_halves(units: bytes) -> str:
    """Text of as many UTF-16 units, without halves of characters that have lost the other one."""
    text = units.decode("utf-16-le", "surrogatepass")
    return "".join("\ufffd" if "\ud800" <= letter <= "\udfff" else letter for letter in text)


def _with_vector(dots: Dots, piece: Piece, writer: int, count: int) -> Piece:
    """An entry of a deletion with its vector.

    The `count` operations of `writer` stand for all that is known. They are named, too, beside dots, by each of several
    deletions that delete all edits together and not alone.
    """
    vector = dots.seen.get((piece.writer, piece.clock))
    if vector is None or not isinstance(piece.content, list):
        return piece
    if all(vector.get(each, 0) == clock for each, clock in dots.known.items()):
        vector = {**{each: clock for each, clock in vector.items() if each not in dots.known}, writer: count}
    elif vectors.dominates(vectors.merged(*dots.seen.values()), dots.edited):
        vector = {**vector, writer: count}
    return piece._replace(content=[deletion_text(vectors.encode(vector)), *piece.content[1:]])


def _provenance(dots: Dots, generation: int, begin: int, packed: Sequence[_Packed]) -> str:
    cover = sorted((writer, clock) for writer, clock in dots.known.items() if clock)
    numbers = {writer: number for number, (writer, _) in enumerate(cover)}
    out = bytearray()

    def append(*several: int) -> None:
        for number in several:
            append_uint(out, number)

    append(_FORM, generation, len(cover))
    before = 0
    for writer, clock in cover:
        append(writer - before, clock)
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
            for writer, clock, amount in parts:
                append(numbers[writer], clock, 2 * amount if amount >= 0 else -2 * amount - 1)
        at += piece.length
    remembered = [(number, clock - dots.edited.get(writer, 0)) for number, (writer, clock) in enumerate(cover)]
    remembered = [row for row in remembered if row[1] > 0]
    append(len(remembered))
    for row in remembered:
        append(*row)
    return base64.urlsafe_b64encode(out).decode("ascii").rstrip("=")


def _coalesced(runs: Sequence[Run]) -> list[Run]:
    """Runs of which none goes on where the one before it ends, so that they do not tell how they came about."""
    found: list[Run] = []
    for writer, clock, length in runs:
        if found and found[-1][0] == writer and sum(found[-1][1:]) == clock:
            found[-1] = writer, found[-1][1], found[-1][2] + length
        else:
            found.append((writer, clock, length))
    return found


def _parsed(text: str, writer: int, begin: int) -> Lineage:
    """The lineage that a provenance tells. Anybody may have written it."""
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True)
        form, position = read_uint(data, 0)
        generation, position = read_uint(data, position)
        if form not in (_FORM, _FORM_WITHOUT_MEMORIES) or not 0 < generation <= GENERATIONS_MAX:
            raise _unreadable()
        pairs, position = _rows(data, position, 2)
        triples, position = _rows(data, position, 3)
        writers = list(accumulate(pair[0] for pair in pairs))
        runs = tuple((writers[number], clock, length) for number, clock, length in triples)
        shared = {}
        several, position = read_uint(data, position)
        for _ in range(several):
            at, position = read_uint(data, position)
            triples, position = _rows(data, position, 3)
            shared[at] = tuple(
                (writers[number], clock, twice // 2 if twice % 2 == 0 else -(twice + 1) // 2)
                for number, clock, twice in triples
            )
        remembered: list[tuple[int, ...]] = []
        if form == _FORM:
            remembered, position = _rows(data, position, 2)
        memories = {writers[number]: length for number, length in remembered}
        if position != len(data):
            raise _unreadable()
    except (ValueError, IndexError, binascii.Error):
        raise _unreadable() from None
    cover = {writer: pair[1] for writer, pair in zip(writers, pairs, strict=True)}
    dots = [*runs, *((each, clock, 1) for parts in shared.values() for each, clock, _ in parts)]
    if (
        writer <= _PLACEHOLDER
        or writer in cover
        or any(one >= other for one, other in pairwise(writers))
        or any(each >> WRITER_BITS for each in writers[-1:])
        or any(clock > vectors.CLOCK_MAX for clock in cover.values())
        or any(clock + length > cover[each] or not length for each, clock, length in dots)
    ):
        raise _unreadable()
    edited = {each: max(0, clock - memories.get(each, 0)) for each, clock in cover.items()}
    return Lineage(generation, writer, begin, cover, runs, shared, edited)


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


def _unreadable() -> UpdateRefused:
    return UpdateRefused("malformed", "what a renewed record was made of cannot be read")
