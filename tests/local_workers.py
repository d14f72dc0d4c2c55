"""Integration workers without processes: the service that they run answers on the loop of who asks.

A start of the process takes as long as most tests do beside it. These have no bounds on processor time, memory and
system calls; `tests/runtime/worker` is about those.
"""

import asyncio
from collections.abc import Sequence
from typing import Self

import pytest

from crdt_bench.simulator.workers import Marks
from crdt_sync import limits
from crdt_sync.records.gate.integrate import Integrator
from crdt_sync.runtime.worker import pipe
from crdt_sync.runtime.worker.budget import Budget
from crdt_sync.runtime.worker.process import WorkerDied, WorkerProcess
from crdt_sync.runtime.worker.service import Service

PROCESS = WorkerProcess.__dict__["_start"]


class LocalWorker:
    """See `worker.pool.Worker`. Whatever the service raises, it dies of, as the process would."""

    pid = 0

    def __init__(self) -> None:
        self._marks = Marks()
        self._service = Service(Integrator(limits.WORKER_DOCUMENTS_MAX), self._marks)
        self.alive = True
        self.fresh = True
        self.missing: Sequence[str] = ()

    @classmethod
    async def start(cls) -> Self:
        return cls()

    async def ask(self, number: int, request: bytes, budget: Budget) -> bytes:
        self.fresh = False
        await asyncio.sleep(0)
        if not self.alive:
            raise WorkerDied("it was closed", None)
        try:
            return self._service.answer(request[pipe.LENGTH.size :])[pipe.LENGTH.size :]
        except BaseException as error:  # a panic of native code is no `Exception`
            self.alive = False
            raise WorkerDied(repr(error), self._marks.read(number)) from error

    async def close(self) -> None:
        self.alive = False


def use_local_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have every worker that is started from now on be a local one."""
    monkeypatch.setattr(WorkerProcess, "_start", classmethod(lambda cls, *_: LocalWorker.start()))


def use_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have workers be processes again."""
    monkeypatch.setattr(WorkerProcess, "_start", PROCESS)
