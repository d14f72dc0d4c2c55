"""One warm worker for several pools: it has seen nothing yet, so it may become anybody's.

Once a pool has taken it, it stays that pool's until its end: what a worker holds in memory is of one store. Workers are
started one at a time, as each takes a third of a second of a processor.
"""

import asyncio

from crdt_sync.runtime.worker.pool import StartWorker, Worker
from crdt_sync.runtime.worker.process import WorkerUnavailable


class SharedSpare:
    """See the module. `take` is a `StartWorker`; from the first time on, a spare is kept for the next."""

    def __init__(self, start: StartWorker) -> None:
        self._start = start
        self._turn = asyncio.Lock()
        self._spare: asyncio.Task[Worker] | None = None
        self._closed = False

    async def take(self) -> Worker:
        """A worker of which nothing was asked yet. Raises `WorkerUnavailable`."""
        async with self._turn:
            starting = self._spare or asyncio.create_task(self._begin())
            self._spare = starting
            try:
                worker = await asyncio.shield(starting)
            except WorkerUnavailable:
                self._spare = None
                raise
            self._spare = None if self._closed else asyncio.create_task(self._begin())
            return worker

    async def close(self) -> None:
        """Kill the one that nobody took; nobody may take one any more."""
        self._closed = True
        spare, self._spare = self._spare, None
        if spare is not None:  # not cancelled: a start that is cut off half-way leaves its process to chance
            (outcome,) = await asyncio.gather(spare, return_exceptions=True)
            if not isinstance(outcome, BaseException):
                await outcome.close()

    async def _begin(self) -> Worker:
        if self._closed:
            raise WorkerUnavailable("no worker is started any more")
        return await self._start()
