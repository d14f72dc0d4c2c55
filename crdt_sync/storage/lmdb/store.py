"""`LmdbStore`: the `Store` protocol over one directory."""

import contextlib
import random
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal, Self, TypeVar

from crdt_sync import limits
from crdt_sync.errors import StoreCorrupt, StoreError
from crdt_sync.ids import Space, new_epoch
from crdt_sync.policy.values import Whereabouts
from crdt_sync.storage import lives
from crdt_sync.storage.encryption import key_box
from crdt_sync.storage.encryption.cipher import Cipher
from crdt_sync.storage.encryption.unlocking import found_key
from crdt_sync.storage.joining import joining
from crdt_sync.storage.keys import check_key, check_replica
from crdt_sync.storage.lmdb import (
    aside,
    audit,
    changing,
    commit,
    compact,
    directory,
    identity,
    reads,
    rebuild,
    shown,
    sizes,
    upgrade,
    verify,
)
from crdt_sync.storage.lmdb.codec import State
from crdt_sync.storage.lmdb.commit import Done
from crdt_sync.storage.lmdb.environment import Environment
from crdt_sync.storage.lmdb.lock import StoreLock
from crdt_sync.storage.lmdb.recent import RecentDigests
from crdt_sync.storage.lmdb.recent_rows import RecentRows
from crdt_sync.storage.lmdb.tables import Tables, Transaction
from crdt_sync.storage.places import Row
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

T = TypeVar("T")
READER_CHECK_US = 60 * 1_000_000  # a reader that was killed holds back freed pages for a minute at most


def wall_clock() -> int:
    """Microseconds since 1970."""
    return time.time_ns() // 1000


class LmdbStore:
    """A store in a directory, open in one process at a time. Build it with `LmdbStore.open`."""

    def __init__(
        self, environment: Environment, lock: StoreLock | None, opened: "tuple[identity.Identity, State]",
        now: Callable[[], int], rng: random.Random,
    ) -> None:  # fmt: skip
        self._environment = environment
        self._lock = lock
        self._identity, self._state = opened
        self._space = self._identity.space
        # What a later process than the one that began it finds open has ended, though only the next commit writes it.
        stored = self._identity.lives
        self._lives = stored if self._identity.begun else lives.ended(stored, self._state.seq)
        self._lives_written = self._lives == stored
        self._now = now
        self._rng = rng
        self._readers_checked = now()
        self._recent = RecentDigests(self._state)
        self._rows = RecentRows()

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        create: bool = False,
        replica: bytes | None = None,
        now: Callable[[], int] = wall_clock,
        rng: random.Random | None = None,
        map_bytes: int | None = None,
        key: bytes | None = None,
    ) -> "LmdbStore":
        """Open the store in `path`, or with `create` make a new one there (with `replica` as its id, if given).

        Raises `StoreMissing`, `StoreExists`, `StoreInUse`, `StoreFormat`, `StoreForbidden`, `StoreCorrupt`,
        `StoreFull` or `StoreFailed`. `now` gives microseconds; `map_bytes` is the first size of the map,
        `limits.MAP_BYTES_FIRST` where none is given.

        `key` are the 32 bytes of an encrypted store; with `create` the new one is encrypted with it. Where none is
        given, that of an encrypted store is looked for (`encryption.unlocking`). Raises `StoreLocked` where it is not
        found, and `StoreKeyWrong`.
        """
        rng = rng or random.SystemRandom()
        if replica is not None:
            check_replica(replica)
        directory.prepare(path, create)
        lock = StoreLock(path)
        try:
            if create:
                directory.discard_unfinished(path)
            elif changing.is_left(path):
                changing.settle(path)
            encrypts = key is not None or key_box.exists(path)
            unlock = partial(found_key, path) if key is None else lambda: key
            environment = Environment(path, map_bytes or limits.MAP_BYTES_FIRST, unlock, encrypts=encrypts)
            try:
                opened = _opened(environment, create, replica, rng)
                if create:
                    directory.make_durable(path)
            except BaseException:
                environment.close()
                raise
        except BaseException:
            lock.release()
            raise
        return cls(environment, lock, opened, now, rng)

    def _begin(self, lock: StoreLock) -> None:
        """Go on as the one that was just opened with this lock."""
        opened = _opened(self._environment, False, None, self._rng)
        LmdbStore.__init__(self, self._environment, lock, opened, self._now, self._rng)

    @staticmethod
    def exists(path: Path) -> bool:
        """Whether there is a store's data file in `path`; opening may still fail."""
        return directory.exists(path)

    @property
    def path(self) -> Path:
        """The directory."""
        return self._environment.path

    @property
    def cipher(self) -> Cipher | None:
        """What it is encrypted with at rest; None where it is not."""
        return self._environment.cipher

    def key(self) -> bytes:
        """The 32 bytes that it is encrypted with. Raises `StoreLocked` where it is not encrypted."""
        return self._environment.key()

    @property
    def replica(self) -> bytes:
        """The 16-byte id of this replica."""
        return self._identity.replica

    @property
    def epoch(self) -> bytes:
        """The id of the last life."""
        return self._lives[-1].id

    @property
    def known_lives(self) -> lives.Lives:
        """The lives that are remembered."""
        return self._lives

    @property
    def space(self) -> Space:
        """The space that the records belong to."""
        return self._space

    def reach(self, epoch: bytes) -> int | None:
        """How far the history of `epoch` is this one."""
        return lives.reach(self._lives, epoch, self.head())

    def size_bytes(self) -> int:
        """Bytes of the data file on disk."""
        return self._environment.size_bytes()

    def used_bytes(self) -> int:
        """Bytes of that which are in use: what is free is written again before the file grows."""
        return self._environment.read(sizes.used_bytes)

    # --- reads ---

    def head(self) -> int:
        """The last seq."""
        return self._known().seq

    def count(self) -> int:
        """How many records."""
        root = self._known().root
        return root.count + root.stale

    def changed_digests(self, after: int, limit: int, also: Sequence[str]) -> ChangedDigests | None:
        """Digests of what changed after `after`."""
        self._environment.check_open()
        return self._recent.changed(after, limit, also) or self._environment.read(
            lambda txn, tables: reads.changed_digests(txn, tables, after, limit, also)
        )

    def root(self) -> Root:
        """The aggregate."""
        return self._known().root

    def record_head(self, record: str) -> Head | None:
        """Where a record stands."""
        row = self._environment.read(lambda txn, tables: reads.head(txn, tables, record))
        return None if row is None else row.head()

    def load(self, record: str) -> Stored:
        """Snapshot and tail."""
        return self._environment.read(lambda txn, tables: reads.stored(txn, tables, record))

    def feed(self, after: int, limit: int) -> list[FeedEntry]:
        """The newest change of each record changed after `after`."""
        return self._environment.read(lambda txn, tables: reads.feed(txn, tables, after, limit))

    def behind(self, after: int) -> tuple[int, int]:
        """How much changed after `after`."""
        return self._environment.read(lambda txn, tables: reads.behind(txn, tables, after))

    def log(self, after: int, limit: int, bytes_max: int) -> list[LogEntry]:
        """Updates without a gap. Raises `LogCompacted`."""
        return self._environment.read(lambda txn, tables: reads.log(txn, tables, after, limit, bytes_max))

    def history(self, record: str) -> list[LogEntry]:
        """The updates of a record still in the log."""
        return self._environment.read(lambda txn, tables: reads.history(txn, tables, record))

    def records(self, after: str, limit: int, prefix: str = "") -> list[str]:
        """A page of record ids."""
        return self._environment.read(lambda txn, tables: reads.names(txn, tables.heads, after, limit, prefix))

    def view(self, record: str) -> bytes | None:
        """The stored view."""
        return self._environment.read(lambda txn, tables: reads.view(txn, tables, record))

    def views(self, after: str, limit: int, prefix: str = "") -> list[tuple[str, bytes]]:
        """A page of views."""
        return self._environment.read(lambda txn, tables: reads.views(txn, tables, after, limit, prefix))

    def placement(self) -> Placement | None:
        """What is kept of what records show."""
        return self._environment.read(shown.placement)

    def whereabouts(self, record: str, after: int) -> Whereabouts | None:
        """What a record shows."""
        row = self._recent_row(record)
        if row is None:
            key = reads.record_key(record)
            row = self._rows_of((key,)).get(key)
        return None if row is None else row.whereabouts(after)

    def whereabouts_of(self, records: Sequence[str], after: int) -> list[Whereabouts | None]:
        """What records show."""
        keys = [reads.record_key(record) for record in records]
        rows = self._rows_of(keys)
        return [None if (row := rows.get(key)) is None else row.whereabouts(after) for key in keys]

    def _recent_row(self, record: str) -> Row | None:
        """The row of a record, if it is known without the disk; nothing is once the store is closed."""
        return self._rows.row(record.encode("ascii", "replace"))

    def _rows_of(self, keys: Sequence[bytes]) -> Mapping[bytes, Row]:
        """The rows of records, all of one moment."""
        moment, known = self._rows.moment, self._rows.known(keys)
        if known is not None:
            return known
        rows = self._environment.read(lambda txn, tables: shown.rows(txn, tables, keys))
        self._rows.keep(rows, moment)
        return rows

    def placed(self, collection: str, field: str, shows: str, after: str, limit: int) -> list[str]:
        """A page of the records at a place."""
        place = (collection, field, shows)
        return self._environment.read(lambda txn, tables: shown.placed(txn, tables, place, after, limit))

    def moves_from(self) -> int:
        """From which cursor on it is known what records left."""
        return self._environment.read(shown.moves_from)

    def digest(self, record: str) -> bytes | None:
        """The valid digest."""
        row = self._environment.read(lambda txn, tables: reads.head(txn, tables, record))
        return None if row is None else row.digest

    def digests(self, after: str, limit: int) -> list[tuple[str, bytes | None]]:
        """A page of digests."""
        return self._environment.read(lambda txn, tables: reads.digests(txn, tables, after, limit))

    def kept_index(self) -> list[bytes]:
        """The pages of the caller's index."""
        return self._environment.read(reads.kept_index)

    def stale(self, limit: int) -> list[str]:
        """Records without a digest."""
        return self._environment.read(lambda txn, tables: reads.names(txn, tables.stale, "", limit))

    def peer(self, replica: bytes) -> Peer | None:
        """One partner."""
        return self._environment.read(lambda txn, tables: reads.peer(txn, tables, replica))

    def peers(self) -> list[Peer]:
        """All partners."""
        return self._environment.read(reads.peers)

    def outbox(self, peer: bytes, after: str, limit: int) -> list[OutboxEntry]:
        """A page of the outbox."""
        return self._environment.read(lambda txn, tables: reads.outbox(txn, tables, peer, after, limit))

    def outbox_entry(self, peer: bytes, record: str) -> OutboxEntry | None:
        """One entry of the outbox."""
        return self._environment.read(lambda txn, tables: reads.outbox_entry(txn, tables, peer, record))

    def outbox_count(self, peer: bytes) -> tuple[int, int]:
        """(all, refused)."""
        return self._environment.read(lambda txn, tables: reads.outbox_count(txn, tables, peer))

    def audit_head(self) -> tuple[int, bytes]:
        """The last entry of the audit log."""
        return self._environment.read(audit.head)

    def audit_bytes(self) -> int:
        """What the audit log takes."""
        return self._environment.read(audit.size)

    def audit_after(self, after: int, limit: int) -> list[tuple[int, bytes]]:
        """Entries of the audit log, ascending."""
        return self._environment.read(lambda txn, tables: audit.after(txn, tables, after, limit))

    def audit_before(
        self, before: int, limit: int, wanted: Callable[[bytes], bool]
    ) -> tuple[list[tuple[int, bytes]], int]:
        """Entries of the audit log, the newest first."""
        return self._environment.read(lambda txn, tables: audit.before(txn, tables, before, limit, wanted))

    def meta(self, key: str) -> bytes | None:
        """A value of the caller."""
        return self._environment.read(lambda txn, tables: reads.meta(txn, tables, key))

    def quarantined(self) -> list[str]:
        """Records in quarantine."""
        count = 1 << 62
        return self._environment.read(lambda txn, tables: reads.names(txn, tables.quarantine, "", count))

    def damaged(self) -> list[str]:
        """Records that cannot be rebuilt."""
        return self._environment.survey(reads.damaged)

    def remains(self, records: Collection[str]) -> dict[str, Remains]:
        """What is sound of records."""
        return self._environment.survey(lambda txn, tables: reads.remains(txn, tables, records))

    def meta_keys(self, prefix: str) -> list[str]:
        """The keys of the caller's values."""
        return self._environment.read(lambda txn, tables: reads.meta_keys(txn, tables, prefix))

    # --- writes ---

    def commit(self, batches: Sequence[Batch]) -> list[Committed]:
        """Make all batches durable in one transaction, or none."""
        with self._environment.writing:
            self._copy_before_upgrade(batches)
            drops = False
            for batch in batches:
                if batch.placement is not None:
                    self._environment.make_places()
                if batch.audit:
                    self._environment.make_audit()
                drops = drops or bool(batch.drop)
            try:
                done = self._write(lambda txn, tables: self._commit(txn, tables, batches))
            finally:
                self._rows.end()
            if done.rows:
                self._rows.keep(done.rows, self._rows.moment)
            self._lives_written = True
            if drops:
                self._recent.restart(self._state)
            else:
                self._recent.take(self._state, done.touched)
        now = self._now()
        if not 0 <= now - self._readers_checked < READER_CHECK_US:
            self._readers_checked = now
            self._environment.check_readers()
        return done.committed

    def keep_index(self, pages: Sequence[bytes]) -> None:
        """Keep the caller's index."""
        self._write(lambda txn, tables: commit.keep_index(txn, tables, pages))

    def compact(self, before: int | None = None) -> CompactReport:
        """Drop covered log entries, in short transactions."""
        limit = self.head() + 1 if before is None else before
        dropped = dropped_bytes = kept = 0
        start = 1
        while start:
            done = self._write(partial(compact.step, start=start, before=limit))
            dropped, dropped_bytes = dropped + done.dropped, dropped_bytes + done.dropped_bytes
            kept, start = done.kept, done.next
        return CompactReport(dropped, dropped_bytes, kept)

    def drop_audit(self, before: int) -> int:
        """Drop entries of the audit log, in short transactions."""
        dropped = 0
        while done := self._environment.write(lambda txn, tables: audit.drop(txn, tables, before)):
            dropped += done
        return dropped

    def copy(self, path: Path) -> None:
        """Write a compact copy that renews its epoch when opened. Raises `StoreExists`, `StoreFull`."""
        directory.copy(self._environment, path)

    def verify(self) -> VerifyReport:
        """Check every stored value and the chain of the log, in one consistent view."""
        return self._environment.survey(verify.verify)

    def rebuild(self) -> tuple[str, ...]:
        """Set aside what is damaged, derive the rest anew."""
        self._environment.drop_strangers()
        self._environment.make_aside()
        cipher = self._environment.cipher
        if cipher is not None:
            self._environment.write(lambda txn, tables: identity.write_format(txn, tables, cipher.id))
        return self._remake(lambda txn, tables: aside.rebuild(txn, tables, self._now()))

    def mend(self, database: Literal["meta", "peers", "outbox"]) -> tuple[str, ...]:
        """Set aside what is damaged of one database."""
        self._environment.make_aside()
        return self._write(lambda txn, tables: aside.mend(txn, tables, database, self._now()))

    def replace(self, records: Collection[str], batch: Batch) -> None:
        """Forget records and apply a batch."""
        with self._environment.writing:
            self._environment.make_aside()
            self._copy_before_upgrade([batch])
            if batch.audit:
                self._environment.make_audit()
            self._remake(lambda txn, tables: self._replace(txn, tables, records, batch))
            self._lives_written = True

    def _replace(
        self, transaction: Transaction, tables: Tables, records: Collection[str], batch: Batch
    ) -> tuple[None, State]:
        healed = {change.record for change in batch.changes}
        aside.forget(transaction, tables, records, healed, self._now())
        return None, self._commit(transaction, tables, [batch])[1]

    def set_aside(self) -> list[aside.SetAside]:
        """The damaged values that repairs have set aside. Raises `StoreCorrupt`."""
        return self._environment.survey(aside.listed)

    def drop_set_aside(self) -> None:
        """Drop them all, for good."""
        self._environment.drop_aside()

    def quarantine(self, record: str) -> None:
        """Forget a damaged record until a change of it heals it."""
        check_key(record)
        self.replace((record,), Batch())

    def begin_life(self) -> bytes:
        """A new life; the last one ends where the log does now."""
        with self._environment.writing:
            return self._live(lives.begun(self._lives, self.head(), new_epoch(self._rng)))

    def join(self, space: bytes, *, leave: bool = False) -> None:
        """Belong to `space`."""
        with self._environment.writing:
            joined = joining(self._space, space, leave=leave)
            if joined != self._space:
                self._environment.write(lambda txn, tables: identity.write_space(txn, tables, space))
                self._space = joined

    def renew_epoch(self) -> bytes:
        """A new life, the only one."""
        return self._live(lives.first(new_epoch(self._rng)))

    def close(self) -> None:
        """Close the environment and release the lock."""
        self._environment.close()
        self._rows.close()
        if self._lock is not None:
            self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def _live(self, begun: lives.Lives) -> bytes:
        with self._environment.writing:
            self._environment.write(lambda txn, tables: identity.write_lives(txn, tables, begun))
            self._lives, self._lives_written = begun, True
            return self.epoch

    def _commit(self, transaction: Transaction, tables: Tables, batches: Sequence[Batch]) -> tuple[Done, State]:
        if not self._lives_written:
            identity.write_lives(transaction, tables, self._lives)
        return commit.run(transaction, tables, batches, packs=self._identity.packs, rows=self._rows)

    def _copy_before_upgrade(self, batches: Sequence[Batch]) -> None:
        if any(change.lineage for batch in batches for change in batch.changes) and self._state.seq:
            upgrade.before_lineages(self._environment, self._now())

    def _known(self) -> State:
        self._environment.check_open()
        return self._state

    def _remake(self, work: "Callable[[Transaction, Tables], tuple[T, State]]") -> T:
        """Run a write that changes what is stored otherwise than by updates."""
        with self._environment.writing:
            self._rows.forget()
            try:
                result = self._write(work)
            finally:
                self._rows.end()
            self._recent.restart(self._state)
            self._environment.forget_orders()
            return result

    def _write(self, work: "Callable[[Transaction, Tables], tuple[T, State]]") -> T:
        """Run a write that ends in a new state, and show that state to readers once it is durable."""
        with self._environment.writing:
            try:
                result, self._state = self._environment.write(work)
            except StoreError:
                # After a failed sync the commit may be there all the same: believe the disk.
                with contextlib.suppress(StoreError):
                    self._state = self._environment.read(reads.read_state)
                self._recent.restart(self._state)
                self._environment.forget_orders()
                raise
            return result


def _opened(
    environment: Environment, create: bool, replica: bytes | None, rng: random.Random
) -> tuple[identity.Identity, State]:
    """Who the store is and where it stands; a damaged state is derived anew, under a new epoch."""
    key_id = None if environment.cipher is None else environment.cipher.id

    def identify(transaction: Transaction, tables: Tables) -> tuple[identity.Identity, State]:
        who = identity.prepare(transaction, tables, environment.path, create, replica, rng, key_id)
        try:
            return who, reads.read_state(transaction, tables)
        except StoreCorrupt:
            state = rebuild.derive(transaction, tables)  # what else is damaged stays in its place, for a repair to find
            return replace(who, lives=identity.renew(transaction, tables, rng), begun=True), state

    return environment.write(identify)
