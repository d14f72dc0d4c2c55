"""The group writer's thread as delays on the loop: the shipped commit, later, and told of later still."""

import asyncio
import random
from collections import deque
from concurrent.futures import Future

from crdt_sync.errors import StoreClosed
from crdt_sync.limits import COMMIT_BATCHES_MAX
from crdt_sync.storage.port import Committer
from crdt_sync.storage.values import Batch, Committed
from crdt_sync.storage.writer import GroupCommit, Waiting

_NOTICE_S = 20e-6
_STALLS = 0.1  # how often the disk takes ten times as long, so that more commits are on their way


class LoopWriter:
    """See `storage.writer.Writer`. A commit takes up to `latency_max` microseconds, or ten times that on a bad day."""

    def __init__(self, commits: Committer, rng: random.Random, latency_max: int) -> None:
        self._group = GroupCommit(commits)
        self._rng = rng
        self._latency_max = latency_max
        self._waiting: deque[Waiting] = deque()
        self._loop = asyncio.get_running_loop()
        self._joined: list[Waiting] = []  # in the commit under way
        self._closed = False
        self.metrics = self._group.metrics

    def submit(self, batch: Batch, failures: int | None = None) -> "Future[Committed]":
        """See `GroupWriter.submit`."""
        if self._closed:
            raise StoreClosed("the writer was closed", "Open the store again.")
        done: Future[Committed] = Future()
        told: Future[Committed] = Future()
        done.add_done_callback(lambda _: self._loop.call_later(_NOTICE_S, _copy, done, told))
        self._waiting.append((batch, done, failures))
        if not self._joined:
            self._begin()
        return told

    def close(self) -> None:
        """See `GroupWriter.close`."""
        self._closed = True
        while self._joined or self._waiting:
            self._commit()

    def _begin(self) -> None:
        """Take what waits now; what comes while it is committed goes into the next commit."""
        self._joined = [self._waiting.popleft() for _ in range(min(len(self._waiting), COMMIT_BATCHES_MAX))]
        if self._joined:
            takes = self._rng.randint(50, self._latency_max) * (10 if self._rng.random() < _STALLS else 1)
            self._loop.call_later(takes / 1e6, self._commit)

    def _commit(self) -> None:
        joined, self._joined = self._joined, []
        if joined:
            self._group.commit(joined)
        self._begin()


def _copy(done: "Future[Committed]", told: "Future[Committed]") -> None:
    error = done.exception()
    if not told.set_running_or_notify_cancel():
        return
    if error is not None:
        told.set_exception(error)
    else:
        told.set_result(done.result())
