"""Values that are packed on disk: LZ4 against a fixed dictionary, which costs a few microseconds.

A packed value is its length unpacked (4, little-endian) and an LZ4 block. What is stored may be damaged or made up, so
nothing is unpacked beyond `PACKED_BYTES_MAX`: LZ4 writes the length that it is told, and no byte more.
"""

import lz4.block

from crdt_sync.limits import PACKED_BYTES_MAX, PACKED_BYTES_MIN
from crdt_sync.storage.lmdb.dictionary import DICTIONARY

_LENGTH_BYTES = 4
_SAVED_SHARE = 8  # a value is packed where that saves an eighth of it: else reading it would cost for nothing
_MATCH_MIN = 4  # bytes of the shortest match of LZ4


def pack(body: bytes) -> bytes | None:
    """The packed form, or None where the body is better stored as it is."""
    if not PACKED_BYTES_MIN <= len(body) <= PACKED_BYTES_MAX:
        return None
    packed: bytes = lz4.block.compress(body, mode="fast", acceleration=1, store_size=True, dict=DICTIONARY)
    return packed if len(packed) <= len(body) - len(body) // _SAVED_SHARE else None


def unpack(packed: bytes) -> bytes:
    """What was packed. Raises `ValueError` where it is nothing that `pack` gives."""
    if not PACKED_BYTES_MIN <= _length(packed) <= PACKED_BYTES_MAX:
        raise ValueError("a packed value has no length that it can have")
    try:
        body: bytes = lz4.block.decompress(packed, dict=DICTIONARY)
    except (lz4.block.LZ4BlockError, ValueError) as error:
        raise ValueError(f"a value cannot be unpacked: {error}") from error
    return body


def legible(damaged: bytes) -> bytes:
    """What can be read of a damaged value that may have been packed: what comes before the damage, and more or less of
    what comes after it. For people; where it does not look packed it is returned as it is.
    """
    length = _length(damaged)
    if not max(PACKED_BYTES_MIN, len(damaged)) <= length <= PACKED_BYTES_MAX:
        return damaged
    return _unpacked_as_far_as_it_goes(damaged[_LENGTH_BYTES:], length)


def _length(packed: bytes) -> int:
    return int.from_bytes(packed[:_LENGTH_BYTES], "little")


def _unpacked_as_far_as_it_goes(block: bytes, length: int) -> bytes:
    """LZ4's sequences one by one: a token, literals, and a match to copy from what came before."""
    found = bytearray(DICTIONARY)
    end = len(found) + length
    place = 0
    while place < len(block) and len(found) < end:
        token = block[place]
        literals, place = _run(block, place + 1, token >> 4)
        found += block[place : place + literals]
        if len(found) >= end:
            break
        offset = int.from_bytes(block[place + literals : place + literals + 2], "little")
        matched, place = _run(block, place + literals + 2, token & 15)
        if not 0 < offset <= len(found):
            break  # the end, or damage
        matched = min(matched + _MATCH_MIN, end - len(found))
        start = len(found) - offset
        source = bytes(found[start : start + matched])
        found += (source * (matched // len(source) + 1))[:matched]  # a match may overlap what it makes
    return bytes(found[len(DICTIONARY) : end])


def _run(block: bytes, place: int, length: int) -> tuple[int, int]:
    """A length that began in a token: 15 goes on in bytes, up to the first that is not 255. Returns where it ended."""
    more = length == 15
    while more and place < len(block):
        length += block[place]
        more = block[place] == 255
        place += 1
    return length, place
