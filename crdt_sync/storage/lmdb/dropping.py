"""Records are taken out for good: nothing of them stays in any row, though pages that were freed keep their bytes until
they are written again.
"""

from collections.abc import Iterable, Sequence

from crdt_sync.errors import StoreCorrupt
from crdt_sync.storage.lmdb import codec, reads
from crdt_sync.storage.lmdb.codec import CHECKSUM_BYTES, HeadRow, seq_key
from crdt_sync.storage.lmdb.tables import Tables, Transaction


def drop(transaction: Transaction, tables: Tables, records: Sequence[tuple[bytes, HeadRow]]) -> int:
    """Delete what is stored of records, but for feed, places and outboxes; the last sequence number that went.

    The log has holes where their updates were.
    """
    last = 0
    anywhere: set[str] = set()  # whose updates may be in the log without a way to them
    for key, row in records:
        quarantined = transaction.delete(key, db=tables.quarantine)
        if row.lineage or row.scattered or quarantined:
            anywhere.add(key.decode("ascii"))
        for seq in _chain(transaction, tables, row.seq):
            transaction.delete(seq_key(seq), db=tables.log)
            last = max(last, seq)
        for table in (tables.heads, tables.docs, tables.views, tables.stale):
            transaction.delete(key, db=table)
    if anywhere:
        rows = reads.walk(transaction, tables.log, seq_key(1))
        for key in [key for key, value in rows if codec.log_record(value[CHECKSUM_BYTES:]) in anywhere]:
            transaction.delete(key, db=tables.log)
            last = max(last, int.from_bytes(key, "big"))
    return last


def _chain(transaction: Transaction, tables: Tables, seq: int) -> list[int]:
    found: list[int] = []
    while seq:
        try:
            body = reads.log_body(transaction, tables, seq)
        except StoreCorrupt:
            break  # it names none before it that can be relied on
        if body is None:
            break
        found.append(seq)
        seq = codec.log_previous(body)
    return found


def owed(transaction: Transaction, tables: Tables, counts: Iterable[bytes]) -> list[bytes]:
    """The partners that something is owed to, those of this commit included."""
    stored = (key for key, _ in reads.walk(transaction, tables.outbox_counts, b"\x00"))
    return sorted({*stored, *counts})
