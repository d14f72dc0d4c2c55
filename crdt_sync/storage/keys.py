"""What can be a key or a digest in any store, and what a record adds to the root."""

import hashlib

from crdt_sync.errors import InvalidRecordId
from crdt_sync.ids import RECORD_LENGTH_MAX, REPLICA_BYTES

ROOT_MODULUS = 1 << 256
DIGEST_BYTES = 16
KEY_BYTES_MAX = 511  # what LMDB allows
FINDINGS_MAX = 1000  # a store that is damaged beyond this is replaced, not repaired


def leaf(record: str, digest: bytes) -> int:
    """What one record adds to the root: blake2b-256 of the record id, a NUL and its digest, as an integer."""
    material = b"%b\x00%b" % (record.encode("ascii"), digest)
    return int.from_bytes(hashlib.blake2b(material, digest_size=32).digest(), "big")


def check_key(record: str) -> None:
    """Raise `InvalidRecordId` unless `record` can be a key: 1 to `RECORD_LENGTH_MAX` ASCII, no NUL."""
    if not 0 < len(record) <= RECORD_LENGTH_MAX or not record.isascii() or "\0" in record:
        raise InvalidRecordId(record)


def check_replica(replica: bytes) -> None:
    """Raise `ValueError` unless `replica` has the 16 bytes of a replica id."""
    if len(replica) != REPLICA_BYTES:
        raise ValueError(f"a replica id has {REPLICA_BYTES} bytes, not {len(replica)}")


def check_digest(digest: bytes | None) -> None:
    """Raise `ValueError` unless `digest` is None or has 16 bytes."""
    if digest is not None and len(digest) != DIGEST_BYTES:
        raise ValueError(f"a digest has {DIGEST_BYTES} bytes, not {len(digest)}")


def check_meta_key(name: str) -> bytes:
    """`name` as a key of 1 to 511 bytes, or `ValueError`."""
    key = name.encode("utf-8")
    if not 0 < len(key) <= KEY_BYTES_MAX:
        raise ValueError(f"a key has 1 to {KEY_BYTES_MAX} bytes, not {len(key)}")
    return key
