"""How entries are chained: a value is the seal of the entry (32), the seal of the one before it (32), and its bytes.

The seal is BLAKE2b-256 over the number, the seal before and the bytes. So each entry proves itself, each link the one
before, and the last seal stands for the whole log. Numbers begin at 1 and have no holes.
"""

from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import Final

SEAL_BYTES: Final = 32
LINK_FIRST: Final = bytes(SEAL_BYTES)  # what the first entry is linked to
_HASHER = blake2b(digest_size=SEAL_BYTES, person=b"crdt-sync audit")


def chained(number: int, link: bytes, bodies: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    """(number, value) of the entries that follow the one of that number and seal."""
    copy = _HASHER.copy
    for body in bodies:
        number += 1
        hasher, sealed = copy(), link + body
        hasher.update(number.to_bytes(8, "big") + sealed)
        link = hasher.digest()
        yield number, link + sealed


def is_sealed(number: int, value: bytes) -> bool:
    """Whether the value is what was written under that number."""
    return value[:SEAL_BYTES] == _seal(number, value[SEAL_BYTES:])


def seal_of(value: bytes) -> bytes:
    """The seal that a value says it has."""
    return value[:SEAL_BYTES]


def link_of(value: bytes) -> bytes:
    """The seal of the entry before it, as it says."""
    return value[SEAL_BYTES : 2 * SEAL_BYTES]


def body_of(value: bytes) -> bytes:
    """The bytes of the entry."""
    return value[2 * SEAL_BYTES :]


def _seal(number: int, sealed: bytes) -> bytes:
    hasher = _HASHER.copy()
    hasher.update(number.to_bytes(8, "big") + sealed)
    return hasher.digest()
