"""A store in memory: the twin of the LMDB store, the model of its tests, and the disk of the simulator."""

import random
import threading
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Collection, Sequence
from itertools import islice
from pathlib import Path
from typing import Literal

from crdt_sync import ids
from crdt_sync.errors import LogCompacted, StoreClosed, StoreError, StoreExists, StoreInUse, StoreMissing
from crdt_sync.limits import AUDIT_SCANNED_MAX, BEHIND_COUNTED_MAX
from crdt_sync.policy.values import Whereabouts
from crdt_sync.storage import lives
from crdt_sync.storage.behind import reckon
from crdt_sync.storage.joining import joining
from crdt_sync.storage.keys import check_key
from crdt_sync.storage.memory_state import MemoryState
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


class MemoryStore:
    """The `Store` protocol over dictionaries. What is committed survives in `clone()` only."""

    def __init__(self, replica: bytes | None = None, rng: random.Random | None = None) -> None:
        self._rng = rng or random.SystemRandom()
        self._replica = replica or ids.new_replica(self._rng)
        self._lives = lives.first(ids.new_epoch(self._rng))
        self._content = MemoryState(self._lives)
        self._lock = threading.RLock()
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether it refuses calls."""
        return self._closed

    @property
    def replica(self) -> bytes:
        """The 16-byte id of this replica."""
        return self._replica

    @property
    def space(self) -> ids.Space:
        """The space that the records belong to."""
        return self._content.space or ids.own_space(self._replica)

    @property
    def epoch(self) -> bytes:
        """The id of the last life."""
        return self._lives[-1].id

    @property
    def known_lives(self) -> lives.Lives:
        """The lives that are remembered."""
        return self._lives

    def clone(self) -> "MemoryStore":
        """An independent, open store with the same content: what a restart after a crash finds."""
        with self._lock:
            twin = MemoryStore(self._replica, self._rng)
            twin._take(self._content.clone())
            return twin

    def _take(self, content: MemoryState) -> None:
        """Hold what another process left: a life that is open there has ended, which the next commit writes."""
        self._content = content
        self._lives = lives.ended(content.lives, content.seq)

    @property
    def _state(self) -> MemoryState:
        if self._closed:
            raise StoreClosed("the store was closed")
        return self._content

    # --- reads ---

    def head(self) -> int:
        """The last seq."""
        return self._state.seq

    def count(self) -> int:
        """How many records."""
        return len(self._state.heads)

    def record_head(self, record: str) -> Head | None:
        """Where a record stands."""
        return self._state.heads.get(record)

    def load(self, record: str) -> Stored:
        """Snapshot and tail."""
        with self._lock:
            head = self._state.heads.get(record)
            if head is None:
                return Stored(None, ())
            snapshot = (self._state.snapshots[record],) if head.snapshot_seq else ()
            seqs = self._state.seqs[record]
            tail = seqs[len(seqs) - head.tail :]
            return Stored(head, (*snapshot, *(self._state.log[seq].update for seq in tail)))

    def feed(self, after: int, limit: int) -> list[FeedEntry]:
        """The newest change of each record changed after `after`."""
        with self._lock:
            seqs = self._state.feed_seqs
            start = bisect_right(seqs, after)
            records = [(seq, self._state.feed[seq]) for seq in seqs[start : start + max(limit, 0)]]
            return [FeedEntry(seq, name, self._state.heads[name].state_vector) for seq, name in records]

    def behind(self, after: int) -> tuple[int, int]:
        """How much changed after `after`."""
        with self._lock:
            state = self._state
            after = max(after, 0)
            changed = state.feed_seqs[bisect_right(state.feed_seqs, after) :]
            sizes = (self._bytes_behind(state.feed[seq], after) for seq in changed)
            counted = len(changed) <= BEHIND_COUNTED_MAX
            return reckon(len(changed) if counted else min(state.seq - after, len(state.heads)), sizes)

    def _bytes_behind(self, record: str, after: int) -> int:
        state = self._state
        head, seqs = state.heads[record], state.seqs[record]
        tail = (seq for seq in seqs[len(seqs) - head.tail :] if seq > after)
        snapshot = len(state.snapshots[record]) if head.snapshot_seq > after else 0
        return snapshot + sum(len(state.log[seq].update) for seq in tail)

    def log(self, after: int, limit: int, bytes_max: int) -> list[LogEntry]:
        """Updates without a gap. Raises `LogCompacted`."""
        with self._lock:
            after = max(after, 0)
            entries: list[LogEntry] = []
            size = 0
            for seq in range(after + 1, min(after + limit, self._state.seq) + 1):
                entry = self._state.log.get(seq)
                if entry is None and not entries:
                    raise LogCompacted(f"the log no longer holds entry {seq}", "Read the feed instead.")
                size += 0 if entry is None else len(entry.update)
                if entry is None or (entries and size > bytes_max):
                    break
                entries.append(entry)
            return entries

    def history(self, record: str) -> list[LogEntry]:
        """The updates of a record still in the log."""
        with self._lock:
            return [self._state.log[seq] for seq in self._state.seqs.get(record, ())]

    def records(self, after: str, limit: int, prefix: str = "") -> list[str]:
        """A page of record ids."""
        with self._lock:
            names = self._state.names
            start = max(bisect_right(names, after), bisect_left(names, prefix))
            page = names[start : start + max(limit, 0)]
            return [name for name in page if name.startswith(prefix)]

    def view(self, record: str) -> bytes | None:
        """The stored view."""
        return self._state.views.get(record)

    def views(self, after: str, limit: int, prefix: str = "") -> list[tuple[str, bytes]]:
        """A page of views."""
        with self._lock:
            names = sorted(name for name in self._state.views if name > after and name.startswith(prefix))
            return [(name, self._state.views[name]) for name in names[: max(limit, 0)]]

    def placement(self) -> Placement | None:
        """What is kept of what records show."""
        return self._state.places.placement

    def whereabouts(self, record: str, after: int) -> Whereabouts | None:
        """What a record shows."""
        with self._lock:
            return self._state.places.whereabouts(record, after)

    def whereabouts_of(self, records: Sequence[str], after: int) -> list[Whereabouts | None]:
        """What records show."""
        with self._lock:
            return [self._state.places.whereabouts(record, after) for record in records]

    def placed(self, collection: str, field: str, shows: str, after: str, limit: int) -> list[str]:
        """A page of the records at a place."""
        with self._lock:
            return self._state.places.at((collection, field, shows), after, limit)

    def moves_from(self) -> int:
        """From which cursor on it is known what records left."""
        return self._state.places.moves_from

    def digest(self, record: str) -> bytes | None:
        """The valid digest."""
        return self._state.digests.get(record)

    def digests(self, after: str, limit: int) -> list[tuple[str, bytes | None]]:
        """A page of digests."""
        with self._lock:
            return [(name, self._state.digests.get(name)) for name in self.records(after, limit)]

    def changed_digests(self, after: int, limit: int, also: Sequence[str]) -> ChangedDigests | None:
        """Digests of what changed after `after`."""
        with self._lock:
            state = self._state
            changed = [entry.record for entry in self.feed(after, limit + 1)]
            if len(changed) > limit:
                return None
            held = [record for record in also if record in state.heads]
            return ChangedDigests(state.seq, self.root(), {name: self.digest(name) for name in (*changed, *held)})

    def root(self) -> Root:
        """The aggregate."""
        with self._lock:
            valid = len(self._state.digests)
            return Root(valid, self._state.sum, len(self._state.heads) - valid)

    def kept_index(self) -> list[bytes]:
        """The pages of the caller's index."""
        return list(self._state.index)

    def stale(self, limit: int) -> list[str]:
        """Records without a digest."""
        with self._lock:
            names = (name for name in self._state.names if name not in self._state.digests)
            return list(islice(names, max(limit, 0)))

    def peer(self, replica: bytes) -> Peer | None:
        """One partner."""
        return self._state.peers.get(replica)

    def peers(self) -> list[Peer]:
        """All partners."""
        with self._lock:
            return [self._state.peers[key] for key in sorted(self._state.peers)]

    def outbox(self, peer: bytes, after: str, limit: int) -> list[OutboxEntry]:
        """A page of the outbox."""
        with self._lock:
            outbox = self._state.outboxes.get(peer, {})
            names = sorted(name for name in outbox if name > after)
            return [outbox[name] for name in names[: max(limit, 0)]]

    def outbox_entry(self, peer: bytes, record: str) -> OutboxEntry | None:
        """One entry of the outbox."""
        return self._state.outboxes.get(peer, {}).get(record)

    def outbox_count(self, peer: bytes) -> tuple[int, int]:
        """(all, refused)."""
        with self._lock:
            outbox = self._state.outboxes.get(peer, {})
            return len(outbox), sum(entry.refusal is not None for entry in outbox.values())

    def meta(self, key: str) -> bytes | None:
        """A value of the caller."""
        return self._state.meta.get(key)

    def meta_keys(self, prefix: str) -> list[str]:
        """The keys of `meta` with that prefix."""
        return sorted(key for key in self._state.meta if key.startswith(prefix))

    def audit_head(self) -> tuple[int, bytes]:
        """The last entry of the audit log."""
        with self._lock:
            return self._state.audit_head()

    def audit_bytes(self) -> int:
        """What the audit log takes."""
        with self._lock:
            return sum(map(len, self._state.audit.values()))

    def audit_after(self, after: int, limit: int) -> list[tuple[int, bytes]]:
        """Entries of the audit log, ascending."""
        with self._lock:
            rows = ((number, value) for number, value in self._state.audit.items() if number > after)
            return list(islice(rows, max(limit, 0)))

    def audit_before(
        self, before: int, limit: int, wanted: Callable[[bytes], bool]
    ) -> tuple[list[tuple[int, bytes]], int]:
        """Entries of the audit log, the newest first."""
        with self._lock:
            found: list[tuple[int, bytes]] = []
            numbers = [number for number in reversed(self._state.audit) if number < before] if limit > 0 else []
            for scanned, number in enumerate(numbers, 1):
                if wanted(self._state.audit[number]):
                    found.append((number, self._state.audit[number]))
                if len(found) == limit or scanned == AUDIT_SCANNED_MAX:
                    return found, number
            return found, 0

    # --- commit ---

    def commit(self, batches: Sequence[Batch]) -> list[Committed]:
        """Apply all batches, or none if one of them is not valid."""
        with self._lock:
            self._state.check(batches)
            self._state.lives = self._lives
            return [self._state.apply(batch) for batch in batches]

    # --- maintenance ---

    def keep_index(self, pages: Sequence[bytes]) -> None:
        """Keep the caller's index."""
        self._state.index = tuple(pages)

    def compact(self, before: int | None = None) -> CompactReport:
        """Drop covered log entries."""
        with self._lock:
            state = self._state
            limit = state.seq + 1 if before is None else before
            dropped = dropped_bytes = 0
            for seq in sorted(seq for seq in state.log if seq < limit):
                record = state.log[seq].record
                head = state.heads.get(record)
                # Entries of a quarantined record stay, to be salvaged; once it is healed, they are covered like others.
                if head is None or seq >= head.snapshot_seq + (0 if record in state.in_log else 1):
                    continue
                dropped, dropped_bytes = dropped + 1, dropped_bytes + len(state.log.pop(seq).update)
                state.seqs[record] = [kept for kept in state.seqs[record] if kept != seq]
            return CompactReport(dropped, dropped_bytes, len(state.log))

    def drop_audit(self, before: int) -> int:
        """Drop entries of the audit log."""
        with self._lock:
            dropped = [number for number in self._state.audit if number < before]
            for number in dropped:
                del self._state.audit[number]
            return len(dropped)

    def copy(self, path: Path) -> None:
        """Not possible: there is no file; see `clone`."""
        raise StoreError(f"a store in memory cannot be copied to {path}", "Open a store in a directory instead.")

    def verify(self) -> VerifyReport:
        """Memory holds what was put there."""
        return VerifyReport(len(self._state.log) + len(self._state.heads), ())

    def damaged(self) -> list[str]:
        """Memory does not rot."""
        return []

    def remains(self, records: Collection[str]) -> dict[str, Remains]:
        """All of each record."""
        with self._lock:
            state = self._state
            entries: dict[str, list[LogEntry]] = {record: [] for record in records}
            for seq in sorted(state.log):
                if state.log[seq].record in entries:
                    entries[state.log[seq].record].append(state.log[seq])
            return {record: self._remains(record, entries[record]) for record in records}

    def _remains(self, record: str, entries: Sequence[LogEntry]) -> Remains:
        state = self._state
        head = state.heads.get(record)
        kept = head is not None and head.snapshot_seq and record not in state.in_log
        snapshot = state.snapshots[record] if kept else None
        return Remains(head, state.digests.get(record), snapshot, state.views.get(record), tuple(entries))

    def replace(self, records: Collection[str], batch: Batch) -> None:
        """Forget records and apply a batch."""
        with self._lock:
            self._state.check([batch])
            for record in records:
                self.quarantine(record)
            self._state.lives = self._lives
            self._state.apply(batch)

    def mend(self, database: Literal["meta", "peers", "outbox"]) -> tuple[str, ...]:
        """Memory does not rot."""
        return ()

    def rebuild(self) -> tuple[str, ...]:
        """Nothing can be out of step."""
        self.keep_index(())
        self._state.places.drop_all()
        return ()

    def reach(self, epoch: bytes) -> int | None:
        """How far the history of `epoch` is this one."""
        return lives.reach(self._lives, epoch, self.head())

    def begin_life(self) -> bytes:
        """A new life; the last one ends where the log does now."""
        with self._lock:
            return self._live(lives.begun(self._lives, self.head(), ids.new_epoch(self._rng)))

    def join(self, space: bytes, *, leave: bool = False) -> None:
        """Belong to `space`."""
        with self._lock:
            self._state.space = joining(self.space, space, leave=leave)

    def renew_epoch(self) -> bytes:
        """A new life, the only one."""
        with self._lock:
            return self._live(lives.first(ids.new_epoch(self._rng)))

    def _live(self, begun: lives.Lives) -> bytes:
        self._state.lives = self._lives = begun
        return self.epoch

    def quarantine(self, record: str) -> None:
        """Forget a record until the next change of it."""
        check_key(record)
        with self._lock:
            state = self._state
            state.quarantined.add(record)
            state.index = ()
            state.places.forget(record, state.seq)
            state.forget(record)

    def quarantined(self) -> list[str]:
        """Records in quarantine."""
        return sorted(self._state.quarantined)

    def close(self) -> None:
        """Refuse further calls."""
        self._closed = True


class MemoryStores:
    """The `Stores` port in memory: what was committed is there as long as this object is."""

    def __init__(self, rng: random.Random | None = None) -> None:
        self._rng = rng
        self._kept: dict[Path, MemoryStore] = {}

    def open(self, path: Path, *, create: bool = False) -> MemoryStore:
        """The store of that path, as a restart finds it. Raises `StoreMissing`, `StoreExists`, `StoreInUse`."""
        before = self._kept.get(path)
        if before is not None and not before.closed:
            raise StoreInUse(f"{path} is in use", "Close it first.")
        if create and before is not None:
            raise StoreExists(f"there is a store in {path} already", "Open it, or name another directory.")
        if before is None and not create:
            raise StoreMissing(f"there is no store in {path}", "Create one first, or name another directory.")
        self._kept[path] = opened = MemoryStore(rng=self._rng) if before is None else before.clone()
        return opened

    def exists(self, path: Path) -> bool:
        """Whether a store was made there."""
        return path in self._kept
