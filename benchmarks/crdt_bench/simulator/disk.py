"""The virtual disk: a `MemoryStore` whose commits can fail and whose values can rot. It tells what became durable."""

import random
from collections.abc import Callable, Collection, Sequence
from typing import NoReturn

from crdt_bench.simulator import lineages
from crdt_bench.simulator.rot import Rot
from crdt_sync.errors import StoreCorrupt, StoreFailed, StoreFull
from crdt_sync.storage.memory import MemoryStore
from crdt_sync.storage.values import (
    Batch,
    Committed,
    CompactReport,
    FeedEntry,
    Finding,
    Head,
    LogEntry,
    Remains,
    Stored,
    VerifyReport,
)

Fault = Callable[["Disk"], str]
"""What goes wrong with a commit: nothing (""), "full", "failed", "found" (it failed, and is nevertheless found whole),
"crash before" or "crash after" it became durable."""


class Crashed(Exception):
    """The process that used `disk` died in a commit."""

    def __init__(self, disk: "Disk") -> None:
        super().__init__("crashed in a commit")
        self.disk = disk


class Disk(MemoryStore):
    """See the module. `fault` is asked at every commit; `durable` hears of every batch that was stored."""

    def __init__(self, replica: bytes | None, rng: random.Random) -> None:
        super().__init__(replica, rng)
        self.fault: Fault | None = None
        self.durable: Callable[[Disk, Sequence[Batch]], None] | None = None
        self.crashed: Callable[[Disk], None] | None = None  # the process that uses it dies of a commit
        self.rot = Rot()

    def clone(self) -> "Disk":
        """What a restart finds."""
        twin = Disk(self._replica, self._rng)
        twin._take(self._content.clone())
        twin.fault, twin.durable, twin.crashed = self.fault, self.durable, self.crashed
        twin.rot = self.rot.clone()
        return twin

    def decay(self, rng: random.Random) -> str:
        """Damage one stored value; returns its name, empty where nothing is stored."""
        return self.rot.strike(self._state, rng)

    # --- reads: what is damaged is an error, as in the real store --------------------------------------------

    def record_head(self, record: str) -> Head | None:
        """See `Store.record_head`."""
        if self.rot:
            self.rot.check("head", record, record)
        return super().record_head(record)

    def load(self, record: str) -> Stored:
        """See `Store.load`."""
        if self.rot:
            self.rot.check_record(self._state, record)
        return super().load(record)

    def feed(self, after: int, limit: int) -> list[FeedEntry]:
        """See `Store.feed`."""
        found = super().feed(after, limit)
        if self.rot:
            for entry in found:
                self.rot.check("feed", entry.seq)
                self.rot.check("head", entry.record, entry.record)
        return found

    def log(self, after: int, limit: int, bytes_max: int) -> list[LogEntry]:
        """See `Store.log`."""
        found = super().log(after, limit, bytes_max)
        if self.rot:
            for entry in found:
                self.rot.check("log", entry.seq)
        return found

    def view(self, record: str) -> bytes | None:
        """See `Store.view`."""
        if self.rot:
            self.rot.check("view", record)
        return super().view(record)

    def digest(self, record: str) -> bytes | None:
        """See `Store.digest`."""
        if self.rot:
            self.rot.check("head", record, record)
        return super().digest(record)

    def digests(self, after: str, limit: int) -> list[tuple[str, bytes | None]]:
        """See `Store.digests`."""
        found = super().digests(after, limit)
        if self.rot:
            for record, _ in found:
                self.rot.check("head", record, record)
        return found

    def damaged(self) -> list[str]:
        """See `Store.damaged`."""
        found = []
        for record in super().records("", self.count()):
            try:
                self.rot.check_record(self._state, record)
            except StoreCorrupt:
                found.append(record)
        return found

    def remains(self, records: Collection[str]) -> dict[str, Remains]:
        """See `Store.remains`."""
        return {record: self.rot.remains(record, found) for record, found in super().remains(records).items()}

    # --- for the checkers, who see through damage ------------------------------------------------------------

    def true_head(self, record: str) -> Head | None:
        """`record_head`, damaged or not."""
        return super().record_head(record)

    def true_feed(self, after: int, limit: int) -> list[FeedEntry]:
        """`feed`, damaged or not."""
        return super().feed(after, limit)

    # --- commit and maintenance ------------------------------------------------------------------------------

    def commit(self, batches: Sequence[Batch]) -> list[Committed]:
        """See `Store.commit`; fails when the fault plan says so."""
        return self._durably(lambda: self._committed(batches), batches)

    def _committed(self, batches: Sequence[Batch]) -> list[Committed]:
        lineages.note(batches)
        if self.rot:
            self.rot.check_commit(batches)
        committed = super().commit(batches)
        if self.rot:
            self.rot.written(batches, self._state)
        return committed

    def replace(self, records: Collection[str], batch: Batch) -> None:
        """See `Store.replace`; fails as a commit does."""

        def work() -> list[Committed]:
            for record in records:
                self.quarantine(record)
            return self._committed([batch])

        self._durably(work, [batch])

    def _durably(self, work: Callable[[], list[Committed]], batches: Sequence[Batch]) -> list[Committed]:
        fault = self.fault(self) if self.fault is not None else ""
        if fault == "full":
            raise StoreFull("the virtual disk is full")
        if fault == "failed":
            raise StoreFailed("the virtual disk failed")
        if fault == "crash before":
            self._crash()
        committed = work()
        if self.durable is not None:
            self.durable(self, batches)
        if fault == "crash after":
            self._crash()
        if fault == "found":
            raise StoreFailed("the virtual disk failed, and wrote everything")
        return committed

    def _crash(self) -> NoReturn:
        if self.crashed is not None:
            self.crashed(self)
        raise Crashed(self)

    def compact(self, before: int | None = None) -> CompactReport:
        """See `Store.compact`."""
        report = super().compact(before)
        self.rot.gone(self._state)
        return report

    def verify(self) -> VerifyReport:
        """See `Store.verify`."""
        findings = [Finding(table, str(key), "fails its checksum") for table, key in sorted(self.rot.values, key=repr)]
        return VerifyReport(len(self._state.log) + len(self._state.heads), tuple(findings))

    def rebuild(self) -> tuple[str, ...]:
        """See `Store.rebuild`."""
        lost = sorted(str(key) for table, key in self.rot.values if table == "head")
        for record in lost:
            self.quarantine(record)
        for table, key in list(self.rot.values):
            if table == "view":
                self._state.views.pop(str(key), None)
            elif table == "log":
                self._drop_entry(int(key))
        self.rot.rebuilt()
        return tuple(lost)

    def _drop_entry(self, seq: int) -> None:
        """Set a damaged log entry aside: the history of its record begins after it."""
        entry = self._state.log.pop(seq)
        seqs = self._state.seqs.get(entry.record, [])
        self._state.seqs[entry.record] = [kept for kept in seqs if kept > seq] if seq in seqs else seqs
        if not seqs:
            self._state.seqs.pop(entry.record, None)

    def quarantine(self, record: str) -> None:
        """See `Store.quarantine`."""
        super().quarantine(record)
        self.rot.forget(record)
