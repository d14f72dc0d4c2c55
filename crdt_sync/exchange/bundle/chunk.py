"""A chunk: updates of records as one CBOR array, packed."""

import zlib
from collections.abc import Sequence
from typing import NamedTuple

from crdt_sync.limits import BUNDLE_CHUNK_BYTES_MAX, BUNDLE_CHUNK_RECORDS_MAX, UPDATE_BYTES_MAX
from crdt_sync.protocol.checks import check_bytes, check_record
from crdt_sync.strict_cbor import dumps, loads

ENTRY_BYTES_MAX = UPDATE_BYTES_MAX + 256  # with its record and the CBOR around both
_ITEMS_MAX = 1 + 3 * BUNDLE_CHUNK_RECORDS_MAX
_DEPTH_MAX = 4
_LEVEL = 6  # zlib's own default: level 9 takes twice as long for one part in a hundred


class Entry(NamedTuple):
    """One update of one record."""

    record: str
    update: bytes


def pack(entries: Sequence[Entry]) -> bytes:
    """The chunk of these entries."""
    return zlib.compress(dumps(entries), _LEVEL)


def unpack(packed: bytes) -> tuple[Entry, ...]:
    """The entries of a chunk. Raises `ValueError`, and nothing else, whatever the bytes are."""
    unpacker = zlib.decompressobj()
    try:
        body = unpacker.decompress(packed, BUNDLE_CHUNK_BYTES_MAX)
    except zlib.error as error:
        raise ValueError(f"a chunk cannot be unpacked: {error}") from None
    if not unpacker.eof or unpacker.unused_data:
        raise ValueError(f"a chunk is not one packed text of at most {BUNDLE_CHUNK_BYTES_MAX} bytes")
    rows = loads(body, items_max=_ITEMS_MAX, depth_max=_DEPTH_MAX)
    if type(rows) is not tuple or not 0 < len(rows) <= BUNDLE_CHUNK_RECORDS_MAX:
        raise ValueError(f"a chunk is not an array of 1 to {BUNDLE_CHUNK_RECORDS_MAX} entries")
    return tuple(map(_entry, rows))


def _entry(row: object) -> Entry:
    if type(row) is not tuple or len(row) != 2:
        raise ValueError("an entry of a chunk is not an array of 2")
    record, update = row
    check_record("entry.record", record)
    check_bytes("entry.update", update, 1, UPDATE_BYTES_MAX)
    return Entry(record, update)
