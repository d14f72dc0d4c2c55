"""What fails its checksum is set aside, so that it is found once and not for ever.

A damaged value goes from its database into `damaged`, under the name of its database, NUL and its key, with the time,
for somebody to look at; there is room for `DAMAGED_BYTES_MAX`, and what comes later is dropped. So does what is intact
of a record that is taken out, whatever the room: it takes no more than where it was. Where a log entry was, the log has
a hole, as after compaction. `Environment.make_aside` is to be called before anything here.
"""

import struct
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Literal

from crdt_sync.audit_log.chain import is_sealed
from crdt_sync.errors import StoreCorrupt
from crdt_sync.ids import is_record
from crdt_sync.limits import DAMAGED_BYTES_MAX
from crdt_sync.storage.keys import KEY_BYTES_MAX
from crdt_sync.storage.lmdb import codec, reads
from crdt_sync.storage.lmdb.codec import CHECKSUM_BYTES, DAMAGED, State, key_text, seq_key
from crdt_sync.storage.lmdb.identity import STATE_KEY
from crdt_sync.storage.lmdb.rebuild import derive, mend_outboxes
from crdt_sync.storage.lmdb.rebuild import forget as forget_record
from crdt_sync.storage.lmdb.rebuild import rebuild as rebuild_derived
from crdt_sync.storage.lmdb.tables import Table, Tables, Transaction

_TIME = struct.Struct(">q")
_PACKING = {seal.database.encode("ascii"): seal for seal in (codec.LOG, codec.DOCS, codec.VIEWS)}


@dataclass(frozen=True, slots=True)
class SetAside:
    """A value that was set aside: where it was, when that was found (µs since 1970), and its bytes as they are.

    `record` is whose it was; None where it was nobody's, or that cannot be told. `legible` is what can be read of the
    bytes, where they may have been packed.
    """

    database: str
    key: str
    record: str | None
    at: int
    value: bytes
    legible: bytes


def listed(transaction: Transaction, tables: Tables) -> list[SetAside]:
    """Everything that was set aside, by database and key. Raises `StoreCorrupt`."""
    return [_listed(name, DAMAGED.open(name, body)) for name, body in _rows(transaction, tables)]


def _rows(transaction: Transaction, tables: Tables) -> list[tuple[bytes, bytes]]:
    return [] if tables.damaged is None else sorted(reads.walk(transaction, tables.damaged, b"\x00"))


def _listed(name: bytes, body: bytes) -> SetAside:
    database, _, key = name.partition(b"\0")
    value = body[_TIME.size :]
    if database == b"log":
        record = codec.log_record(value[CHECKSUM_BYTES:])
    else:
        record = (key[16:] if database == b"outbox" else key).decode("ascii", "replace")
    whose = record if record is not None and is_record(record) else None
    seal = _PACKING.get(database)
    legible = value[CHECKSUM_BYTES:] if seal is None else seal.legible(value)
    at = _TIME.unpack_from(body)[0]
    return SetAside(database.decode("ascii", "replace"), key_text(key), whose, at, value, legible)


class _Aside:
    """Moves values into `damaged` as long as there is room."""

    def __init__(self, transaction: Transaction, tables: Tables, now: int) -> None:
        self._transaction = transaction
        self._tables = tables
        self._time = _TIME.pack(now)
        self._room: int | None = None  # not looked at yet

    def keep(self, database: str, key: bytes, value: bytes, *, always: bool = False) -> None:
        """Keep a copy, `always` or if there is room."""
        size = len(key) + len(value)
        if self._room is None:
            used = sum(len(k) + len(v) for k, v in _rows(self._transaction, self._tables))
            self._room = DAMAGED_BYTES_MAX - used
        if always or size <= self._room:
            self._room -= size
            assert self._tables.damaged is not None
            name = (database.encode("ascii") + b"\0" + key)[:KEY_BYTES_MAX]
            self._transaction.put(name, DAMAGED.close(name, self._time + value), db=self._tables.damaged)

    def sweep(self, database: str, table: Table, matches: Callable[[bytes, bytes], bool]) -> list[bytes]:
        """Set aside every row that does not match; returns their keys."""
        found = [key for key, value in reads.walk(self._transaction, table, b"\x00") if not matches(key, value)]
        for key in found:
            self.move(database, table, key)
        return found

    def copy(self, database: str, table: Table, matches: Callable[[bytes, bytes], bool]) -> list[bytes]:
        """Keep a copy of every row that does not match, which stays where it is; returns their keys."""
        found = [key for key, value in reads.walk(self._transaction, table, b"\x00") if not matches(key, value)]
        for key in found:
            self.keep(database, key, self._transaction.get(key, b"", db=table))
        return found

    def move(self, database: str, table: Table, key: bytes) -> None:
        """Set one value aside, if it is there."""
        value = self._transaction.pop(key, db=table)
        if value is not None:
            self.keep(database, key, value)


def mend(
    transaction: Transaction, tables: Tables, database: Literal["meta", "peers", "outbox"], now: int
) -> tuple[tuple[str, ...], State]:
    """See `Store.mend`."""
    aside = _Aside(transaction, tables, now)
    match database:
        case "meta":
            found = aside.sweep(database, tables.meta, codec.META.matches)
        case "peers":
            found = aside.sweep(database, tables.peers, codec.PEERS.matches)
        case "outbox":
            found = aside.copy(database, tables.outbox, codec.OUTBOX.matches)
            mend_outboxes(transaction, tables)
    return tuple(key_text(key) for key in found), reads.read_state(transaction, tables)


def forget(
    transaction: Transaction, tables: Tables, records: Collection[str], healed: Collection[str], now: int
) -> None:
    """Take records out. Of those that do not come back at once, everything is kept aside, of others what is damaged."""
    aside = _Aside(transaction, tables, now)
    for record in records:
        key = reads.record_key(record)
        for seal, table in ((codec.HEADS, tables.heads), (codec.DOCS, tables.docs), (codec.VIEWS, tables.views)):
            value = transaction.get(key, db=table)
            if value is not None and (record not in healed or not seal.matches(key, value)):
                aside.keep(seal.database, key, value, always=record not in healed and seal.matches(key, value))
        for seq in () if record in healed else _seqs(transaction, tables, record):
            aside.keep("log", seq_key(seq), transaction.get(seq_key(seq), b"", db=tables.log), always=True)
        forget_record(transaction, tables, key)
    derive(transaction, tables)


def _seqs(transaction: Transaction, tables: Tables, record: str) -> list[int]:
    """Where in the log stands what is stored of a record: its tail, and its snapshot where that is an entry."""
    try:
        row = reads.head(transaction, tables, record)
        history = reads.history(transaction, tables, record)
    except StoreCorrupt:
        return []  # what is sound stays in the log until the record comes back
    if row is None:
        return []
    return [entry.seq for entry in history if entry.seq >= row.snapshot_seq + (not row.snapshot_in_log)]


def rebuild(transaction: Transaction, tables: Tables, now: int) -> tuple[tuple[str, ...], State]:
    """Set aside every damaged value, and derive the rest anew; see `Store.rebuild`."""
    aside = _Aside(transaction, tables, now)
    aside.copy("heads", tables.heads, codec.HEADS.matches)  # their records are quarantined below
    for seal, table in (
        (codec.DOCS, tables.docs), (codec.VIEWS, tables.views), (codec.PEERS, tables.peers), (codec.META, tables.meta),
    ):  # fmt: skip
        aside.sweep(seal.database, table, seal.matches)
    aside.copy("outbox", tables.outbox, codec.OUTBOX.matches)  # the entries are mended below
    if tables.audit is not None:  # what is missing then is found by whoever verifies the audit log, as it must be
        aside.sweep("audit", tables.audit, lambda key, value: is_sealed(int.from_bytes(key, "big"), value))
    for key, value in _rows(transaction, tables):
        if tables.damaged is not None and not DAMAGED.matches(key, value):
            transaction.delete(key, db=tables.damaged)
    for seq in [seq for seq, _, sound in reads.judged_log(transaction, tables) if not sound]:
        aside.move("log", tables.log, seq_key(seq))
    lost, state = rebuild_derived(transaction, tables)
    state = _with_holes(transaction, tables, state)
    transaction.put(STATE_KEY, state.value(STATE_KEY), db=tables.store)
    return lost, state


def _with_holes(transaction: Transaction, tables: Tables, state: State) -> State:
    """The state of a log that has holes: they count as compacted, and the log ends where its last entry does."""
    seq, link, compacted = 0, state.link, state.compacted
    for key, value in reads.walk(transaction, tables.log, seq_key(1)):
        if int.from_bytes(key, "big") != seq + 1:
            compacted = max(compacted, int.from_bytes(key, "big") - 1)
        seq, link = int.from_bytes(key, "big"), value[:CHECKSUM_BYTES]
    if seq < state.seq:
        return State(state.seq, state.seq, state.link, state.root)
    return State(seq, compacted, link if seq > state.seq else state.link, state.root)
