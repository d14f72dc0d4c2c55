"""One number for a whole set of records: the sum of a hash per record, which any change of order leaves alone."""

import hashlib
from collections.abc import Iterable

MODULUS = 1 << 256
ROOT_BYTES = 32


def leaf(record: str, digest: bytes) -> int:
    """The number that one record adds: the 256-bit BLAKE2b of its id, NUL and its state digest."""
    return int.from_bytes(hashlib.blake2b(record.encode("utf-8") + b"\x00" + digest, digest_size=32).digest(), "big")


def replace(root: int, old: int, new: int) -> int:
    """The root after one leaf changed; 0 stands for a record that is not there."""
    return (root - old + new) % MODULUS


def root_of(records: Iterable[tuple[str, bytes]]) -> int:
    """The root of a set of `(record, digest)`."""
    return sum(leaf(record, digest) for record, digest in records) % MODULUS


def root_bytes(root: int) -> bytes:
    """The root as it travels: 32 bytes, big-endian."""
    return root.to_bytes(ROOT_BYTES, "big")
