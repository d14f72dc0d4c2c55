"""What has failed and whether it works again: the disk and the integration worker.

A relay that is not ready may get no devices, and so no commits that would show that it is well again: while
something fails, it is tried by itself, again and again.
"""

import asyncio
from collections.abc import Callable

import structlog

from crdt_sync.errors import CrdtSyncError, StoreCorrupt, StoreError, StoreFailed
from crdt_sync.runtime.worker.pool import IntegrationPool
from crdt_sync.runtime.worker.process import WorkerUnavailable
from crdt_sync.runtime.worker.values import Item
from crdt_sync.storage.port import Committer
from crdt_sync.storage.values import Batch

_PROBE_EVERY_S = 1.0
_PROBE = [Item("probe/probe", (b"\x00\x00",))]  # an empty update of a record that is never stored
_log = structlog.get_logger("crdt_sync.hosting")


class Health:
    """The state of one store and one pool. Call `close` before either is closed."""

    def __init__(self, store: Committer, pool: IntegrationPool, wall_clock: Callable[[], int]) -> None:
        self._store = store
        self._pool = pool
        self._wall_clock = wall_clock
        self._probing: asyncio.Task[None] | None = None
        self._closed = False
        self._refused_bytes = 0  # of the largest batch that failed: a smaller probe may fit where that does not
        self.store_failure: StoreError | None = None  # the last commit failed with this
        self.damage: StoreCorrupt | None = None  # stored bytes failed their checksum: stays until the store is mended
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
        _log.error("corrupt_record", record=corrupt.record, error=corrupt.message, hint=corrupt.hint)
        self.damage = corrupt

    def commit_failed(self, error: BaseException, size: int = 0) -> None:
        """The store refused a commit of `size` bytes."""
        self._refused_bytes = max(self._refused_bytes, size)
        if not isinstance(error, StoreError):
            _log.error("commit_failed", exc_info=error)
            error = StoreFailed(f"a commit failed: {type(error).__name__}")
        elif self.store_failure is None:
            _log.error("commit_failed", code=error.code, error=error.message, hint=error.hint)
        self.store_failure = error
        self._probe()

    def commit_succeeded(self) -> None:
        """The store took a commit."""
        if self.store_failure is not None:
            _log.info("commits_succeed_again")
            self.store_failure = None
            self._refused_bytes = 0

    def integration_failed(self, error: Exception) -> None:
        """The pool could not integrate at all."""
        if not isinstance(error, CrdtSyncError):
            _log.error("integration_failed", exc_info=error)
            return
        if self.worker_failure is None:
            _log.error("integration_unavailable", code=error.code, error=error.message, hint=error.hint)
        self.worker_failure = error
        self._probe()

    def integration_succeeded(self) -> None:
        """The pool answered."""
        if self.worker_failure is not None:
            _log.info("integration_available_again")
            self.worker_failure = None

    async def close(self) -> None:
        """Probe no more."""
        self._closed = True
        if self._probing is not None:
            self._probing.cancel()
            await asyncio.gather(self._probing, return_exceptions=True)

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
            self.store_failure = error
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
            self.worker_failure = error
        else:
            self.integration_succeeded()
