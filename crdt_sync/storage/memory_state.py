"""What the store in memory holds, and how a batch changes it: the plainest statement of what a commit means."""

import copy
from bisect import bisect_left, insort
from collections.abc import Sequence
from dataclasses import dataclass, field, fields

from crdt_sync.audit_log.chain import LINK_FIRST, chained, seal_of
from crdt_sync.errors import UnknownRecord
from crdt_sync.ids import Space
from crdt_sync.storage.keys import ROOT_MODULUS, check_digest, check_key, check_meta_key, check_replica, leaf
from crdt_sync.storage.lives import Lives
from crdt_sync.storage.memory_places import MemoryPlaces
from crdt_sync.storage.values import Batch, Change, Committed, Head, LogEntry, OutboxEntry, Peer, lineage_after


@dataclass(slots=True)
class MemoryState:
    """Everything that a disk would hold."""

    lives: Lives
    space: Space | None = None  # the one that was joined
    seq: int = 0
    log: dict[int, LogEntry] = field(default_factory=dict)
    heads: dict[str, Head] = field(default_factory=dict)
    snapshots: dict[str, bytes] = field(default_factory=dict)
    in_log: set[str] = field(default_factory=set)  # records whose snapshot is their newest covered log entry
    seqs: dict[str, list[int]] = field(default_factory=dict)  # of each record's updates still in the log
    names: list[str] = field(default_factory=list)  # the records, sorted
    feed: dict[int, str] = field(default_factory=dict)
    feed_seqs: list[int] = field(default_factory=list)  # the keys of the feed, ascending
    digests: dict[str, bytes] = field(default_factory=dict)
    sum: int = 0
    views: dict[str, bytes] = field(default_factory=dict)
    peers: dict[bytes, Peer] = field(default_factory=dict)
    outboxes: dict[bytes, dict[str, OutboxEntry]] = field(default_factory=dict)
    meta: dict[str, bytes] = field(default_factory=dict)
    quarantined: set[str] = field(default_factory=set)
    scattered: set[str] = field(default_factory=set)  # records of which the log may hold more than `seqs`
    index: tuple[bytes, ...] = ()
    places: MemoryPlaces = field(default_factory=MemoryPlaces)
    audit: dict[int, bytes] = field(default_factory=dict)  # by number, ascending

    def clone(self) -> "MemoryState":
        """A copy that shares only values that never change."""
        values = {name.name: copy.copy(getattr(self, name.name)) for name in fields(self)}
        twin = MemoryState(**values)
        twin.seqs = {record: list(seqs) for record, seqs in self.seqs.items()}
        twin.outboxes = {replica: dict(outbox) for replica, outbox in self.outboxes.items()}
        twin.places = self.places.clone()
        return twin

    def check(self, batches: Sequence[Batch]) -> None:
        """Raise what is wrong with any of the batches, before anything is changed."""
        coming: dict[str, int] = {}
        dropped: set[str] = set()
        for batch in batches:
            for change in batch.changes:
                check_key(change.record)
                check_digest(change.digest)
                check_replica(change.origin)
                head = None if change.record in dropped else self.heads.get(change.record)
                if not change.updates and head is None and change.record not in coming:
                    raise UnknownRecord(change.record)
                before = coming.get(change.record, head.lineage if head else None)
                coming[change.record] = lineage_after(change, before)
            for record in batch.drop:
                dropped.add(record)
                coming.pop(record, None)
        for batch in batches:
            for replica, entry in batch.outbox:
                check_key(entry.record)
                check_replica(replica)
            for replica in (*batch.forget_outbox, *(peer.replica for peer in batch.peers)):
                check_replica(replica)
            for digest in batch.digests.values():
                check_digest(digest)
            for record in (*batch.digests, *batch.views, *batch.forms, *batch.drop):
                check_key(record)
            for key in batch.meta:
                check_meta_key(key)

    def apply(self, batch: Batch) -> Committed:
        """Apply one batch that was checked."""
        seqs = tuple(self._change(change) for change in batch.changes)
        self.views.update({name: view for name, view in batch.views.items() if name in self.heads})
        for record, digest in batch.digests.items():
            if record in self.heads:
                self.set_digest(record, digest)
        self.peers.update({peer.replica: peer for peer in batch.peers})
        for replica in batch.forget_outbox:
            self.outboxes.pop(replica, None)
        for replica, entry in batch.outbox:
            self.outboxes.setdefault(replica, {})[entry.record] = entry
        for replica, record, edit in batch.outbox_done:
            outbox = self.outboxes.get(replica, {})
            if record in outbox and outbox[record].edit == edit:
                del outbox[record]
        for key, value in batch.meta.items():
            if value is None:
                self.meta.pop(key, None)
            else:
                self.meta[key] = value
        if batch.placement is not None:
            self.places.begin(batch.placement, self.seq)
        for record, (seq, forms) in batch.forms.items():
            if record in self.heads and self.heads[record].seq == seq:
                self.places.read_anew(record, forms, self.seq)
        for record in batch.drop:
            self._drop(record)
        if batch.audit:
            self.audit.update(chained(*self.audit_head(), batch.audit))
        return Committed(seqs)

    def _drop(self, record: str) -> None:
        head = self.heads.get(record)
        seqs = self.seqs.get(record, [])
        if record in self.quarantined | self.scattered or (head is not None and head.lineage):
            seqs = [seq for seq, entry in self.log.items() if entry.record == record]
        for seq in seqs:
            del self.log[seq]
        self.quarantined.discard(record)
        self.forget(record)
        self.places.drop(record)
        for outbox in self.outboxes.values():
            outbox.pop(record, None)

    def forget(self, record: str) -> None:
        """Take a record out; its log entries stay."""
        if record in self.heads:
            self.set_digest(record, None)
            self.drop_feed(self.heads[record].seq)
            self.names.remove(record)
            self.in_log.discard(record)
            self.scattered.discard(record)
            del self.heads[record], self.seqs[record]
            self.snapshots.pop(record, None)
            self.views.pop(record, None)

    def audit_head(self) -> tuple[int, bytes]:
        """The number and the seal of the last entry of the audit log."""
        if not self.audit:
            return 0, LINK_FIRST
        number = next(reversed(self.audit))
        return number, seal_of(self.audit[number])

    def _change(self, change: Change) -> tuple[int, ...]:
        record = change.record
        if record not in self.heads:
            insort(self.names, record)
            self.heads[record] = Head(0, change.state_vector, 0, 0, 0)
            self.seqs[record] = []
            if record in self.quarantined:
                self.scattered.add(record)
                self.quarantined.discard(record)
        head = self.heads[record]
        seqs = tuple(range(self.seq + 1, self.seq + 1 + len(change.updates)))
        if seqs:
            self.places.changed(change, seqs[0], seqs[-1], new=not head.seq)
        previous = 0 if change.renewed else head.seq
        actors = change.brought_by or (change.actor,) * len(seqs)
        for seq, update, actor in zip(seqs, change.updates, actors, strict=True):
            self.log[seq] = LogEntry(seq, record, update, change.origin, actor, change.received_at, previous)
            previous = seq
        if seqs:
            if change.renewed:
                self.scattered.update((record,) if head.seq else ())
                self.seqs[record] = []
            self.seqs[record].extend(seqs)
            self.drop_feed(head.seq)
            self.feed[seqs[-1]] = record
            self.feed_seqs.append(seqs[-1])
            self.seq = seqs[-1]
        last = self.seq if seqs else head.seq
        lineage = lineage_after(change, head.lineage if head.seq else None)
        tail, tail_bytes = head.tail + len(seqs), head.tail_bytes + sum(map(len, change.updates))
        if change.snapshot is None:
            self.heads[record] = Head(last, change.state_vector, head.snapshot_seq, tail, tail_bytes, lineage)
        else:
            self.heads[record] = Head(last, change.state_vector, last, 0, 0, lineage)
            self.snapshots[record] = change.snapshot
            self.in_log.discard(record)
            if seqs and change.snapshot == change.updates[-1]:
                self.in_log.add(record)
        if change.view is not None:
            self.views[record] = change.view
        if seqs or change.digest is not None:
            self.set_digest(record, change.digest)
        return seqs

    def drop_feed(self, seq: int) -> None:
        """Take an entry out of the feed, if it is there."""
        if seq in self.feed:
            del self.feed[seq]
            del self.feed_seqs[bisect_left(self.feed_seqs, seq)]

    def set_digest(self, record: str, digest: bytes | None) -> None:
        """Replace the digest of a record and keep the sum right."""
        old = self.digests.pop(record, None)
        if old is not None:
            self.sum = (self.sum - leaf(record, old)) % ROOT_MODULUS
        if digest is not None:
            self.digests[record] = digest
            self.sum = (self.sum + leaf(record, digest)) % ROOT_MODULUS
