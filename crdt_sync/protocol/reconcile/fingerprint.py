"""One number for a set of records, and its short hash for the wire."""

import hashlib
from collections.abc import Iterable

MODULUS = 1 << 256
FINGERPRINT_BYTES = 16
_PERSON = b"crdt-sync range"


def leaf(record: str, digest: bytes) -> int:
    """What one record adds to a sum: the 256-bit BLAKE2b of its id, a NUL and its digest, as in the root."""
    return leaves([(record, digest)])[0]


def leaves(entries: Iterable[tuple[str, bytes]]) -> list[int]:
    """The leaf of each (record, digest)."""
    number, blake2b = int.from_bytes, hashlib.blake2b  # one call a leaf less: this is most of building an index
    return [
        number(blake2b(b"%b\x00%b" % (record.encode("utf-8"), digest), digest_size=32).digest(), "big")
        for record, digest in entries
    ]


def fingerprint(count: int, total: int) -> bytes:
    """16 bytes that stand for `count` records whose leaves sum up to `total` mod 2**256.

    The hash hides the sum, so that a partner cannot calculate with it; the count tells sets apart whose sums
    somebody has made equal.
    """
    material = (total % MODULUS).to_bytes(32, "big") + count.to_bytes(8, "big")
    return hashlib.blake2b(material, digest_size=FINGERPRINT_BYTES, person=_PERSON).digest()
