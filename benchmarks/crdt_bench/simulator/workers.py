"""The integration worker without its process: the shipped service answers on the loop, a while later, or dies of it."""

import asyncio
import random
from collections.abc import Callable, Sequence

from crdt_sync import limits
from crdt_sync.records.gate.integrate import Integrator
from crdt_sync.runtime.worker import pipe
from crdt_sync.runtime.worker.budget import Budget
from crdt_sync.runtime.worker.process import WorkerDied
from crdt_sync.runtime.worker.progress import Mark, Progress
from crdt_sync.runtime.worker.service import Service

_MARKED = 0.5  # how often a death leaves a mark
_LONG = 0.03  # how often a step takes a whole turn


class _Killed(Exception):
    """The worker is at the step at which it dies."""


class Marks(Progress):
    """The mark of a worker in this process, which can end it at one of its steps."""

    def __init__(self) -> None:  # no memory is shared
        self._at: tuple[int, Mark] | None = None
        self.left: int | None = None  # steps until it dies

    def write(self, number: int, item: int, update: int) -> None:
        """See `Progress`."""
        self._at = (number, Mark(item, update))
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise _Killed

    def rest(self) -> None:
        """See `Progress`."""
        self._at = None

    def read(self, number: int) -> Mark | None:
        """See `Progress`."""
        return self._at[1] if self._at is not None and self._at[0] == number else None

    def close(self) -> None:
        """See `Progress`."""


class LoopWorker:
    """See `worker.pool.Worker`. `kill` is asked before each request but the first whether the worker dies over it.

    The first is spared: an update that a worker dies of twice, the second time alone in a fresh one, is poison.
    """

    pid = 0

    def __init__(self, rng: random.Random, documents_max: int, latency_max: int, kill: Callable[[], bool]) -> None:
        self._rng = rng
        self._latency_max = latency_max
        self._kill = kill
        self._marks = Marks()
        self._used_us = 0
        self._service = Service(Integrator(documents_max), self._marks, lambda: self._used_us, self._step)
        self.alive = True
        self.fresh = True
        self.missing: Sequence[str] = ()

    async def ask(self, number: int, request: bytes, budget: Budget) -> bytes:
        """See `Worker.ask`."""
        dies = not self.fresh and self._kill()
        self.fresh = False
        await asyncio.sleep(self._rng.randint(20, self._latency_max) / 1e6)
        if not self.alive:
            raise WorkerDied("it was closed", None)
        if dies:
            self._marks.left = self._rng.randrange(4)
        try:
            answer = self._service.answer(request[pipe.LENGTH.size :])[pipe.LENGTH.size :]
        except _Killed:
            dies = True
        if dies:
            self.alive = False
            raise WorkerDied(
                "the worker was killed", self._marks.read(number) if self._rng.random() < _MARKED else None
            )
        return answer

    async def close(self) -> None:
        """See `Worker.close`."""
        self.alive = False

    def _step(self) -> int:
        """As if a step took little, and now and then a whole turn."""
        self._used_us += limits.SLOW_TURN_US if self._rng.random() < _LONG else 100
        return self._used_us
