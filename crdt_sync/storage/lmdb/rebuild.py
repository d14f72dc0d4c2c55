"""Everything derived is derived anew from heads and log: feed, stale records, aggregates, counts of outboxes."""

from crdt_sync.errors import StoreCorrupt
from crdt_sync.ids import RECORD_LENGTH_MAX
from crdt_sync.storage.keys import ROOT_MODULUS, leaf
from crdt_sync.storage.lmdb import codec, shown
from crdt_sync.storage.lmdb.codec import CHECKSUM_BYTES, FEED, HeadRow, State, seq_key
from crdt_sync.storage.lmdb.identity import STATE_KEY
from crdt_sync.storage.lmdb.reads import read_state, walk
from crdt_sync.storage.lmdb.tables import Table, Tables, Transaction
from crdt_sync.storage.values import OutboxEntry, Root

UNKNOWN_STATE_VECTOR = b"\x00"  # an empty state vector: the partner is sent everything


def forget(transaction: Transaction, tables: Tables, key: bytes) -> None:
    """Take a record out and mark it as quarantined; `derive` must follow. Its log entries stay for salvage."""
    shown.forget(transaction, tables, key)
    for table in (tables.heads, tables.docs, tables.views):
        transaction.delete(key, db=table)
    if key.isascii() and b"\0" not in key and len(key) <= RECORD_LENGTH_MAX:  # else it is what damage made of a key
        transaction.put(key, b"", db=tables.quarantine)


def rebuild(transaction: Transaction, tables: Tables) -> tuple[tuple[str, ...], State]:
    """Returns the records that had to be quarantined because their head is damaged, and the new state."""
    heads, lost = _heads(transaction, tables)
    for key in lost:
        forget(transaction, tables, key)
    for key, value in list(walk(transaction, tables.views, b"\x00")):
        if key not in heads or not codec.VIEWS.matches(key, value):
            transaction.delete(key, db=tables.views)
    for key, value in list(walk(transaction, tables.peers, b"\x00")):
        if not codec.PEERS.matches(key, value):
            transaction.delete(key, db=tables.peers)
    mend_outboxes(transaction, tables)
    shown.drop_all(transaction, tables)
    return tuple(key.decode("ascii", "replace") for key in lost), derive(transaction, tables)


def derive(transaction: Transaction, tables: Tables) -> State:
    """Feed, stale records and aggregates from the heads that can be read; returns the new state."""
    heads, _ = _heads(transaction, tables)
    _write_feed(transaction, tables, heads)
    root = _write_root(transaction, tables, heads)
    transaction.drop(tables.index, delete=False)
    state = _state(transaction, tables, root)
    transaction.put(STATE_KEY, state.value(STATE_KEY), db=tables.store)
    return state


def _heads(transaction: Transaction, tables: Tables) -> tuple[dict[bytes, HeadRow], list[bytes]]:
    heads: dict[bytes, HeadRow] = {}
    lost: list[bytes] = []
    for key, value in walk(transaction, tables.heads, b"\x00"):
        try:
            heads[key] = codec.head_row(key, value)
        except StoreCorrupt:
            lost.append(key)
    return heads, lost


def _write_feed(transaction: Transaction, tables: Tables, heads: dict[bytes, HeadRow]) -> None:
    transaction.drop(tables.feed, delete=False)
    entries = sorted((seq_key(row.seq), key) for key, row in heads.items())
    with transaction.cursor(db=tables.feed) as cursor:
        cursor.putmulti([(seq, FEED.close(seq, key)) for seq, key in entries], append=True)


def _write_root(transaction: Transaction, tables: Tables, heads: dict[bytes, HeadRow]) -> Root:
    stale = sorted(key for key, row in heads.items() if row.digest is None)
    total = sum(leaf(key.decode("ascii"), row.digest) for key, row in heads.items() if row.digest is not None)
    transaction.drop(tables.stale, delete=False)
    with transaction.cursor(db=tables.stale) as cursor:
        cursor.putmulti([(key, b"") for key in stale], append=True)
    return Root(len(heads) - len(stale), total % ROOT_MODULUS, len(stale))


def mend_outboxes(transaction: Transaction, tables: Tables) -> None:
    """A damaged entry becomes one that says the partner has nothing: its record is sent whole, once more."""
    counts: dict[bytes, tuple[int, int]] = {}
    for key, value in list(walk(transaction, tables.outbox, b"\x00")):
        mended = value
        if not codec.OUTBOX.matches(key, value):
            record = key[16:].decode("ascii", "replace")
            mended = codec.outbox_value(key, OutboxEntry(record, UNKNOWN_STATE_VECTOR, 0))
            transaction.put(key, mended, db=tables.outbox)
        total, refused = counts.get(key[:16], (0, 0))
        counts[key[:16]] = (total + 1, refused + codec.outbox_refused(mended))
    transaction.drop(tables.outbox_counts, delete=False)
    for replica, (total, refused) in sorted(counts.items()):
        transaction.put(replica, codec.counts_value(replica, total, refused), db=tables.outbox_counts)


def _state(transaction: Transaction, tables: Tables, root: Root) -> State:
    try:
        before = read_state(transaction, tables)
    except StoreCorrupt:
        last, value = _last(transaction, tables.log)
        seq = max(last, _last(transaction, tables.feed)[0])
        return State(seq, seq, value[:CHECKSUM_BYTES] if last == seq and value else codec.LINK_FIRST, root)
    return State(before.seq, before.compacted, before.link, root)


def _last(transaction: Transaction, table: Table) -> tuple[int, bytes]:
    with transaction.cursor(db=table) as cursor:
        return (int.from_bytes(cursor.key(), "big"), cursor.value()) if cursor.last() else (0, b"")
