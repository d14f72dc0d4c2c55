"""What has failed and whether it works again: the disk and the integration worker.

A relay that is not ready may get no devices, and so no commits that would show that it is well again: while
something fails, it is tried by itself, again and again. And a relay that answers nobody need not have failed at
anything: who asks whether it is well has a canary go the way of a push, in bounded time.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from crdt_sync import limits
from crdt_sync.errors import CrdtSyncError, StoreCorrupt, StoreError, StoreFailed
from crdt_sync.runtime.hosting.logs import LOG, Log
from crdt_sync.runtime.worker.pool import IntegrationPool
from crdt_sync.runtime.worker.process import WorkerUnavailable
from crdt_sync.runtime.worker.values import Item
from crdt_sync.storage.port import Committer
from crdt_sync.storage.values import Batch

_PROBE_EVERY_S = 1.0
_CANARY_EVERY_S = 2.0  # who asks more often is told the same
_PROBE = [Item("probe/probe", (b"\x00\x00",))]  # an empty update of a record that is never stored


class Health:
    """The state of one store and one pool. Call `close` before either is closed."""

    def __init__(self, store: Committer, pool: IntegrationPool, wall_clock: Callable[[], int], log: Log = LOG) -> None:
        self._log = log
        self._store = store
        self._pool = pool
        self._wall_clock = wall_clock
        self._probing: asyncio.Task[None] | None = None
        self._canary: asyncio.Task[str | None] | None = None
        self._canary_until = 0.0  # loop time until which the last one counts
        self._under_way: dict[str, asyncio.Task[None]] = {}  # tries that took too long for a canary
        self._closed = False
        self._refused_bytes = 0  # of the largest batch that failed: a smaller probe may fit where that does not
        self.store_failure: StoreError | None = None  # the last commit failed with this
        self.damage: StoreCorrupt | None = None  # stored bytes failed their checksum: stays until the store is mended
        self._damages_told: set[str] = set()  # messages that were logged
        self.worker_failure: CrdtSyncError | None = None  # no worker could be started

    @property
    def reason(self) -> str | None:
        """Why the relay cannot serve just now, or None."""
        if self.damage is not None:
            return f"{self.damage.code}: stop the relay and run crdt-relay verify --repair"
        if self.store_failure is not None:
            return f"{self.store_failure.code}: the last commit failed"
        if self.worker_failure is not None:
            return f"{self.worker_failure.code}: no integration worker"
        return None

    def damaged(self, corrupt: StoreCorrupt) -> None:
        """A stored value failed its checksum. What is intact is served on."""
        self.damage = corrupt
        if corrupt.message in self._damages_told:
            return  # met again: a partner asks for it, or pushes it, every other second
        if len(self._damages_told) < limits.DAMAGED_NAMED_MAX:
            self._damages_told.add(corrupt.message)
        self._log.error("corrupt_record", record=corrupt.record, error=corrupt.message, hint=corrupt.hint)

    def commit_failed(self, error: BaseException, size: int = 0) -> None:
        """The store refused a commit of `size` bytes."""
        self._refused_bytes = max(self._refused_bytes, size)
        if not isinstance(error, StoreError):
            self._log.error("commit_failed", exc_info=error)
            error = StoreFailed(f"a commit failed: {type(error).__name__}")
        elif self.store_failure is None:
            self._log.error("commit_failed", code=error.code, error=error.message, hint=error.hint)
        self.store_failure = error
        self._probe()

    def commit_succeeded(self) -> None:
        """The store took a commit."""
        if self.store_failure is not None:
            self._log.info("commits_succeed_again")
            self.store_failure = None
            self._refused_bytes = 0

    def integration_failed(self, error: Exception) -> None:
        """The pool could not integrate at all."""
        if not isinstance(error, CrdtSyncError):
            self._log.error("integration_failed", exc_info=error)
            return
        if self.worker_failure is None:
            self._log.error("integration_unavailable", code=error.code, error=error.message, hint=error.hint)
        self.worker_failure = error
        self._probe()

    def integration_succeeded(self) -> None:
        """The pool answered."""
        if self.worker_failure is not None:
            self._log.info("integration_available_again")
            self.worker_failure = None

    async def canary(self) -> str | None:
        """Why nothing would be stored just now, or None: something goes through the worker, and to the disk."""
        loop = asyncio.get_running_loop()
        if self._canary is None or (self._canary.done() and loop.time() >= self._canary_until):
            self._canary = loop.create_task(self._try_all())
        return await asyncio.shield(self._canary)

    async def close(self) -> None:
        """Probe no more."""
        self._closed = True
        tasks = [task for task in (self._probing, self._canary, *self._under_way.values()) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _try_all(self) -> str | None:
        reason = await self._in_time("the integration worker", self._probe_worker)
        reason = reason or await self._in_time("the store", self._probe_store)
        self._canary_until = asyncio.get_running_loop().time() + _CANARY_EVERY_S
        return reason or self.reason

    async def _in_time(self, what: str, attempt: Callable[[], Coroutine[Any, Any, None]]) -> str | None:
        """Make an attempt, unless the last one is still under way: it is not cancelled, as that ends the worker."""
        task = self._under_way.get(what)
        if task is None:
            task = self._under_way[what] = asyncio.create_task(attempt())
        await asyncio.wait((task,), timeout=limits.CANARY_US_MAX / 1e6)
        if not task.done():
            return f"busy: {what} did not answer within {limits.CANARY_US_MAX // 1_000_000} s"
        del self._under_way[what]
        return None if task.exception() is None else f"failed: {what} answered {task.exception()}"

    def _probe(self) -> None:
        if not self._closed and (self._probing is None or self._probing.done()):
            self._probing = asyncio.create_task(self._probe_until_well())

    async def _probe_until_well(self) -> None:
        while self.store_failure is not None or self.worker_failure is not None:
            await asyncio.sleep(_PROBE_EVERY_S)
            if self.store_failure is not None:
                await self._probe_store()
            if self.worker_failure is not None:
                await self._probe_worker()

    async def _probe_store(self) -> None:
        try:
            await asyncio.get_running_loop().run_in_executor(None, self._try_store, self._refused_bytes)
        except StoreError as error:
            self.commit_failed(error)
        else:
            self.commit_succeeded()

    def _try_store(self, size: int) -> None:
        # Not through the writer: its count of failures says what later batches may build on.
        self._store.commit([Batch(meta={"probe": bytes(size) + self._wall_clock().to_bytes(8, "big")})])
        self._store.commit([Batch(meta={"probe": None})])

    async def _probe_worker(self) -> None:
        try:
            await self._pool.integrate(_PROBE, None)
        except WorkerUnavailable as error:
            self.integration_failed(error)
        else:
            self.integration_succeeded()
