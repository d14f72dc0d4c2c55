"""Reading the dots of a record from a document of any lineage."""

import json
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence

from crdt_sync.errors import UpdateRefused
from crdt_sync.records.deletion import seen_by
from crdt_sync.records.document import Document
from crdt_sync.records.entries import is_entry
from crdt_sync.records.lineages.dots import Dot, Dots, Piece
from crdt_sync.records.lineages.lineage import lineage_of
from crdt_sync.records.lineages.provenance import Run, unreadable
from crdt_sync.records.member_keys import member_of
from crdt_sync.records.roots import (
    ARRAY_PREFIXES,
    DELETED_ROOT,
    LINEAGE_ROOT,
    MAP_PREFIXES,
    TEXT_PREFIX,
    is_memory,
    is_reserved,
)
from crdt_sync.records.updates import state_vector as vectors
from crdt_sync.records.updates.lists import Lists
from crdt_sync.records.updates.parts import read_parts, with_marks
from crdt_sync.records.updates.update import Item, scan
from crdt_sync.records.values import counted, total

_ZERO = 0x4E00  # letters of one UTF-16 unit that nothing normalises
_DIGITS = 20_000  # of them


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
        self._starts = self._lineage.starts
        self._ordered = _ordered(whole) if found.items else {}

    def dots(self) -> Dots:
        live = {}
        for root in self._by_root:
            pieces = list(self._map(root) if root[:2] in MAP_PREFIXES else self._list(root))
            if pieces:
                live[root] = tuple(pieces)
        seen: dict[Dot, Mapping[int, int]] = {}
        if not self._vector.keys().isdisjoint(self._lineage.cover):
            raise UpdateRefused("malformed", "the record holds operations of two lineages")
        known = self._lineage.known(self._vector)
        edited = dict(self._lineage.edited)
        for root, items in self._by_root.items():
            for item in items if not is_memory(root) else ():
                if item.writer != self._lineage.writer:
                    edited[item.writer] = max(edited.get(item.writer, 0), item.clock + item.length)
        for root in [root for root in live if root.startswith("n.")]:
            live[root] = _totals(live[root], known)
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
                yield from {(root, member) for key in keys if key and (member := member_of(key))}

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
            raise unreadable()
        return run[0], run[1] + offset, run[2] - offset

    def _runs(self, piece: Piece) -> Iterator[tuple[tuple[int, int], Run]]:
        """The parts of live letters whose dots follow each other: their clocks, and their dots."""
        start, end = piece.clock, piece.clock + piece.length
        while start < end:
            run = self._dot(piece.writer, start)
            stop = min(end, start + run[2])
            yield (start, stop), run
            start = stop


def _totals(pieces: Sequence[Piece], known: Mapping[int, int]) -> tuple[Piece, ...]:
    """What was counted: one piece for all ids of a life that follow each other, of the last one's dot.

    A life goes on under the next id only where all that it did under the one before is known, see
    `Lineage.following`. So of two states the one that knows more of a life has its total. That holds only while nothing
    but the ids decides what becomes one: not how large a total is, nor whether it is a number or decimal text.
    """
    first: dict[int, int] = {}
    for writer in sorted(known):
        first[writer] = first.get(writer - 1, writer)
    found: dict[object, Piece] = {}
    for piece in sorted(pieces, key=lambda piece: piece[:2]):
        is_own = piece.key == str(piece.writer) and counted(piece.content) is not None
        life = first[piece.writer] if is_own else piece.key
        before = found.get(life)
        found[life] = piece._replace(content=total((before.content, piece.content))) if before else piece
    return tuple(sorted(found.values(), key=lambda piece: str(piece.key)))


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
                raise unreadable()
            found.setdefault(root, []).append(item)
            place += item.length
    return found


def _digit(value: int) -> str:
    return chr(_ZERO + value)
