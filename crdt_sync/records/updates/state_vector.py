"""State vectors: how many operations of each writer a replica holds.

On the wire a state vector is `count, (writer, clock) * count` in variable-length integers. yrs writes the
writers in hash order, so the bytes of equal vectors differ; `encode` sorts, and only its output is compared,
hashed or sent.
"""

from collections.abc import Mapping
from functools import lru_cache

from crdt_sync.errors import UpdateRefused
from crdt_sync.limits import CLIENTS_MAX
from crdt_sync.records.updates.varint import append_uint, read_uint

EMPTY = b"\x00"
CLOCK_MAX = (1 << 32) - 1  # yrs keeps clocks in 32 bits and panics beyond
# One step asks for the same few vectors again and again. At most this many are kept, 8 MB of the longest.
_KEPT = 1024
_KEPT_BYTES_MAX = 512


def decode(data: bytes) -> dict[int, int]:
    """Writer to clock. Raises `UpdateRefused` ('malformed') for anything but one well-formed state vector.

    The count is checked against the bytes that are there before anything is allocated: yrs itself takes
    518 MB for seven hostile bytes.
    """
    return dict(_decoded(data))


def _decoded(data: bytes) -> Mapping[int, int]:
    return _kept(data) if len(data) <= _KEPT_BYTES_MAX else _read(data)


def _read(data: bytes) -> Mapping[int, int]:
    if data == EMPTY:
        return {}
    try:
        count, position = read_uint(data, 0)
        if count > CLIENTS_MAX or count * 2 > len(data):
            raise UpdateRefused("malformed", f"a state vector announces {count} writers in {len(data)} bytes")
        vector: dict[int, int] = {}
        for _ in range(count):
            writer, position = read_uint(data, position)
            clock, position = read_uint(data, position)
            if clock > CLOCK_MAX or writer in vector:
                raise UpdateRefused("malformed", f"a state vector has an invalid entry for writer {writer}")
            vector[writer] = clock
    except IndexError:
        raise UpdateRefused("malformed", "a state vector is cut off") from None
    if position != len(data):
        raise UpdateRefused("malformed", "a state vector has trailing bytes")
    return vector


_kept = lru_cache(_KEPT)(_read)


def encode(vector: Mapping[int, int]) -> bytes:
    """The canonical bytes: sorted by writer, clocks of zero left out."""
    out = bytearray()
    append_uint(out, len(vector) - list(vector.values()).count(0))
    for writer in sorted(vector):
        clock = vector[writer]
        if clock:
            out += _kept_uint(writer)
            append_uint(out, clock)
    return bytes(out)


@lru_cache(_KEPT)
def _kept_uint(value: int) -> bytes:
    out = bytearray()
    append_uint(out, value)
    return bytes(out)


def normalise(data: bytes) -> bytes:
    """The canonical form of an encoded state vector. Raises `UpdateRefused` as `decode` does."""
    return _kept_form(data) if len(data) <= _KEPT_BYTES_MAX else encode(_read(data))


@lru_cache(_KEPT)
def _kept_form(data: bytes) -> bytes:
    return encode(_decoded(data))


def covers(a: bytes, b: bytes) -> bool:
    """Whether `a` holds everything that `b` holds (`a >= b` for every writer)."""
    if b in (EMPTY, a):
        return True
    return dominates(_decoded(a), _decoded(b))


def dominates(a: Mapping[int, int], b: Mapping[int, int]) -> bool:
    """`covers` for decoded state vectors."""
    return all(a.get(writer, 0) >= clock for writer, clock in b.items())


def common(a: Mapping[int, int], b: Mapping[int, int]) -> dict[int, int]:
    """What both hold: the lesser clock of each writer."""
    return {writer: min(clock, b[writer]) for writer, clock in a.items() if b.get(writer, 0) and clock}


def merge(*vectors: bytes) -> bytes:
    """The canonical state vector that holds what any of `vectors` holds: the greatest clock of each writer."""
    return encode(merged(*map(_decoded, vectors)))


def merged(*vectors: Mapping[int, int]) -> dict[int, int]:
    """`merge` for decoded state vectors."""
    result: dict[int, int] = {}
    for vector in vectors:
        for writer, clock in vector.items():
            if clock > result.get(writer, 0):
                result[writer] = clock
    return result
