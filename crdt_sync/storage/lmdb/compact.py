"""Compaction of the log: entries that a snapshot covers go, in short transactions that let writers in between."""

from dataclasses import dataclass
from itertools import islice

from crdt_sync.errors import StoreCorrupt
from crdt_sync.storage.lmdb import codec, reads
from crdt_sync.storage.lmdb.codec import LOG, HeadRow, State, seq_key
from crdt_sync.storage.lmdb.identity import STATE_KEY
from crdt_sync.storage.lmdb.reads import read_state
from crdt_sync.storage.lmdb.tables import Tables, Transaction

ENTRIES_MAX = 2000  # looked at in one transaction: a few milliseconds during which nobody else can commit


@dataclass(slots=True)
class Step:
    """What one transaction did; `next` is the seq to go on with, 0 at the end."""

    dropped: int = 0
    dropped_bytes: int = 0
    next: int = 0
    kept: int = 0


def step(transaction: Transaction, tables: Tables, start: int, before: int) -> tuple[Step, State]:
    """Look at the entries from `start` on, up to `before`, and drop those that are covered."""
    done = Step()
    rows: dict[str, HeadRow | None] = {}
    live: set[int] | None = None
    last = start - 1
    entries = list(islice(reads.walk(transaction, tables.log, seq_key(start)), ENTRIES_MAX))
    for key, value in entries:
        seq = int.from_bytes(key, "big")
        if seq >= before:
            break
        last = seq
        try:
            entry = codec.log_entry(seq, LOG.open(key, value))
        except StoreCorrupt:
            live = _live(transaction, tables) if live is None else live
            covered, size = seq not in live, len(value)
        else:
            if entry.record not in rows:
                rows[entry.record] = _row(transaction, tables, entry.record)
            covered, size = _covered(rows[entry.record], seq), len(entry.update)
        if covered:
            transaction.delete(key, db=tables.log)
            done.dropped += 1
            done.dropped_bytes += size
    done.next = last + 1 if len(entries) == ENTRIES_MAX and last >= start and last + 1 < before else 0
    done.kept = transaction.stat(tables.log)["entries"]
    return done, _remember(transaction, tables, last)


def _covered(row: HeadRow | None, seq: int) -> bool:
    """Entries of a quarantined record stay: they are what can be salvaged of it."""
    if row is None or seq > row.snapshot_seq:
        return False
    return not (row.snapshot_in_log and seq == row.snapshot_seq)


def _row(transaction: Transaction, tables: Tables, record: str) -> HeadRow | None:
    try:
        return reads.head(transaction, tables, record)
    except StoreCorrupt:
        return None


def _live(transaction: Transaction, tables: Tables) -> set[int]:
    """The seqs that some record needs. Needed only when a log entry is damaged: it cannot say whose it is."""
    live: set[int] = set()
    for key, value in reads.walk(transaction, tables.heads, b"\x00"):
        try:
            row = codec.head_row(key, value)
        except StoreCorrupt:
            continue
        live.add(row.snapshot_seq)
        seq = row.seq
        for _ in range(row.tail):
            live.add(seq)
            stored = transaction.get(seq_key(seq), db=tables.log)
            if stored is None or not LOG.matches(seq_key(seq), stored):
                break  # quarantine comes first; what lies before the damage is unreachable already
            seq = codec.log_previous(stored[codec.CHECKSUM_BYTES :])
    return live


def _remember(transaction: Transaction, tables: Tables, last: int) -> State:
    """Note how far compaction went: a hole beyond it is damage."""
    state = read_state(transaction, tables)
    if last > state.compacted:
        state = State(state.seq, last, state.link, state.root)
        transaction.put(STATE_KEY, state.value(STATE_KEY), db=tables.store)
    return state
