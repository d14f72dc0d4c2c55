"""An update in parts that can be changed and written again: structs, and deletions."""

from collections.abc import Callable
from dataclasses import dataclass

from crdt_sync.records.updates.delete_set import Ranges, encode_delete_set
from crdt_sync.records.updates.update import DELETED, HAS_LEFT, HAS_RIGHT, TEXT, Item, Reader
from crdt_sync.records.updates.varint import append_uint, read_uint

_KIND = 0x1F
_STRING = 119  # the kind of a value that is text
_Origin = tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class Struct:
    """One struct as bytes, its length in operations, and what it says; None for a run of skipped operations."""

    data: bytes
    length: int
    item: Item | None


@dataclass(frozen=True)
class Parts:
    """By writer the first clock and the structs, and the deletions."""

    writers: dict[int, tuple[int, tuple[Struct, ...]]]
    deletes: Ranges

    def written(self) -> bytes:
        """The update."""
        out = bytearray()
        append_uint(out, len(self.writers))
        for writer, (start, structs) in self.writers.items():
            for number in (len(structs), writer, start):
                append_uint(out, number)
            out += b"".join(struct.data for struct in structs)
        return bytes(out) + encode_delete_set(self.deletes)


def read_parts(update: bytes) -> Parts:
    """Empty texts, which yrs leaves behind, are read as structs of no length.

    Raises `UpdateRefused`, `IndexError` and `UnicodeDecodeError` for bytes that are no update of our layout.
    """
    return _Structs(update).parts()


def with_origins(struct: Struct, item: Item, left: _Origin, right: _Origin) -> Struct:
    """The struct, which has origins, with these."""
    position = 1
    for origin in (item.left, item.right):
        if origin is not None:
            _, position = read_uint(struct.data, position)
            _, position = read_uint(struct.data, position)
    data = _head(struct.data[0] & ~(HAS_LEFT | HAS_RIGHT), left, right) + struct.data[position:]
    return Struct(data, struct.length, item._replace(left=left, right=right))


def as_deleted(struct: Struct, item: Item, clock: int) -> Struct:
    """An empty text as one deleted operation at `clock`."""
    data = bytes([struct.data[0] & ~_KIND | DELETED]) + struct.data[1:-1] + b"\x01"
    return Struct(data, 1, item._replace(clock=clock, length=1, text=False, deleted=True))


def with_deleted_pairs(struct: Struct, item: Item, halves: list[int]) -> list[Struct]:
    """A text with the pairs of these second halves as deleted content: in parts, each after the one before."""
    start, text = _Structs(struct.data).text_of_struct()
    head, units = struct.data[:start], text.encode("utf-16-le")
    parts: list[Struct] = []
    begin = 0
    for half in halves:
        parts += _text_part(head, item, begin, units[2 * begin : 2 * half - 2])
        parts.append(_part(head, item, half - 1, 2, DELETED, b"\x02"))
        begin = half + 1
    return parts + _text_part(head, item, begin, units[2 * begin :])


def with_marks(parts: Parts, mark: Callable[[int], str]) -> bytes:
    """The update with other content of the same length: of each struct that is not deleted, `mark` of its number.

    Structs are numbered as they stand, from 0. A letter becomes a mark of one letter, a value a mark as text.
    """
    writers: dict[int, tuple[int, tuple[Struct, ...]]] = {}
    number = 0
    for writer, (start, structs) in parts.writers.items():
        written = []
        for struct in structs:
            live = struct.item is not None and not struct.item.deleted
            data = _marked(struct, mark(number)) if live else struct.data
            written.append(Struct(data, struct.length, struct.item))
            number += 1
        writers[writer] = (start, tuple(written))
    return Parts(writers, parts.deletes).written()


def _marked(struct: Struct, mark: str) -> bytes:
    assert struct.item is not None
    encoded = mark.encode()
    content = bytearray(struct.data[: _Structs(struct.data).content_of_struct()])
    if struct.item.text:
        append_uint(content, len(encoded) * struct.length)
        return bytes(content) + encoded * struct.length
    append_uint(content, struct.length)
    return bytes(content) + (bytes([_STRING, len(encoded)]) + encoded) * struct.length


def _text_part(head: bytes, item: Item, begin: int, units: bytes) -> list[Struct]:
    if not units:
        return []
    text = units.decode("utf-16-le").encode()
    content = bytearray()
    append_uint(content, len(text))
    return [_part(head, item, begin, len(units) // 2, TEXT, bytes(content) + text)]


def _part(head: bytes, item: Item, begin: int, length: int, kind: int, content: bytes) -> Struct:
    """`length` operations of an item from `begin` on; `head` is what stands before the content of the whole."""
    left = item.left
    if begin:
        left = (item.writer, item.clock + begin - 1)
        head = _head(kind, left, item.right)
    data = bytes([head[0] & ~_KIND | kind]) + head[1:] + content
    return Struct(data, length, item._replace(clock=item.clock + begin, length=length, left=left, halves=()))


def _head(kind: int, left: _Origin, right: _Origin) -> bytes:
    out = bytearray([kind])
    for bit, origin in ((HAS_LEFT, left), (HAS_RIGHT, right)):
        if origin is not None:
            out[0] |= bit
            append_uint(out, origin[0])
            append_uint(out, origin[1])
    return bytes(out)


class _Structs(Reader):
    """Keeps the structs, empty texts included."""

    __slots__ = ("_structs",)

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self._structs: dict[int, list[Struct]] = {}

    def parts(self) -> Parts:
        """All of it."""
        found = self.scan()
        return Parts(
            {writer: (start, tuple(self._structs.get(writer, ()))) for writer, (start, _) in found.clients.items()},
            found.deletes,
        )

    def struct(self, position: int, writer: int, clock: int) -> tuple[int, int]:
        count = len(self.items)
        length, end = super().struct(position, writer, clock)
        item = self.items[-1] if len(self.items) > count else None
        self._structs.setdefault(writer, []).append(Struct(self.data[position:end], length, item))
        return length, end

    def text_of_struct(self) -> tuple[int, str]:
        """Where the content of a text begins, which is all the data, and that text."""
        position = self.content_of_struct()
        text, _ = self._text(position)
        return position, text

    def content_of_struct(self) -> int:
        """Where the content of an item begins, which is all the data."""
        info, position = self.data[0], 1
        for bit in (HAS_LEFT, HAS_RIGHT):
            if info & bit:
                _, position = self._neighbour(position)
        if not info & (HAS_LEFT | HAS_RIGHT):
            _, _, position = self._parent(info, position)
        return position

    def _text_content(self, position: int) -> tuple[int, tuple[int, ...], int]:
        return (0, (), position + 1) if self.data[position] == 0 else super()._text_content(position)

    def _check_deleted(self, deletes: Ranges) -> None:
        """Part of a record may hold less than all deletions."""
