"""The message as a tuple for CBOR: `(open, shape, names, hashes)`.

By column, so that a message of thousands of ranges has four CBOR items and each column packs well:

* `shape`: for each answer its kind and its numbers, all unsigned LEB128;
* `names`: every text in the order of the answers, front coded: the length shared with the name before, the length of
  the rest, the rest; the first name stands after an empty one;
* `hashes`: every fingerprint and digest, 16 bytes each.
"""

from collections.abc import Iterable, Sequence

from crdt_sync.errors import ProtocolViolation
from crdt_sync.ids import RECORD_LENGTH_MAX
from crdt_sync.limits import (
    FRAME_BYTES_TARGET,
    RECONCILE_HEAD_BYTES,
    RECONCILE_LISTED_RECORDS_MAX,
    RECONCILE_OPEN_RANGES_MAX,
    RECONCILE_PARTS_MAX,
    RECONCILE_RECORDS_MAX,
)
from crdt_sync.protocol.reconcile.bounds import shared_length
from crdt_sync.protocol.reconcile.messages import Answer, Equal, Item, Listing, Print, Ranges, Reply, Split

Packed = tuple[int, bytes, bytes, bytes]

FIELDS = 4
HASH_BYTES = 16
_EQUAL, _SPLIT, _LISTING, _REPLY = range(4)
_NUMBER_BYTES_MAX = 4  # RECONCILE_RECORDS_MAX and everything else fit


def encode(message: Ranges) -> Packed:
    """The columns of `message`."""
    writer = _Writer()
    for answer in message.answers:
        writer.answer(answer)
    return message.open, bytes(writer.shape), bytes(writer.names), bytes(writer.hashes)


def decode(packed: object) -> Ranges:
    """The message in `packed`. Raises `ProtocolViolation`, and nothing else, whatever it is."""
    try:
        return _decode(packed)
    except ValueError as error:  # from a constructor or from the reader; it names the field
        raise ProtocolViolation(str(error)) from None


def packed_bytes(packed: Packed) -> int:
    """The size of a message on the wire, at most."""
    return RECONCILE_HEAD_BYTES + sum(map(len, packed[1:]))


def answer_bytes(answer: Answer) -> int:
    """What `answer` takes on the wire at most, whatever comes before it."""
    match answer:
        case Equal():
            return 1 + _NUMBER_BYTES_MAX
        case Split(bounds, prints):
            return 2 + names_bytes(bounds) + len(prints) * (_NUMBER_BYTES_MAX + HASH_BYTES)
        case Listing(through, items):
            names = names_bytes([record for record, _ in items])
            return 2 + _NUMBER_BYTES_MAX + _through_bytes(through) + names + HASH_BYTES * len(items)
        case Reply(through, held, lacking):
            names = names_bytes([record for record, _ in held]) + names_bytes(lacking)
            return 2 + 2 * _NUMBER_BYTES_MAX + _through_bytes(through) + names + HASH_BYTES * len(held)


def names_bytes(names: Sequence[str]) -> int:
    """What ascending names take at most: all but the first share at least what the first and the last do."""
    if not names:
        return 0
    return 2 * len(names) + sum(map(len, names)) - shared_length(names[0], names[-1]) * (len(names) - 1)


def _through_bytes(through: str | None) -> int:
    return 0 if through is None else 2 + len(through)


class _Writer:
    """The three columns as they grow."""

    def __init__(self) -> None:
        self.shape = bytearray()
        self.names = bytearray()
        self.hashes = bytearray()
        self._name = ""
        self._shared = 0

    def answer(self, answer: Answer) -> None:
        match answer:
            case Equal(ranges):
                self._numbers(_EQUAL, ranges)
            case Split(bounds, prints):
                self._numbers(_SPLIT, len(prints), *(part.records for part in prints))
                self._names(bounds)
                self.hashes += b"".join([part.fingerprint for part in prints])
            case Listing(through, items):
                self._numbers(_LISTING, through is not None, len(items))
                self._items(items)
                self._names(() if through is None else (through,))
            case Reply(through, held, lacking):
                self._numbers(_REPLY, through is not None, len(held), len(lacking))
                self._items(held)
                self._names(lacking)
                self._names(() if through is None else (through,))

    def _numbers(self, *numbers: int) -> None:
        for number in numbers:
            rest = number
            while rest > 0x7F:
                self.shape.append(rest & 0x7F | 0x80)
                rest >>= 7
            self.shape.append(rest)

    def _items(self, items: tuple[Item, ...]) -> None:
        self._names([record for record, _ in items])
        self.hashes += b"".join([digest for _, digest in items])

    def _names(self, names: Iterable[str]) -> None:
        for name in names:
            self._shared = shared_length(self._name, name, self._shared)
            rest = name[self._shared :]
            self.names += bytes((self._shared, len(rest)))
            self.names += rest.encode("ascii")
            self._name = name


def _decode(packed: object) -> Ranges:
    if type(packed) is not tuple or len(packed) != FIELDS:
        raise ValueError(f"ranges: is not an array of {FIELDS}")
    open_ranges, *columns = packed
    if any(type(column) is not bytes for column in columns):
        raise ValueError("ranges: a column is not a byte string")
    if RECONCILE_HEAD_BYTES + sum(map(len, columns)) > FRAME_BYTES_TARGET:
        raise ValueError(f"ranges: has more than {FRAME_BYTES_TARGET} bytes")
    reader = _Reader(*columns)
    answers: list[Answer] = []
    while not reader.at_end():
        if len(answers) == RECONCILE_OPEN_RANGES_MAX:
            raise ValueError(f"ranges.answers: more than {RECONCILE_OPEN_RANGES_MAX}")
        answers.append(reader.answer())
    reader.check_end()
    return Ranges(tuple(answers), open_ranges)


class _Reader:
    """Reads the three columns in step."""

    def __init__(self, shape: bytes, names: bytes, hashes: bytes) -> None:
        self._shape, self._shape_at = shape, 0
        self._names, self._names_at = names, 0
        self._hashes, self._hashes_at = hashes, 0
        self._name = ""

    def at_end(self) -> bool:
        return self._shape_at == len(self._shape)

    def check_end(self) -> None:
        if self._names_at != len(self._names) or self._hashes_at != len(self._hashes):
            raise ValueError("ranges: bytes are left over")

    def answer(self) -> Answer:
        kind = self._number(_REPLY)
        if kind == _EQUAL:
            return Equal(self._number(RECONCILE_OPEN_RANGES_MAX))
        if kind == _SPLIT:
            return self._split()
        more = self._number(1)
        if kind == _LISTING:
            items = self._items(self._number(RECONCILE_LISTED_RECORDS_MAX))
            return Listing(self._read_name() if more else None, items)
        held_count = self._number(RECONCILE_LISTED_RECORDS_MAX)
        lacking_count = self._number(RECONCILE_LISTED_RECORDS_MAX)
        held = self._items(held_count)
        lacking = tuple(self._read_name() for _ in range(lacking_count))
        return Reply(self._read_name() if more else None, held, lacking)

    def _split(self) -> Split:
        parts = self._number(RECONCILE_PARTS_MAX)
        counts = [self._number(RECONCILE_RECORDS_MAX) for _ in range(parts)]
        bounds = tuple(self._read_name() for _ in range(parts - 1))
        return Split(bounds, tuple(Print(count, self._hash() if count else b"") for count in counts))

    def _items(self, count: int) -> tuple[Item, ...]:
        if count * HASH_BYTES > len(self._hashes) - self._hashes_at:
            raise ValueError("ranges.hashes: ends too early")
        return tuple([Item(self._read_name(), self._hash()) for _ in range(count)])

    def _number(self, at_most: int) -> int:
        number = 0
        for position in range(_NUMBER_BYTES_MAX):
            if self.at_end():
                raise ValueError("ranges.shape: ends too early")
            byte = self._shape[self._shape_at]
            self._shape_at += 1
            number |= (byte & 0x7F) << 7 * position
            if byte < 0x80:
                if number > at_most:
                    raise ValueError(f"ranges.shape: {number} is more than {at_most}")
                return number
        raise ValueError("ranges.shape: a number is too long")

    def _read_name(self) -> str:
        start = self._names_at + 2
        if start > len(self._names):
            raise ValueError("ranges.names: ends too early")
        shared, length = self._names[start - 2], self._names[start - 1]
        self._names_at = start + length
        if self._names_at > len(self._names):
            raise ValueError("ranges.names: ends too early")
        if shared > len(self._name) or shared + length > RECORD_LENGTH_MAX:
            raise ValueError("ranges.names: a name does not build on the one before")
        self._name = self._name[:shared] + self._names[start : self._names_at].decode("ascii")
        return self._name

    def _hash(self) -> bytes:
        start = self._hashes_at
        self._hashes_at = start + HASH_BYTES
        if self._hashes_at > len(self._hashes):
            raise ValueError("ranges.hashes: ends too early")
        return self._hashes[start : self._hashes_at]
