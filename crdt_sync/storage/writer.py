"""One thread that commits for everybody: whatever waits while one commit syncs goes into the next together."""

import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol

from crdt_sync.errors import StoreClosed, StoreFailed, StoreFull
from crdt_sync.limits import COMMIT_BATCHES_MAX
from crdt_sync.storage.port import Committer
from crdt_sync.storage.values import Batch, Committed

_LOGGER = logging.getLogger(__name__)
_STORE_WIDE = (StoreFull, StoreFailed, StoreClosed)


@dataclass(slots=True)
class WriterMetrics:
    """Commits made, batches in them, batches that were refused, and how long the last commit took."""

    commits: int = 0
    batches: int = 0
    refused: int = 0
    failures: int = 0  # commits that failed; see `GroupWriter.submit`
    last_commit_seconds: float = 0.0


Waiting = tuple[Batch, "Future[Committed]", int | None]
"""A batch, what is to become of it, and how many failed commits its maker knew of."""

AfterCommit = Callable[[Sequence[Batch], Sequence[Committed]], None]


class Writer(Protocol):
    """Commits batches in the order in which they were submitted; see `GroupWriter`."""

    metrics: WriterMetrics

    def submit(self, batch: Batch, failures: int | None = None) -> "Future[Committed]":
        """See `GroupWriter.submit`."""

    def close(self) -> None:
        """See `GroupWriter.close`."""


class GroupCommit:
    """Makes one commit of what waits, and says of each batch what became of it; see `GroupWriter`. Not thread-safe."""

    def __init__(self, store: Committer, after_commit: AfterCommit | None = None) -> None:
        self._store = store
        self._after_commit = after_commit
        self.metrics = WriterMetrics()

    def commit(self, joined: Sequence[Waiting]) -> None:
        """Commit these together, in order, and resolve their futures."""
        joined = [item for item in joined if not self._outdated(item)]
        if not joined:
            return
        batches = [batch for batch, _, _ in joined]
        started = time.perf_counter()
        try:
            committed = self._store.commit(batches)
        except BaseException as error:
            if len(joined) > 1 and not isinstance(error, _STORE_WIDE):
                # One batch is at fault; by themselves all others succeed.
                for item in joined:
                    self.commit([item])
                return
            self.metrics.failures += 1
            self.metrics.refused += len(joined)
            for _, future, _ in joined:
                future.set_exception(error)
            return
        self.metrics.last_commit_seconds = time.perf_counter() - started
        self.metrics.commits += 1
        self.metrics.batches += len(joined)
        if self._after_commit is not None:
            try:
                self._after_commit(batches, committed)
            except Exception:
                _LOGGER.exception("the listener of the store's writer failed; the commit stands")
        for (_, future, _), result in zip(joined, committed, strict=True):
            future.set_result(result)

    def _outdated(self, item: Waiting) -> bool:
        """Refuse a batch that may build on one that failed after it was made."""
        _, future, failures = item
        if failures is None or failures == self.metrics.failures:
            return False
        self.metrics.refused += 1
        future.set_exception(StoreFailed("an earlier commit failed, and this one may build on it", "Try again."))
        return True


class GroupWriter:
    """Joins batches into group commits on a thread of its own.

    `after_commit`, called on that thread before the futures are resolved, gets the batches of each commit that
    succeeded with what they were given; it must be quick; what it raises
    is logged. The store stays the caller's to close.
    """

    def __init__(
        self,
        store: Committer,
        *,
        batches_max: int = COMMIT_BATCHES_MAX,
        waiting_max: int = 2 * COMMIT_BATCHES_MAX,
        after_commit: AfterCommit | None = None,
    ) -> None:
        self._group = GroupCommit(store, after_commit)
        self._batches_max = batches_max
        self._waiting: queue.Queue[Waiting | None] = queue.Queue(waiting_max)
        self._closing = threading.Lock()
        self._closed = False
        self.metrics = self._group.metrics
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._thread.start()

    def submit(self, batch: Batch, failures: int | None = None) -> "Future[Committed]":
        """Have `batch` committed; the future is done when it is durable, or holds the error that refused it.

        `failures` is how many failed commits (`metrics.failures`) the caller knew of when it made the batch: one
        that builds on a batch that was refused since is refused too. None: it builds on nothing.

        Blocks while `waiting_max` batches wait: that is the disk's pace. Raises `StoreClosed` after `close`.
        """
        future: Future[Committed] = Future()
        with self._closing:
            if self._closed:
                raise StoreClosed("the writer was closed", "Open the store again.")
            self._waiting.put((batch, future, failures))
        return future

    def commit(self, batch: Batch) -> Committed:
        """`submit` and wait."""
        return self.submit(batch).result()

    def close(self) -> None:
        """Commit all that waits, then end the thread; closing twice is harmless."""
        with self._closing:
            if not self._closed:
                self._closed = True
                self._waiting.put(None)
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _run(self) -> None:
        closing = False
        while not closing:
            joined, closing = self._gather()
            # A cancelled future is left out; from here on none can be cancelled.
            joined = [item for item in joined if item[1].set_running_or_notify_cancel()]
            if joined:
                self._group.commit(joined)

    def _gather(self) -> tuple[list[Waiting], bool]:
        """Wait for one batch and take all that are there with it; True when it was the last."""
        first = self._waiting.get()
        if first is None:
            return [], True
        joined = [first]
        while len(joined) < self._batches_max:
            try:
                item = self._waiting.get_nowait()
            except queue.Empty:
                break
            if item is None:
                return joined, True
            joined.append(item)
        return joined, False
