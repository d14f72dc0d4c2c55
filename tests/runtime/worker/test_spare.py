"""SharedSpare: each worker becomes one pool's, one is warm for the next, and none is left at the end."""

import asyncio
from typing import cast

import pytest

from crdt_sync.runtime.worker.pool import IntegrationPool, Worker
from crdt_sync.runtime.worker.process import WorkerProcess, WorkerUnavailable
from crdt_sync.runtime.worker.spare import SharedSpare
from crdt_sync.runtime.worker.values import Item


class Pretended:
    """Starts workers that only know whether they were closed."""

    def __init__(self) -> None:
        self.started: list[Pretended.Worker] = []
        self.fails = False
        self.at_once = 0
        self.at_once_most = 0

    class Worker:
        closed = False

        async def close(self) -> None:
            self.closed = True

    async def start(self) -> Worker:
        self.at_once += 1
        self.at_once_most = max(self.at_once_most, self.at_once)
        await asyncio.sleep(0)
        self.at_once -= 1
        if self.fails:
            raise WorkerUnavailable("no memory")
        self.started.append(Pretended.Worker())
        return self.started[-1]


def spare_of(pretended: Pretended) -> SharedSpare:
    return SharedSpare(cast(type[WorkerProcess], pretended).start)


def test_each_takes_another_one_and_one_more_is_warm():
    async def scenario() -> None:
        pretended = Pretended()
        spare = spare_of(pretended)
        assert not pretended.started
        taken = await asyncio.gather(*(spare.take() for _ in range(5)))
        assert len(set(map(id, taken))) == 5
        assert pretended.at_once_most == 1
        await spare.close()
        assert len(pretended.started) == 6
        assert [worker.closed for worker in pretended.started] == [False] * 5 + [True]
        with pytest.raises(WorkerUnavailable):
            await spare.take()

    asyncio.run(scenario())


def test_a_start_that_fails_is_tried_again_by_the_next():
    async def scenario() -> None:
        pretended = Pretended()
        spare = spare_of(pretended)
        pretended.fails = True
        with pytest.raises(WorkerUnavailable):
            await spare.take()
        pretended.fails = False
        worker: Worker = await spare.take()
        assert worker is cast(Worker, pretended.started[0])
        await spare.close()

    asyncio.run(scenario())


def test_two_pools_never_have_one_worker_and_one_that_rests_takes_a_new_one():
    async def scenario() -> None:
        spare = SharedSpare(WorkerProcess.start)
        pools = [IntegrationPool(lambda _: (), keep_spare=False, start_worker=spare.take) for _ in range(2)]
        item = Item("probe/probe", (b"\x00\x00",))
        try:
            for pool in pools:
                await pool.integrate([item], None)
            first, second = (pool.pid for pool in pools)
            assert first != second
            pools[0].rest()
            assert pools[0].pid is None
            await pools[0].integrate([item], None)
            assert pools[0].pid not in {None, first, second}
            assert pools[1].pid == second
            assert pools[0].kills == 0
        finally:
            for pool in pools:
                await pool.close()
            await spare.close()

    asyncio.run(scenario())


def test_a_pool_does_not_rest_while_something_is_asked_of_it():
    async def scenario() -> None:
        pool = IntegrationPool(lambda _: (), keep_spare=False)
        try:
            await pool.start()
            asked = asyncio.create_task(pool.integrate([Item("probe/probe", (b"\x00\x00",))], None))
            await asyncio.sleep(0)
            pid = pool.pid
            pool.rest()
            assert pool.pid == pid
            await asked
        finally:
            await pool.close()

    asyncio.run(scenario())
