"""Identifiers: replicas, epochs, writers and records, and the rules that a valid one obeys."""

import base64
import hashlib
import random
import re
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

from crdt_sync.errors import InvalidRecordId

REPLICA_BYTES = 16
EPOCH_BYTES = 16
SPACE_BYTES = 16
LOG_BYTES = 16
RECORD_LENGTH_MAX = 128  # characters, all ASCII: fits an LMDB key (511 bytes) with a sequence number behind it
WRITER_BITS = 53  # Yjs client ids are JavaScript numbers

SCHEMAS = "crdt-sync-schemas"
"""The collection of definitions of collections: reserved, and its name one that every release takes for ordinary."""

IMPORTS = "crdt-sync-imports"
"""The collection of books of imported tables, reserved likewise: a record for each source of a collection."""

RESERVED = frozenset({SCHEMAS, IMPORTS})
"""Collections of this library's own: their records travel as all do, and nobody means them by "all records"."""

SECTION_MARK = "__"
"""Between a collection and a section: `customers__finance/KEY` holds what `customers/KEY` has in the section `finance`.
It sorts behind the record itself."""

_NAME = r"[a-z][a-z0-9_-]{0,47}"
_COLLECTION = re.compile(rf"\A{_NAME}\Z")
_RECORD = re.compile(rf"\A{_NAME}/[A-Za-z0-9._~-]{{1,79}}\Z")
_MADE = re.compile(r"[^/]+/[a-z2-7]{26}\Z")


class Space(NamedTuple):
    """A set of records and all who share it: 16 random bytes. `joined` is false while one store alone knows them."""

    id: bytes
    joined: bool


def own_space(replica: bytes) -> Space:
    """The space of a store that has joined nobody's: it follows from the replica id, so that nothing need be kept."""
    return Space(hashlib.blake2b(replica, digest_size=SPACE_BYTES, person=b"crdt-sync space").digest(), joined=False)


def new_replica(rng: random.Random) -> bytes:
    """A fresh replica id: 16 random bytes, never all zero."""
    return _random_bytes(rng, REPLICA_BYTES)


def new_epoch(rng: random.Random) -> bytes:
    """A fresh epoch: 16 random bytes that name one unbroken life of a store's history."""
    return _random_bytes(rng, EPOCH_BYTES)


def new_writer(rng: random.Random) -> int:
    """A fresh writer id, the Yjs client id of one life of a replica: 1 to 2**53 - 1."""
    return rng.randrange(1, 1 << WRITER_BITS)


def new_record(collection: str, rng: random.Random) -> str:
    """A fresh record id in `collection`, as `collection/key`."""
    return record_id(collection, _base32(_random_bytes(rng, 16)))


def natural_record(collection: str, key: Sequence[str]) -> str:
    """The record id that every device derives from the same natural key.

    Each part is stripped, case-folded and brought to Unicode NFC, so that `Ann@Example.com ` and
    `ann@example.com` name one customer.
    """
    parts = [unicodedata.normalize("NFC", part.strip().casefold()) for part in key]
    material = "\x00".join([collection, *parts]).encode("utf-8", "surrogatepass")
    return record_id(collection, _base32(hashlib.blake2b(material, digest_size=16).digest()))


def record_id(collection: str, key: str) -> str:
    """Join and check a record id. Raises `InvalidRecordId`."""
    return check_record(f"{collection}/{key}")


def check_record(record: str) -> str:
    """Return `record` if it is a valid record id, else raise `InvalidRecordId`."""
    if not is_record(record):
        raise InvalidRecordId(record)
    return record


def is_record(record: str) -> bool:
    """Whether `record` is `collection/key` within the length limit."""
    return len(record) <= RECORD_LENGTH_MAX and _RECORD.match(record) is not None


def is_made(record: str) -> bool:
    """Whether the key of a record id is as programs make them, 16 bytes in base32, and nobody chooses it."""
    return _MADE.match(record) is not None


def is_collection(name: str) -> bool:
    """Whether `name` can name a collection or a field: lower case, starts with a letter, at most 48."""
    return _COLLECTION.match(name) is not None


def schema_record(collection: str) -> str:
    """The record that defines a collection."""
    return record_id(SCHEMAS, collection)


def defined_by(record: str) -> str | None:
    """The collection that a record defines; None where it is no definition, or of a reserved collection."""
    collection, _, key = record.partition("/")
    return key if collection == SCHEMAS and is_collection(key) and key not in RESERVED else None


def import_book(collection: str, source: str) -> str:
    """The record that tells which versions of a source were imported into a collection."""
    material = f"{collection}/{source}".encode("utf-8", "surrogatepass")
    return record_id(IMPORTS, _base32(hashlib.blake2b(material, digest_size=16).digest()))


def in_section(record: str, section: str) -> str:
    """The companion that holds the fields which a record has in one section."""
    collection, _, key = record.partition("/")
    return record_id(f"{collection}{SECTION_MARK}{section}", key)


def in_part(record: str, field: str, mask: str) -> str:
    """The companion that holds what a mask shows of a field: `customers__iban__last4/KEY`."""
    return in_section(record, f"{field}{SECTION_MARK}{mask}")


def mask_of(target: str) -> tuple[str, str]:
    """The field of which a companion, or its collection, shows a part, and the mask; two empty texts for any other."""
    field, _, mask = section_of(target).rpartition(SECTION_MARK)
    return (field, mask) if field else ("", "")


def is_masked(target: str) -> bool:
    """Whether a record, or a collection, holds what a mask shows: a relay derives it, and nobody writes it."""
    return SECTION_MARK in section_of(target)


def section_of(target: str) -> str:
    """Which section of a record a companion, or its collection, holds; empty for any other."""
    return collection_of(target).partition(SECTION_MARK)[2] if SECTION_MARK in target else ""


def whole_record(record: str) -> str:
    """The record to which a companion belongs; any other one itself."""
    collection, _, key = record.partition("/")
    return f"{collection.partition(SECTION_MARK)[0]}/{key}"


def whole_collection(collection: str) -> str:
    """The collection of the records to which the companions in one belong; any other one itself."""
    return collection.partition(SECTION_MARK)[0]


def is_reserved(target: str) -> bool:
    """Whether a collection, or that of a record, is one of `RESERVED`."""
    return collection_of(target) in RESERVED


def collection_of(record: str) -> str:
    """The collection that a valid record id belongs to."""
    return record.partition("/")[0]


def _random_bytes(rng: random.Random, count: int) -> bytes:
    while True:
        value = rng.randbytes(count)
        if any(value):
            return value


def _base32(raw: bytes) -> str:
    return base64.b32encode(raw).decode("ascii").rstrip("=").lower()
