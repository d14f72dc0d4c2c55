"""Writing the first update of a lineage: the dots of a record as a fresh document of one writer, see `lineage`."""

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from crdt_sync.ids import WRITER_BITS
from crdt_sync.limits import INTEGER_EXACT_MAX
from crdt_sync.records.deleted import brings_news
from crdt_sync.records.deletion import deletion_text
from crdt_sync.records.document import Document
from crdt_sync.records.lineages.dots import COUNTED_MAX, Dots, Piece
from crdt_sync.records.lineages.provenance import PLACEHOLDER, Packed, encoded
from crdt_sync.records.roots import DELETED_ROOT, LINEAGE_ROOT, MAP_PREFIXES, SOURCES_ROOT, TEXT_PREFIX, Contents
from crdt_sync.records.updates import state_vector as vectors
from crdt_sync.records.values import canonical

if TYPE_CHECKING:
    from crdt_sync.records.yrs import Transaction as YrsTransaction

_ATTEMPTS_MAX = 1 << 20


def first_update(dots: Dots, generation: int) -> bytes:
    """The first update of a lineage that has this state."""
    for attempt in range(_ATTEMPTS_MAX):
        draft = written(dots, generation, PLACEHOLDER)
        digest = hashlib.blake2b(attempt.to_bytes(4, "big") + draft, digest_size=8, person=b"crdt-sync line").digest()
        writer = int.from_bytes(digest, "big") >> (64 - WRITER_BITS)
        if writer > PLACEHOLDER and writer not in dots.known:
            return written(dots, generation, writer)
    raise AssertionError("no writer id is free")


def written(dots: Dots, generation: int, writer: int) -> bytes:
    """The same, by this writer."""
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
    provenance = encoded(dots, generation, begin, [each for pieces in packed.values() for each in pieces])
    with document.transaction() as transaction:
        document.array(transaction, LINEAGE_ROOT).insert(transaction, 0, provenance)
        for root, pieces in packed.items():
            written = [piece for piece, _ in pieces]
            if root == DELETED_ROOT:
                written = [_with_vector(dots, piece, writer, count) for piece in written]
            _write_root(document, transaction, root, written)
    return document.diff()


def _packed(root: str, pieces: Sequence[Piece]) -> list[Packed]:
    """The pieces as they are written: each, and of one that stands for several all of their dots and amounts."""
    if root[:2] not in MAP_PREFIXES:
        return [(piece, ()) for piece in pieces]
    alike: dict[object, list[Piece]] = {}
    for piece in pieces:
        alike.setdefault(_form(root, piece), []).append(piece)
    packed: list[Packed] = []
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
        return True if key == str(piece.writer) and type(content) is int and abs(content) < COUNTED_MAX else None
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
    elif vectors.dominates(vectors.merged(*dots.seen.values()), dots.edited) and not brings_news(_told(dots)):
        vector = {**vector, writer: count}
    return piece._replace(content=[deletion_text(vectors.encode(vector)), *piece.content[1:]])


def _told(dots: Dots) -> Contents:
    """What texts, sources and deletes say, by root."""
    contents: Contents = {}
    for root, pieces in dots.live.items():
        if root.startswith(TEXT_PREFIX):
            contents[root] = "".join(str(piece.content) for piece in pieces)
        elif root in (DELETED_ROOT, SOURCES_ROOT):
            contents[root] = [piece.content for piece in pieces]
    return contents
