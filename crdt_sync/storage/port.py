"""What a store holds and does: the values that cross its boundary and the `Store` protocol.

Rules that every store keeps, checked by one conformance suite (tests/storage):

1. `commit` is all or nothing and durable when it returns. One that raised changed nothing, except that after
   `StoreFailed` it may nevertheless be found whole: the disk failed while it was written.
2. Sequence numbers start at 1 and rise by one with each update. What a number of an epoch means never changes: where
   history was lost, `reach` says up to which number that epoch's history is still the one that is here.
3. The feed holds one entry per record, the newest. Compaction never touches it.
4. The root aggregates equal what a walk over all records would give, after every commit.
5. What is read is what was written, or `StoreCorrupt`.
6. What a record loads is of one lineage: only a change that is `renewed` leads into another.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

from crdt_sync.ids import Space
from crdt_sync.storage.lives import Lives

SEVERAL_ORIGINS = bytes(16)  # the `origin` of updates that came together from several replicas


class Change(NamedTuple):
    """Updates of one record that were integrated together, and what the record is after them.

    `origin` is the 16-byte id of the replica that the updates came from, or `SEVERAL_ORIGINS`; `received_at` is in
    microseconds since 1970 and `state_vector` describes the record after these updates. `snapshot` is the whole state
    after them: it replaces the stored snapshot and covers everything up to the last of these updates, so the
    tail is empty. `view` replaces the stored view; None keeps it. `digest` None marks the record's digest as
    stale.

    `renewed` says that the updates are the whole record, in the place of what was stored: the record's history begins
    with them, though what was there before stays in the log until compaction. `lineage` is the one that the record is
    in then (0: the first; see `crdt_sync/records/lineage.py`), None for the one that it was in: another one takes a
    change that is `renewed` and brings a snapshot.

    Without updates the record's content stays as it is: `snapshot`, `state_vector`, `view` and a given
    `digest` are taken over, and the record must exist.
    """

    record: str
    updates: tuple[bytes, ...]
    origin: bytes
    actor: str
    received_at: int
    state_vector: bytes
    snapshot: bytes | None = None
    view: bytes | None = None
    digest: bytes | None = None
    renewed: bool = False
    lineage: int | None = None


def lineage_after(change: Change, before: int | None) -> int:
    """The lineage of a record after a change of it; `before` is None where the record is new.

    Raises `ValueError` where it would load updates of two lineages.
    """
    if change.lineage is None:
        return before or 0
    if before not in (None, change.lineage) and not (change.renewed and change.updates and change.snapshot is not None):
        raise ValueError(f"{change.record} goes into another lineage without being renewed")
    return change.lineage


@dataclass(frozen=True, slots=True)
class OutboxEntry:
    """A record that a partner does not hold completely yet.

    `acknowledged` is the state vector that the partner is known to have, `edit` rises with each local change
    and `refusal` is the code with which the partner refused the record, with its human-readable `reason`.
    """

    record: str
    acknowledged: bytes
    edit: int
    refusal: str | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Peer:
    """A partner: its replica id and epoch, our cursor into its feed, when (µs) and where it was last seen.

    `head` is the highest sequence number of its log that anything rests on which we received from it, or believe that
    it holds. It is at least the cursor.
    """

    replica: bytes
    epoch: bytes
    cursor: int
    last_seen: int
    url: str = ""
    head: int = 0


@dataclass(frozen=True, slots=True)
class Batch:
    """What one caller wants to become durable together; applied in the order of the fields below.

    `views` and `digests` of records that are not held are ignored. In `meta` and `digests` None removes.
    """

    changes: tuple[Change, ...] = ()
    views: Mapping[str, bytes] = field(default_factory=dict)
    digests: Mapping[str, bytes | None] = field(default_factory=dict)
    peers: tuple[Peer, ...] = ()
    forget_outbox: tuple[bytes, ...] = ()  # peers whose whole outbox is dropped
    outbox: tuple[tuple[bytes, OutboxEntry], ...] = ()  # (peer, entry) to put
    outbox_done: tuple[
        tuple[bytes, str, int], ...
    ] = ()  # (peer, record, edit): removed if `edit` is still the stored one
    meta: Mapping[str, bytes | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Committed:
    """The sequence numbers given to a batch: for each change, one for each of its updates."""

    seqs: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class Head:
    """Where a record stands: its last seq, state vector, and the updates (count, bytes) after its snapshot.

    `snapshot_seq` is the last seq that the snapshot covers, 0 without a snapshot. `lineage` is the one that the
    record is in, 0 for the first.
    """

    seq: int
    state_vector: bytes
    snapshot_seq: int
    tail: int
    tail_bytes: int
    lineage: int = 0


@dataclass(frozen=True, slots=True)
class Stored:
    """All bytes of one record: the snapshot if there is one, then the tail in order; nothing if unknown."""

    head: Head | None
    updates: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class FeedEntry:
    """The newest change of one record."""

    seq: int
    record: str
    state_vector: bytes


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One update as it was received; `previous` is the seq of the record's update before it, 0 for its first."""

    seq: int
    record: str
    update: bytes
    origin: bytes
    actor: str
    received_at: int
    previous: int


@dataclass(frozen=True, slots=True)
class Remains:
    """What can be trusted of the stored bytes of a damaged record; None: there is none, or it is damaged.

    `snapshot` is there where it is kept outside the log, `entries` are the record's updates in the log, oldest first.
    `broken`: a value is damaged that held operations of this record, or may have. `damaged` are its damaged values as
    they are: not to be trusted, and good for telling what may be lost. So is `damaged_view`.
    """

    head: Head | None
    digest: bytes | None
    snapshot: bytes | None
    view: bytes | None
    entries: tuple[LogEntry, ...]
    broken: bool = False
    damaged: tuple[bytes, ...] = ()
    damaged_view: bytes | None = None


@dataclass(frozen=True, slots=True)
class Root:
    """All records in one: `count` valid digests, `sum` of their leaves mod 2**256, `stale` without one."""

    count: int
    sum: int
    stale: int


@dataclass(frozen=True, slots=True)
class ChangedDigests:
    """Digests by record, None for a stale one, as they were when the last seq was `head` and the aggregate `root`."""

    head: int
    root: Root
    digests: dict[str, bytes | None]


@dataclass(frozen=True, slots=True)
class CompactReport:
    """What a compaction did: log entries dropped, their bytes, and the entries that remain."""

    dropped: int
    dropped_bytes: int
    kept: int


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that verification found wrong; `record` is the record to quarantine, where it is known."""

    database: str
    key: str
    problem: str
    record: str | None = None


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """How many values were checked and what was wrong with them, at most `keys.FINDINGS_MAX` of it.

    `set_aside` is how many damaged values repairs have set aside, which are no findings.
    """

    checked: int
    findings: tuple[Finding, ...]
    set_aside: int = 0


class Store(Protocol):
    """The durable set of records of one replica. Thread-safe; every read sees one consistent state.

    Reads raise `StoreCorrupt` (with the record, where known), `StoreClosed` or `StoreFailed`. Record ids are
    ASCII, at most `RECORD_LENGTH_MAX` characters; pages are sorted by record id and exclude `after`.
    """

    @property
    def replica(self) -> bytes:
        """The 16-byte id of this replica."""

    @property
    def space(self) -> Space:
        """The space that the records belong to."""

    @property
    def epoch(self) -> bytes:
        """16 bytes that name the life of this store in which cursors are handed out; see `lives`."""

    @property
    def known_lives(self) -> Lives:
        """The lives of this store that are remembered, that of `epoch` last."""

    def head(self) -> int:
        """The last sequence number, 0 when nothing was ever written."""

    def count(self) -> int:
        """How many records are held."""

    def record_head(self, record: str) -> Head | None:
        """Where a record stands, or None."""

    def load(self, record: str) -> Stored:
        """Everything needed to rebuild a record."""

    def feed(self, after: int, limit: int) -> list[FeedEntry]:
        """Records changed after seq `after`, ascending, the newest entry of each only."""

    def behind(self, after: int) -> tuple[int, int]:
        """How many records changed after seq `after`, and the bytes of their updates since, snapshots counted whole.

        Exact up to `BEHIND_COUNTED_MAX` and `BEHIND_SIZED_MAX` records. With more, the first is a bound, and the second
        reckoned from the first records.
        """

    def log(self, after: int, limit: int, bytes_max: int) -> list[LogEntry]:
        """Updates from `after + 1` on without a gap, at least one if any. Raises `LogCompacted`."""

    def history(self, record: str) -> list[LogEntry]:
        """The newest updates of one record, as many as compaction has left without a hole, oldest first."""

    def records(self, after: str, limit: int, prefix: str = "") -> list[str]:
        """A page of record ids."""

    def view(self, record: str) -> bytes | None:
        """The stored view of a record, or None."""

    def views(self, after: str, limit: int, prefix: str = "") -> list[tuple[str, bytes]]:
        """A page of (record, view), of records that have one."""

    def digest(self, record: str) -> bytes | None:
        """The record's valid digest, or None if it is stale or the record unknown."""

    def digests(self, after: str, limit: int) -> list[tuple[str, bytes | None]]:
        """A page of (record, digest or None) over every record."""

    def changed_digests(self, after: int, limit: int, also: Sequence[str]) -> ChangedDigests | None:
        """Digests of the records changed after seq `after`, and of those of `also` that are held; all of one moment.

        None where more than `limit` changed.
        """

    def root(self) -> Root:
        """The aggregate over all digests, at no cost."""

    def kept_index(self) -> list[bytes]:
        """What `keep_index` kept; nothing if it was dropped or any of it is damaged, as it can be made anew."""

    def stale(self, limit: int) -> list[str]:
        """Records without a valid digest."""

    def peer(self, replica: bytes) -> Peer | None:
        """What is known of a partner."""

    def peers(self) -> list[Peer]:
        """Every partner, sorted by replica id."""

    def outbox(self, peer: bytes, after: str, limit: int) -> list[OutboxEntry]:
        """A page of what a partner does not hold yet."""

    def outbox_entry(self, peer: bytes, record: str) -> OutboxEntry | None:
        """One record's entry in the outbox of `peer`."""

    def outbox_count(self, peer: bytes) -> tuple[int, int]:
        """(all entries, those refused) of the outbox of `peer`, at no cost."""

    def meta(self, key: str) -> bytes | None:
        """A value that the caller keeps with the store."""

    def meta_keys(self, prefix: str) -> list[str]:
        """The keys of `meta` that begin with `prefix`, sorted, those of damaged values too."""

    def commit(self, batches: Sequence[Batch]) -> list[Committed]:
        """Make all batches durable in one transaction, or none.

        Raises `StoreFull` or `StoreFailed` (try again later), `StoreCorrupt`, `InvalidRecordId`, or
        `UnknownRecord` for a change without updates of a record that is not held; `ValueError` for one that breaks
        rule 6.
        """

    def keep_index(self, pages: Sequence[bytes]) -> None:
        """Keep these pages of the caller's index instead of those before. Their meaning is the caller's affair."""

    def compact(self, before: int | None = None) -> CompactReport:
        """Drop log entries below seq `before` (None: any) that a snapshot covers. No cursor notices."""

    def copy(self, path: Path) -> None:
        """Write a compact copy to the new directory `path`, in full use; opening it renews its epoch."""

    def verify(self) -> VerifyReport:
        """Check every stored value and the chain of the log."""

    def damaged(self) -> list[str]:
        """The records that cannot be rebuilt from sound bytes, sorted; walks the whole store."""

    def remains(self, records: Collection[str]) -> dict[str, Remains]:
        """What is sound of each of these records; walks the whole log."""

    def replace(self, records: Collection[str], batch: Batch) -> None:
        """Forget these records, as `quarantine` does, and apply `batch`, which may bring them back, in one transaction.

        Raises as `commit` does.
        """

    def mend(self, database: Literal["meta", "peers", "outbox"]) -> tuple[str, ...]:
        """Set aside what is damaged of one database; returns the keys as text.

        A damaged entry of an outbox becomes one that says that the partner has nothing. A partner that is forgotten is
        compared with. What a value of `meta` meant is the caller's affair.
        """

    def rebuild(self) -> tuple[str, ...]:
        """Set aside what is damaged, and derive feed, aggregates and counts anew.

        Returns the records that had to be quarantined. Records that `damaged` names are to be replaced before.
        """

    def reach(self, epoch: bytes) -> int | None:
        """Up to which sequence number the history of `epoch` is the one that is here; None where it is not known."""

    def begin_life(self) -> bytes:
        """Begin a life, whose id is returned: to be called, once in a process, before cursors are handed out.

        Without it they are handed out in the last life, and are honoured only up to its end, which costs comparisons.
        Raises as `commit` does.
        """

    def join(self, space: bytes, *, leave: bool = False) -> None:
        """Belong to `space` from now on; joining it again changes nothing.

        Raises `ForeignSpace` where another one was joined, unless `leave`, and as `commit` does.
        """

    def renew_epoch(self) -> bytes:
        """Begin a life and forget all others: history may have been lost, so cursors of them mean nothing."""

    def quarantine(self, record: str) -> None:
        """Forget a corrupt record until a change of it, with its whole state from a partner, heals it."""

    def quarantined(self) -> list[str]:
        """Records quarantined and not healed yet, sorted."""

    def close(self) -> None:
        """Release the store; closing twice is harmless."""
