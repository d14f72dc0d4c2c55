"""The integration worker in one thread: the real plan and the real gate, with the process and its pipe left out.

Mirrors `runtime.worker.pool.IntegrationPool` and `runtime.worker.service.Service`: what is loaded, evicted, forgotten,
and what a death in mid-batch means. A killed worker is replaced by an empty one.
"""

import random
from collections.abc import Callable, Generator, Sequence

from crdt_bench.simulator.scheduler import Scheduler, Turn
from crdt_sync.errors import StoreError, UpdateRefused
from crdt_sync.records import digest_of
from crdt_sync.records.integrate import Integrator
from crdt_sync.runtime.worker.pipe import UNREADABLE
from crdt_sync.runtime.worker.plan import STORED, Plan, PoisonMemory, Request
from crdt_sync.runtime.worker.progress import Mark
from crdt_sync.runtime.worker.values import Item, RecordDigest, Result

Work = Generator["int | Turn", None, list[Result]]
Digesting = Generator["int | Turn", None, list[RecordDigest | None]]


class WorkerKilled(Exception):
    """The worker died over a request."""

    def __init__(self, mark: Mark | None) -> None:
        super().__init__("the worker was killed")
        self.mark = mark


class _Unreadable(Exception):
    """What is stored of `record` cannot be read."""

    def __init__(self, record: str) -> None:
        super().__init__(record)
        self.record = record


class Pool:
    """See the module. `kill` is asked before each request whether the worker dies over it."""

    def __init__(
        self,
        scheduler: Scheduler,
        load: Callable[[str], Sequence[bytes]],
        rng: random.Random,
        documents_max: int,
        latency_max: int,
        kill: Callable[[], bool],
    ) -> None:
        self._scheduler = scheduler
        self._load = load
        self._rng = rng
        self._documents_max = documents_max
        self._latency_max = latency_max
        self._kill = kill
        self._integrator = Integrator(documents_max)
        self._poisons = PoisonMemory()
        self._cached: set[str] = set()
        self._forgotten: set[str] = set()
        self._forgotten_all = False
        self._turn = Turn()
        self.kills = 0

    def forget_all(self) -> None:
        """Have every record loaded again before it is used."""
        self._cached.clear()
        self._forgotten_all = True

    def forget(self, record: str) -> None:
        """Have a record loaded again before it is used."""
        self._cached.discard(record)
        self._forgotten.add(record)
        self._poisons.discard(record, STORED)

    def integrate(self, items: Sequence[Item], stamp_max: int | None) -> Work:
        """See `IntegrationPool.integrate`."""
        yield self._turn
        plan = Plan(items, self._poisons)
        spared = False  # at most one death per batch, so that no innocent update is taken for poison
        while (request := self._next_request(plan)) is not None:
            self._forgotten.clear()
            self._forgotten_all = False
            dies = not spared and self._kill()
            spared = spared or dies
            yield self._rng.randint(20, self._latency_max)
            try:
                plan.answered(request, self._answer(request, stamp_max, dies))
            except WorkerKilled as death:
                plan.died(request, death.mark)
            self._cached.difference_update(self._forgotten)
            if self._forgotten_all:
                self._cached.clear()
        self._scheduler.release(self._turn)
        return plan.results()

    def digests(self, records: Sequence[str]) -> Digesting:
        """See `IntegrationPool.digests`."""
        found: list[RecordDigest | None] = []
        for start in range(0, len(records), 64):
            yield self._turn
            loaded: list[tuple[str, Sequence[bytes]]] = []
            for record in records[start : start + 64]:
                try:
                    loaded.append((record, tuple(self._load(record))))
                except StoreError:
                    continue
            yield self._rng.randint(20, self._latency_max)
            digests = {record: RecordDigest(record, *digest_of(stored)) for record, stored in loaded}
            found += [digests.get(record) for record in records[start : start + 64]]
            self._scheduler.release(self._turn)
        return found

    def _next_request(self, plan: Plan) -> Request | None:
        while True:
            try:
                return plan.next_request(self._held, self._readable)
            except _Unreadable as unreadable:
                plan.refuse(unreadable.record, "the stored record cannot be read")

    def _held(self, record: str) -> int | None:
        return 0 if record in self._cached else None  # no size is asked for: nothing here takes processor time

    def _readable(self, record: str) -> Sequence[bytes]:
        try:
            return self._load(record)
        except StoreError as error:
            raise _Unreadable(record) from error

    def _answer(self, request: Request, stamp_max: int | None, dies: bool) -> list[Result | None]:
        last = self._rng.randrange(len(request.items)) if dies else -1
        results: list[Result | None] = []
        evicted: set[str] = set()
        for index, (record, stored, updates, want_snapshot) in enumerate(request.items):
            if index == last:
                self._die(Mark(index, self._rng.randrange(len(updates) or 1)))
            if stored is None and record not in self._integrator.known:
                results.append(None)
                continue
            results.append(self._integrate(record, stored, updates, stamp_max, want_snapshot, evicted))
        for item, result in zip(request.items, results, strict=True):
            if result is None or result is UNREADABLE:
                self._cached.discard(item[0])
            else:
                self._cached.add(item[0])
        self._cached.difference_update(evicted - self._integrator.known)
        return results

    def _integrate(
        self,
        record: str,
        stored: Sequence[bytes] | None,
        updates: Sequence[bytes],
        stamp_max: int | None,
        want_snapshot: bool,
        evicted: set[str],
    ) -> Result:
        try:
            done = self._integrator.integrate(record, stored, updates, stamp_max, True, want_snapshot)
        except UpdateRefused:
            return UNREADABLE
        evicted.update(done.evicted)
        lineage = done.lineage if done.renewed else None
        return Result(done.verdicts, done.state_vector, done.snapshot, lineage)

    def _die(self, mark: Mark) -> None:
        self.kills += 1
        self._integrator = Integrator(self._documents_max)
        self._cached.clear()
        raise WorkerKilled(mark if self._rng.random() < 0.5 else None)


__all__ = ["STORED", "Pool", "WorkerKilled"]
