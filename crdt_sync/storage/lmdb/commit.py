"""One group commit: batches are gathered per record first and written once, so a busy record costs one row."""

from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import NamedTuple

from crdt_sync.errors import StoreCorrupt, UnknownRecord
from crdt_sync.storage.keys import ROOT_MODULUS, check_digest, check_key, check_meta_key, check_replica, leaf
from crdt_sync.storage.lmdb import audit, codec, dropping
from crdt_sync.storage.lmdb.codec import DOCS, FEED, INDEX, LOG, META, VIEWS, HeadRow, State, seq_key
from crdt_sync.storage.lmdb.identity import STATE_KEY, know_lineages
from crdt_sync.storage.lmdb.reads import read_state
from crdt_sync.storage.lmdb.recent import Touched
from crdt_sync.storage.lmdb.recent_rows import RecentRows
from crdt_sync.storage.lmdb.shown import Placing
from crdt_sync.storage.lmdb.tables import Table, Tables, Transaction
from crdt_sync.storage.places import Row
from crdt_sync.storage.values import Batch, Change, Committed, OutboxEntry, Root, lineage_after

_SEQ = attrgetter("seq")


class _Row:
    """One record during a commit: its key, the row as it will be, and what the row was."""

    __slots__ = ("digest_before", "doc", "doc_moved", "key", "known", "record", "row", "seq_before", "view")

    def __init__(self, record: str, key: bytes, row: HeadRow | None) -> None:
        self.record = record
        self.key = key
        self.known = row is not None
        self.row = row or HeadRow(0, b"", 0, 0, 0, None, False)
        self.seq_before = self.row.seq
        self.digest_before = self.row.digest
        self.doc: bytes | None = None  # a snapshot to write
        self.doc_moved = False  # the snapshot is in the log now, so the row in `docs` goes
        self.view: bytes | None = None


class Commit:
    """Applies batches inside one write transaction; `finish` returns the state that becomes true with it."""

    def __init__(self, transaction: Transaction, tables: Tables, state: State, packs: bool, rows: RecentRows) -> None:
        self._transaction = transaction
        self._tables = tables
        self._state = state
        self._packs = packs
        self._seq = state.seq
        self._link = state.link
        self._root_before = state.root
        self._compacted = state.compacted
        self._placing = Placing(transaction, tables, state.seq, rows) if tables.placed is not None else None
        self._log: list[tuple[bytes, bytes]] = []
        self._audit: list[bytes] = []
        self._touched: dict[str, _Row] = {}
        self._counts: dict[bytes, tuple[int, int]] = {}

    def apply(self, batch: Batch) -> Committed:
        """Take one batch in. Raises `InvalidRecordId`, `UnknownRecord`, `StoreCorrupt`."""
        seqs = tuple([self._change(change) for change in batch.changes])
        if batch.views or batch.digests:
            self._set_derived(batch)
        for peer in batch.peers:
            check_replica(peer.replica)
            self._transaction.put(peer.replica, codec.peer_value(peer), db=self._tables.peers)
        for replica in batch.forget_outbox:
            self._forget_outbox(replica)
        for replica, entry in batch.outbox:
            self._put_outbox(replica, entry)
        for replica, record, edit in batch.outbox_done:
            self._finish_outbox(replica, record, edit)
        for name, value in batch.meta.items():
            key = check_meta_key(name)
            if value is None:
                self._transaction.delete(key, db=self._tables.meta)
            else:
                self._transaction.put(key, META.close(key, value), db=self._tables.meta)
        if batch.placement is not None or batch.forms:
            self._place(batch)
        if batch.drop:
            self._drop(batch.drop)
        if batch.audit:
            self._audit.extend(batch.audit)
        return Committed(seqs)

    def finish(self) -> State:
        """Write everything gathered; the transaction can be committed then."""
        tables, touched = self._tables, [item for _, item in sorted(self._touched.items())]
        self._write_log()
        if self._audit:
            audit.append(self._transaction, tables, self._audit)
        self._write_feed(touched)
        self._put_all(tables.heads, [(item.key, item.row.value(item.key)) for item in touched])
        if any(item.row.lineage for item in touched):
            know_lineages(self._transaction, tables)
        docs = [(item.key, DOCS.close(item.key, item.doc, self._packs)) for item in touched if item.doc is not None]
        self._put_all(tables.docs, docs)
        for item in touched:
            if item.doc_moved and item.known:
                self._transaction.delete(item.key, db=tables.docs)
        views = [(item.key, VIEWS.close(item.key, item.view, self._packs)) for item in touched if item.view is not None]
        self._put_all(tables.views, views)
        self._leave_quarantine(touched)
        for replica, (total, refused) in self._counts.items():
            self._transaction.put(replica, codec.counts_value(replica, total, refused), db=tables.outbox_counts)
        state = State(self._seq, self._compacted, self._link, self._root(touched))
        if state != self._state:
            self._transaction.put(STATE_KEY, state.value(STATE_KEY), db=tables.store)
        if self._placing is not None:
            self._placing.finish(state.seq)
        return state

    def touched(self) -> list[Touched]:
        """The records of this commit, sorted by seq."""
        found = [
            Touched(item.record, item.row.seq, item.row.digest, item.row.seq != item.seq_before)
            for item in self._touched.values()
        ]
        return sorted(found, key=_SEQ)

    def rows(self) -> dict[bytes, Row]:
        """What the records of this commit show after it, where that is kept."""
        return {} if self._placing is None else self._placing.rows

    # --- records ---

    def _touch(self, record: str) -> _Row:
        """The record in this commit, read at its first use."""
        check_key(record)
        key = record.encode("ascii")
        value = self._transaction.get(key, db=self._tables.heads)
        row = None if value is None else codec.head_row(key, value)
        touched = _Row(record, key, row)
        if row is not None:
            self._touched[record] = touched
        else:
            touched.row.scattered = self._transaction.get(key, db=self._tables.quarantine) is not None
        return touched

    def _change(self, change: Change) -> tuple[int, ...]:
        record = change.record
        touched = self._touched.get(record) or self._touch(record)
        row = touched.row
        if change.digest is not None:
            check_digest(change.digest)
        new = not row.seq
        if change.lineage is not None or new:
            row.lineage = lineage_after(change, None if new else row.lineage)
        if change.updates:
            self._touched[record] = touched
            seqs = self._append(change, touched.key, row)
            if self._placing is not None:
                self._placing.changed(touched.key, change, seqs[0], row.seq, new=new)
            if change.snapshot is None:
                row.tail += len(seqs)
                row.tail_bytes += sum(map(len, change.updates))
            row.digest = change.digest
        elif row.seq == 0:
            raise UnknownRecord(record)
        else:
            seqs = ()
            row.digest = change.digest or row.digest
        row.state_vector = change.state_vector
        if change.snapshot is not None:
            row.snapshot_seq, row.tail, row.tail_bytes = row.seq, 0, 0
            row.snapshot_in_log = bool(seqs) and change.snapshot == change.updates[-1]
            touched.doc_moved = row.snapshot_in_log
            touched.doc = None if row.snapshot_in_log else change.snapshot
        if change.view is not None:
            touched.view = change.view
        return seqs

    def _append(self, change: Change, key: bytes, row: HeadRow) -> tuple[int, ...]:
        """Link the updates into the log and into the record's own list."""
        check_replica(change.origin)
        actor, brought_by = change.actor.encode("utf-8"), change.brought_by
        link, seq, previous = self._link, self._seq, 0 if change.renewed else row.seq
        row.scattered = row.scattered or previous != row.seq
        first = seq + 1
        for update in change.updates:
            if brought_by:
                actor = brought_by[seq - first + 1].encode("utf-8")
            seq += 1
            body = codec.log_body(link, previous, change.received_at, change.origin, key, actor, update)
            log_key = seq.to_bytes(8, "big")
            value = LOG.close(log_key, body, self._packs)
            link, previous = value[: codec.CHECKSUM_BYTES], seq
            self._log.append((log_key, value))
        self._link, self._seq, row.seq = link, seq, seq
        return tuple(range(first, seq + 1))

    def _set_derived(self, batch: Batch) -> None:
        for record, view in batch.views.items():
            touched = self._touched.get(record) or self._touch(record)
            touched.view = view
        for record, digest in batch.digests.items():
            check_digest(digest)
            touched = self._touched.get(record) or self._touch(record)
            touched.row.digest = digest

    def _place(self, batch: Batch) -> None:
        if self._placing is None:
            return
        if batch.placement is not None:
            self._placing.begin(batch.placement, self._seq)
        for record, (seq, forms) in batch.forms.items():
            touched = self._touched.get(record) or self._touch(record)
            if touched.row.seq and touched.row.seq == seq:
                self._placing.read_anew(touched.key, forms, self._seq)

    def _drop(self, records: Sequence[str]) -> None:
        """Take records out. What this commit has gathered of them is written before, as it may have updates of them."""
        self._write_log()
        gone = [self._touched.get(record) or self._touch(record) for record in dict.fromkeys(records)]
        for item in gone:
            self._touched.pop(item.record, None)
        taken = dropping.drop(self._transaction, self._tables, [(each.key, each.row) for each in gone])
        self._compacted = max(self._compacted, taken)
        root = self._root_before
        for item in gone:
            self._transaction.delete(seq_key(item.seq_before), db=self._tables.feed)
            if item.digest_before is not None:
                root = Root(
                    root.count - 1, (root.sum - leaf(item.record, item.digest_before)) % ROOT_MODULUS, root.stale
                )
            elif item.known:
                root = Root(root.count, root.sum, root.stale - 1)
            if self._placing is not None:
                self._placing.drop(item.key)
            for replica in dropping.owed(self._transaction, self._tables, self._counts):
                self._finish_outbox(replica, item.record, None)
        self._root_before = root

    # --- writing ---

    def _write_log(self) -> None:
        self._put_all(self._tables.log, self._log, append=True)
        self._log = []

    def _put_all(self, table: Table, items: list[tuple[bytes, bytes]], append: bool = False) -> None:
        if items:
            with self._transaction.cursor(db=table) as cursor:
                cursor.putmulti(items, append=append)

    def _write_feed(self, touched: Iterable[_Row]) -> None:
        moved = [item for item in touched if item.row.seq != item.seq_before]
        for item in moved:
            if item.seq_before:
                self._transaction.delete(seq_key(item.seq_before), db=self._tables.feed)
        entries = [(seq_key(item.row.seq), item.key) for item in moved]
        entries.sort()
        self._put_all(self._tables.feed, [(key, FEED.close(key, name)) for key, name in entries], append=True)

    def _leave_quarantine(self, touched: Iterable[_Row]) -> None:
        if self._transaction.stat(self._tables.quarantine)["entries"]:
            for item in touched:
                self._transaction.delete(item.key, db=self._tables.quarantine)

    def _root(self, touched: Iterable[_Row]) -> Root:
        root = self._root_before
        count, total, stale = root.count, root.sum, root.stale
        for item in touched:
            before, digest = item.digest_before, item.row.digest
            if before is not None and before != digest:
                total -= leaf(item.record, before)
            if digest is not None and before != digest:
                total += leaf(item.record, digest)
            count += (digest is not None) - (before is not None)
            was_stale = item.known and before is None
            if digest is None and not was_stale:
                self._transaction.put(item.key, b"", db=self._tables.stale)
                stale += 1
            elif digest is not None and was_stale:
                self._transaction.delete(item.key, db=self._tables.stale)
                stale -= 1
        return Root(count, total % ROOT_MODULUS, stale)

    # --- outboxes ---

    def _count(self, replica: bytes) -> tuple[int, int]:
        counts = self._counts.get(replica)
        if counts is None:
            value = self._transaction.get(replica, db=self._tables.outbox_counts)
            counts = (0, 0) if value is None else codec.counts(replica, value)
        return counts

    def _put_outbox(self, replica: bytes, entry: OutboxEntry) -> None:
        check_replica(replica)
        check_key(entry.record)
        key = codec.outbox_key(replica, entry.record)
        total, refused = self._count(replica)
        value = codec.outbox_value(key, entry)
        before = self._transaction.get(key, db=self._tables.outbox)
        if before is None:
            total += 1
        else:
            refused -= codec.outbox_refused(before)
        self._counts[replica] = (total, refused + codec.outbox_refused(value))
        self._transaction.put(key, value, db=self._tables.outbox)

    def _finish_outbox(self, replica: bytes, record: str, edit: int | None) -> None:
        """Take an entry out where it is of that edit, or of whichever."""
        key = codec.outbox_key(replica, record)
        value = self._transaction.get(key, db=self._tables.outbox)
        if value is None:
            return
        try:
            entry = codec.outbox_entry(key, value)
        except StoreCorrupt:
            return  # kept until it is repaired: better to send once more than to forget an edit
        if edit is None or entry.edit == edit:
            total, refused = self._count(replica)
            self._counts[replica] = (total - 1, refused - (entry.refusal is not None))
            self._transaction.delete(key, db=self._tables.outbox)

    def _forget_outbox(self, replica: bytes) -> None:
        check_replica(replica)
        with self._transaction.cursor(db=self._tables.outbox) as cursor:
            found = cursor.set_range(replica)
            while found and cursor.key().startswith(replica):
                found = cursor.delete()
        self._counts[replica] = (0, 0)


class Done(NamedTuple):
    """What a commit gave to each batch, the records that it touched, sorted by seq, and what they show."""

    committed: list[Committed]
    touched: list[Touched]
    rows: dict[bytes, Row]


def run(
    transaction: Transaction, tables: Tables, batches: Sequence[Batch], *, packs: bool, rows: RecentRows
) -> tuple[Done, State]:
    """Apply all batches and write them; the state returned is true once the transaction is committed.

    `packs`: see `Identity`. `rows` are those of what records show that are in memory.
    """
    commit = Commit(transaction, tables, read_state(transaction, tables), packs, rows)
    committed = [commit.apply(batch) for batch in batches]
    state = commit.finish()
    return Done(committed, commit.touched(), commit.rows()), state


def keep_index(transaction: Transaction, tables: Tables, pages: Sequence[bytes]) -> tuple[None, State]:
    """Replace the pages of the caller's index; the state stays as it is."""
    transaction.drop(tables.index, delete=False)
    for number, page in enumerate(pages):
        key = seq_key(number)
        transaction.put(key, INDEX.close(key, page), db=tables.index)
    return None, read_state(transaction, tables)
