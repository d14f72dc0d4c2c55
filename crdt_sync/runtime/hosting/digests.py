"""Digests that updates have made stale, computed in the worker: a relay builds no document in its own process."""

import asyncio
from typing import Protocol

from crdt_sync.runtime.hosting.rest import AtRest
from crdt_sync.runtime.worker.pool import IntegrationPool
from crdt_sync.storage import port
from crdt_sync.storage.values import Batch
from crdt_sync.storage.writer import Writer

_STALE_PER_COMMIT = 2048
_ROUNDS_MAX = 64  # while others keep writing, a receipt is of a moment that never comes


class Digests(Protocol):
    """Makes the digests of a store valid."""

    async def refresh(self) -> None:
        """Compute what is stale. Raises `StoreError`, `WorkerUnavailable`."""


class WorkerDigests:
    """See the module."""

    def __init__(self, store: port.Digests, pool: IntegrationPool, writer: Writer, rest: AtRest) -> None:
        self._store = store
        self._pool = pool
        self._writer = writer
        self._rest = rest
        self._turn = asyncio.Lock()

    async def refresh(self) -> None:
        """See `Digests`."""
        async with self._turn:
            for _ in range(_ROUNDS_MAX):
                stale = self._store.stale(_STALE_PER_COMMIT)
                if not stale or not await self._compute(stale):
                    return  # a busy relay's receipt names fewer records; whoever compares asks again

    async def _compute(self, stale: list[str]) -> bool:
        """Whether all of them could be computed."""
        before = self._rest.look(stale)
        computed = await self._pool.digests(stale)
        # What was changed meanwhile, or is about to be, is stale again: its digest would be of another state.
        digests: dict[str, bytes | None] = {
            record: answer.digest
            for record, answer in zip(stale, computed, strict=True)
            if answer is not None and before.lasts(record)
        }
        await asyncio.wrap_future(self._writer.submit(Batch(digests=digests)))
        return len(digests) == len(stale)
