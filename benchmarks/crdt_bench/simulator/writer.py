"""The group writer on virtual time: mirrors `crdt_sync.storage.writer.GroupWriter`; its thread is a delay here."""

import random
from collections import deque
from collections.abc import Callable

from crdt_bench.simulator.scheduler import Host, Process, Scheduler
from crdt_sync.errors import StoreError, StoreFailed, StoreFull
from crdt_sync.limits import COMMIT_BATCHES_MAX
from crdt_sync.storage.port import Batch, Committed
from crdt_sync.storage.writer import Committer

Done = Callable[["Committed | StoreError"], None]
_Waiting = tuple[Batch, Done, int | None]


class Writer:
    """Joins batches into commits. Each takes `latency()` to sync and `notice()` until the host hears of it."""

    def __init__(
        self, host: Host, scheduler: Scheduler, commits: Committer, rng: random.Random, latency_max: int
    ) -> None:
        self._host = host
        self._scheduler = scheduler
        self._commits = commits
        self._rng = rng
        self._latency_max = latency_max
        self._waiting: deque[_Waiting] = deque()
        self._busy = False
        self.failures = 0

    def submit(self, batch: Batch, done: Done, failures: int | None = None) -> None:
        """Have `batch` committed; `done` gets what it was given, or the error that refused it."""
        self._waiting.append((batch, done, failures))
        if not self._busy:
            self._busy = True
            self._scheduler.start(self._host, self._run())

    def _run(self) -> Process:
        while self._waiting:
            joined = [self._waiting.popleft() for _ in range(min(len(self._waiting), COMMIT_BATCHES_MAX))]
            yield self._rng.randint(50, self._latency_max)
            self._commit(joined)
            yield 0
        self._busy = False

    def _commit(self, joined: list[_Waiting]) -> None:
        current: list[_Waiting] = []
        for item in joined:
            if item[2] is not None and item[2] != self.failures:
                self._tell(item[1], StoreFailed("an earlier commit failed, and this one may build on it"))
            else:
                current.append(item)
        if not current:
            return
        try:
            committed = self._commits.commit([batch for batch, _, _ in current])
        except StoreError as error:
            if len(current) > 1 and not isinstance(error, StoreFull | StoreFailed):
                for item in current:  # one batch is at fault; by themselves all others succeed
                    self._commit([item])
            else:
                self._fail(current, error)
        else:
            for (_, done, _), result in zip(current, committed, strict=True):
                self._tell(done, result)

    def _fail(self, joined: list[_Waiting], error: StoreError) -> None:
        self.failures += 1
        for _, done, _ in joined:
            self._tell(done, error)

    def _tell(self, done: Done, outcome: Committed | StoreError) -> None:
        """The loop hears of it a moment later, in order."""
        self._scheduler.after(20, self._host, done, outcome)
