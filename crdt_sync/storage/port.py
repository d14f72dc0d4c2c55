"""What a store does, as a few small ports; `Store` is all of them. Whoever needs one asks for that one.

Thread-safe; every read sees one consistent state. Reads raise `StoreCorrupt` (with the record, where known),
`StoreClosed` or `StoreFailed`. Record ids are ASCII, at most `RECORD_LENGTH_MAX` characters; pages are sorted by record
id and exclude `after`. The values that cross the boundary are in `crdt_sync.storage.values`.

Rules that every store keeps, checked by one conformance suite a port (tests/storage/ports):

1. `commit` is all or nothing and durable when it returns. One that raised changed nothing, except that after
   `StoreFailed` it may nevertheless be found whole: the disk failed while it was written.
2. Sequence numbers start at 1 and rise by one with each update. What a number of an epoch means never changes: where
   history was lost, `reach` says up to which number that epoch's history is still the one that is here.
3. The feed holds one entry per record, the newest. Compaction never touches it.
4. The root aggregates equal what a walk over all records would give, after every commit.
5. What is read is what was written, or `StoreCorrupt`.
6. What a record loads is of one lineage: only a change that is `renewed` leads into another.
7. What a record shows in its filter fields changes in the commit of the update that changes it, and what it has left is
   known to every cursor from `moves_from` on. A change that does not say it has all records read anew.
"""

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Literal, Protocol

from crdt_sync.ids import Space
from crdt_sync.policy.values import Whereabouts
from crdt_sync.storage.lives import Lives
from crdt_sync.storage.values import (
    Batch,
    ChangedDigests,
    Committed,
    CompactReport,
    FeedEntry,
    Head,
    LogEntry,
    OutboxEntry,
    Peer,
    Placement,
    Remains,
    Root,
    Stored,
    VerifyReport,
)


class Identity(Protocol):
    """Who keeps the records, and the space that they belong to."""

    @property
    def replica(self) -> bytes:
        """The 16-byte id of this replica."""

    @property
    def space(self) -> Space:
        """The space that the records belong to."""

    def join(self, space: bytes, *, leave: bool = False) -> None:
        """Belong to `space` from now on; joining it again changes nothing.

        Raises `ForeignSpace` where another one was joined, unless `leave`, and as `commit` does.
        """


class Log(Protocol):
    """The updates in the order in which they were stored, and the lives in which places in it are handed out."""

    @property
    def epoch(self) -> bytes:
        """16 bytes that name the life of this store in which cursors are handed out; see `lives`."""

    @property
    def known_lives(self) -> Lives:
        """The lives of this store that are remembered, that of `epoch` last."""

    def reach(self, epoch: bytes) -> int | None:
        """Up to which sequence number the history of `epoch` is the one that is here; None where it is not known."""

    def begin_life(self) -> bytes:
        """Begin a life, whose id is returned: to be called, once in a process, before cursors are handed out.

        Without it they are handed out in the last life, and are honoured only up to its end, which costs comparisons.
        Raises as `commit` does.
        """

    def renew_epoch(self) -> bytes:
        """Begin a life and forget all others: history may have been lost, so cursors of them mean nothing."""

    def head(self) -> int:
        """The last sequence number, 0 when nothing was ever written."""

    def feed(self, after: int, limit: int) -> list[FeedEntry]:
        """Records changed after seq `after`, ascending, the newest entry of each only."""

    def behind(self, after: int) -> tuple[int, int]:
        """How many records changed after seq `after`, and the bytes of their updates since, snapshots counted whole.

        Exact up to `BEHIND_COUNTED_MAX` and `BEHIND_SIZED_MAX` records. With more, the first is a bound, and the second
        reckoned from the first records.
        """

    def log(self, after: int, limit: int, bytes_max: int) -> list[LogEntry]:
        """Updates from `after + 1` on without a gap, at least one if any. Raises `LogCompacted`."""


class Records(Protocol):
    """The records: where they stand, their bytes and updates, and what is shown of them."""

    def count(self) -> int:
        """How many records are held."""

    def records(self, after: str, limit: int, prefix: str = "") -> list[str]:
        """A page of record ids."""

    def record_head(self, record: str) -> Head | None:
        """Where a record stands, or None."""

    def load(self, record: str) -> Stored:
        """Everything needed to rebuild a record."""

    def history(self, record: str) -> list[LogEntry]:
        """The newest updates of one record, as many as compaction has left without a hole, oldest first."""

    def view(self, record: str) -> bytes | None:
        """The stored view of a record, or None."""

    def views(self, after: str, limit: int, prefix: str = "") -> list[tuple[str, bytes]]:
        """A page of (record, view), of records that have one."""


class Places(Protocol):
    """What records show in the fields by which they may be chosen: kept once a batch has brought a `Placement`."""

    def placement(self) -> Placement | None:
        """Of which fields and records that is kept; None: it is not, or a release that does not keep it wrote since."""

    def whereabouts(self, record: str, after: int) -> Whereabouts | None:
        """What a record shows, and has shown since the cursor `after`; None where that is not known."""

    def whereabouts_of(self, records: Sequence[str], after: int) -> list[Whereabouts | None]:
        """The same of several, of one moment."""

    def placed(self, collection: str, field: str, shows: str, after: str, limit: int) -> list[str]:
        """A page of the records of a collection of which a field shows that form."""

    def moves_from(self) -> int:
        """From which cursor on it is known what records have left."""


class Digests(Protocol):
    """What each record contains, in 16 bytes, and all records in one sum."""

    def digest(self, record: str) -> bytes | None:
        """The record's valid digest, or None if it is stale or the record unknown."""

    def digests(self, after: str, limit: int) -> list[tuple[str, bytes | None]]:
        """A page of (record, digest or None) over every record."""

    def changed_digests(self, after: int, limit: int, also: Sequence[str]) -> ChangedDigests | None:
        """Digests of the records changed after seq `after`, and of those of `also` that are held; all of one moment.

        None where more than `limit` changed.
        """

    def stale(self, limit: int) -> list[str]:
        """Records without a valid digest."""

    def root(self) -> Root:
        """The aggregate over all digests, at no cost."""

    def kept_index(self) -> list[bytes]:
        """What `keep_index` kept; nothing if it was dropped or any of it is damaged, as it can be made anew."""

    def keep_index(self, pages: Sequence[bytes]) -> None:
        """Keep these pages of the caller's index instead of those before. Their meaning is the caller's affair."""


class Outbox(Protocol):
    """The partners, and what each of them does not hold yet."""

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


class AuditLog(Protocol):
    """The audit log: entries that a commit brought in `Batch.audit`, chained as `crdt_sync.audit_log.chain` says.

    Whether they are what was written is for who reads them to check.
    """

    def audit_head(self) -> tuple[int, bytes]:
        """The number of the last entry and its seal; (0, 32 zero bytes) where nothing was ever written."""

    def audit_after(self, after: int, limit: int) -> list[tuple[int, bytes]]:
        """Entries with higher numbers, ascending: (number, value)."""

    def audit_before(
        self, before: int, limit: int, wanted: Callable[[bytes], bool]
    ) -> tuple[list[tuple[int, bytes]], int]:
        """Entries with lower numbers of which `wanted` approves, the newest first.

        At most `limit`, after at most `AUDIT_SCANNED_MAX` were looked at; with the number before which to go on, 0 at
        the end.
        """

    def audit_bytes(self) -> int:
        """What it takes on the disk, about."""

    def drop_audit(self, before: int) -> int:
        """Drop the entries with lower numbers, and return how many; the caller has written a note of it."""


class Settings(Protocol):
    """Values that the caller keeps with the store."""

    def meta(self, key: str) -> bytes | None:
        """A value that the caller keeps with the store."""

    def meta_keys(self, prefix: str) -> list[str]:
        """The keys of `meta` that begin with `prefix`, sorted, those of damaged values too."""


class Committer(Protocol):
    """What takes in batches: a store, or whoever completes them before they go there."""

    def commit(self, batches: Sequence[Batch]) -> list[Committed]:
        """Make all batches durable in one transaction, or none.

        Raises `StoreFull` or `StoreFailed` (try again later), `StoreCorrupt`, `InvalidRecordId`, or
        `UnknownRecord` for a change without updates of a record that is not held; `ValueError` for one that breaks
        rule 6.
        """


class Maintenance(Protocol):
    """What keeps a store small and sound; calls may walk all of it."""

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

    def quarantine(self, record: str) -> None:
        """Forget a corrupt record until a change of it, with its whole state from a partner, heals it."""

    def quarantined(self) -> list[str]:
        """Records quarantined and not healed yet, sorted."""


class Store(Identity, Log, Records, Places, Digests, Outbox, AuditLog, Settings, Committer, Maintenance, Protocol):
    """The durable set of records of one replica: all ports, over one state."""

    def close(self) -> None:
        """Release the store; closing twice is harmless."""


class LoggedRecords(Log, Records, Protocol):
    """The records, and the order in which they changed: what indexes follow and partners read."""


class Partners(Outbox, Settings, Protocol):
    """The partners, and what the caller has noted of them."""


class Stores(Protocol):
    """Makes and opens stores by their paths: the one place where their kind is chosen."""

    def open(self, path: Path, *, create: bool = False) -> Store:
        """The store in `path`, which is open once at a time; with `create` a new one.

        Raises `StoreMissing`, `StoreExists`, `StoreInUse` and what the kind of store may raise beside.
        """

    def exists(self, path: Path) -> bool:
        """Whether there is a store in `path`; opening may still fail."""
