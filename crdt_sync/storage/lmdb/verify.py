"""Verification: every seal, the chain of the log, and that everything derived follows from the heads.

LMDB has no checksums of its own pages: a bit that flips in one may hide rows, lead whoever looks for a key elsewhere,
or rename a database, which is then made anew, empty. So each row that a walk comes by must be found by its key as
well, there must be as many as LMDB has counted, and no database may be there that is not ours.
"""

from collections.abc import Callable, Iterator

from crdt_sync.audit_log.chain import is_sealed
from crdt_sync.errors import StoreCorrupt
from crdt_sync.storage.keys import FINDINGS_MAX, ROOT_MODULUS, leaf
from crdt_sync.storage.lmdb import codec, reads, shown
from crdt_sync.storage.lmdb.codec import CHECKSUM_BYTES, FEED, LOG, Seal, State, key_text
from crdt_sync.storage.lmdb.encrypted import encrypted
from crdt_sync.storage.lmdb.environment import strangers
from crdt_sync.storage.lmdb.identity import FORMAT_KEY, KEY_ID_KEY, LIVES_KEY, REPLICA_KEY, STATE_KEY
from crdt_sync.storage.lmdb.reads import read_state
from crdt_sync.storage.lmdb.tables import PlaceTables, Table, Tables, Transaction
from crdt_sync.storage.values import Finding, Root, VerifyReport


class Verification:
    """One walk over a store inside one read transaction."""

    def __init__(self, transaction: Transaction, tables: Tables) -> None:
        self._transaction = transaction
        self._tables = tables
        self._checked = 0
        self._findings: dict[str, Finding] = {}

    def run(self) -> VerifyReport:
        """Check everything; findings come in the order of the checks, those that name a record first."""
        self._databases()
        state = self._state()
        stale = self._heads(state)
        self._feed()
        self._stale(stale)
        self._log(state)
        tables = self._tables
        self._sealed(codec.VIEWS, tables.views)
        self._sealed(codec.PEERS, tables.peers)
        self._sealed(codec.INDEX, tables.index)
        set_aside = 0
        if tables.damaged is not None:
            self._sealed(codec.DAMAGED, tables.damaged)
            set_aside = self._transaction.stat(tables.damaged)["entries"]
        self._sealed(codec.META, tables.meta)
        if tables.audit is not None:
            self._audit(tables.audit)
        self._outboxes()
        if tables.placed is not None:
            self._places(tables.placed)
        return VerifyReport(self._checked, tuple(self._findings.values()), set_aside)

    def _found(self, database: str, key: bytes, problem: str, record: str | None = None) -> None:
        if len(self._findings) < FINDINGS_MAX:
            finding = Finding(database, key_text(key), problem, record)
            self._findings.setdefault(f"{database} {finding.key} {problem}", finding)

    def _try(self, database: str, key: bytes, check: Callable[..., object], *arguments: object) -> bool:
        self._checked += 1
        try:
            check(*arguments)
        except StoreCorrupt as error:
            self._found(database, key, error.message, error.record)
            return False
        return True

    def _databases(self) -> None:
        for name in strangers(self._transaction):
            self._found(key_text(name), b"*", "is no database of a store; one of them was renamed")

    def _rows(self, database: str, table: Table) -> Iterator[tuple[bytes, bytes]]:
        count = 0
        for key, value in reads.walk(self._transaction, table, b"\x00"):
            count += 1
            if self._transaction.get(key, db=table) != value:
                self._found(database, key, "is not found by its key")
            yield key, value
        expected = self._transaction.stat(table)["entries"]
        if count != expected:
            self._found(database, b"*", f"has {count} entries that can be read, of {expected}")

    def _state(self) -> State | None:
        tables = self._tables
        known = () if encrypted(self._transaction) is None else (KEY_ID_KEY,)
        for key in (FORMAT_KEY, REPLICA_KEY, LIVES_KEY, *known):
            value = self._transaction.get(key, b"", db=tables.store)
            self._try("store", key, codec.STORE.open, key, value)
        if not self._try("store", STATE_KEY, read_state, self._transaction, tables):
            return None
        return read_state(self._transaction, tables)

    def _heads(self, state: State | None) -> list[bytes]:
        """Every record with all it needs to be loaded; returns the keys without a digest."""
        stale: list[bytes] = []
        count = total = 0
        damaged = False
        for key, value in self._rows("heads", self._tables.heads):
            record = key.decode("ascii", "replace")
            if not self._try("heads", key, codec.head_row, key, value):
                damaged = True
                continue
            self._try("heads", key, reads.stored, self._transaction, self._tables, record)
            row = codec.head_row(key, value)
            if row.digest is None:
                stale.append(key)
            else:
                count += 1
                total += leaf(record, row.digest)
        root = Root(count, total % ROOT_MODULUS, len(stale))
        if state is not None and not damaged and state.root != root:
            self._found("store", STATE_KEY, "aggregates do not match the heads")
        return stale

    def _feed(self) -> None:
        after, entries = 0, 0
        for key, value in self._rows("feed", self._tables.feed):
            entries += 1
            if self._try("feed", key, FEED.open, key, value):
                after = int.from_bytes(key, "big") - 1
                self._try("feed", key, reads.feed, self._transaction, self._tables, after, 1)
        if entries != self._transaction.stat(self._tables.heads)["entries"]:
            self._found("feed", b"*", "does not have one entry for each record")

    def _stale(self, expected: list[bytes]) -> None:
        found = list(self._rows("stale", self._tables.stale))
        if found != [(key, b"") for key in expected]:
            self._found("stale", b"*", "does not list exactly the records without a digest")

    def _log(self, state: State | None) -> None:
        """Seals, links to the entry before, and holes where compaction has never been."""
        seq_before, checksum_before = 0, codec.LINK_FIRST
        compacted = 0 if state is None else state.compacted
        for key, value in self._rows("log", self._tables.log):
            seq = int.from_bytes(key, "big")
            intact = self._try("log", key, LOG.open, key, value)
            if seq == seq_before + 1:
                if intact and codec.log_link(value[CHECKSUM_BYTES:]) != checksum_before:
                    self._found("log", key, "is not linked to the entry before it")
            elif seq_before + 1 > compacted or seq - 1 > compacted:
                self._found("log", key, f"entries {seq_before + 1} to {seq - 1} before it are missing")
            seq_before, checksum_before = seq, value[:CHECKSUM_BYTES]
        if state is None:
            return
        if seq_before == state.seq and checksum_before != state.link:
            self._found("log", codec.seq_key(seq_before), "is not the entry that was written last")
        if seq_before > state.seq or (seq_before < state.seq and state.seq > compacted):
            self._found("log", codec.seq_key(state.seq), f"the log ends at {seq_before} instead")

    def _places(self, tables: PlaceTables) -> None:
        expected: set[bytes] = set()
        for key, value in self._rows("shown", tables.shown):
            if self._try("shown", key, shown.SHOWN.open, key, value, key.decode("ascii", "replace")):
                expected.update(shown.keys_of(self._transaction, tables, key))
        found = {key for key, _ in self._rows("places", tables.places)}
        if found != expected:
            self._found("places", b"*", "does not list exactly the records that are there")

    def _audit(self, table: Table) -> None:
        """Each entry by itself; what is missing, and whether they fit, is for `crdt-relay audit verify` to say."""
        for key, value in self._rows("audit", table):
            self._checked += 1
            if not is_sealed(int.from_bytes(key, "big"), value):
                self._found("audit", key, "does not match its seal")

    def _sealed(self, seal: Seal, table: Table) -> None:
        for key, value in self._rows(seal.database, table):
            self._try(seal.database, key, seal.open, key, value)

    def _outboxes(self) -> None:
        self._sealed(codec.OUTBOX, self._tables.outbox)
        counts: dict[bytes, tuple[int, int]] = {}
        for key, value in reads.walk(self._transaction, self._tables.outbox, b"\x00"):
            total, refused = counts.get(key[:16], (0, 0))
            counts[key[:16]] = (total + 1, refused + codec.outbox_refused(value))
        for key, value in self._rows("outbox_counts", self._tables.outbox_counts):
            counted = counts.pop(key, (0, 0))
            intact = self._try("outbox_counts", key, codec.counts, key, value)
            if intact and codec.counts(key, value) != counted:
                self._found("outbox_counts", key, "does not match its outbox")
        for key in counts:
            self._found("outbox_counts", key, "is missing")


def verify(transaction: Transaction, tables: Tables) -> VerifyReport:
    """Check a whole store."""
    return Verification(transaction, tables).run()
