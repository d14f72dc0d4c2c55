"""A session that ends while its last commit is under way: the loop goes on, and nothing is committed afterwards."""

import asyncio
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from crdt_sync import Address, Replica
from crdt_sync.errors import ConnectionLost
from crdt_sync.runtime.conversation import Conversation
from crdt_sync.runtime.outside import Outside
from crdt_sync.runtime.transports.channel import Opened
from crdt_sync.runtime.transports.memory import memory_pair
from crdt_sync.storage.memory import MemoryStore

PATIENCE_S = 60.0


class SlowDisk(ThreadPoolExecutor):
    """What it was given last is over when `done` is set, which only the event loop does."""

    def __init__(self) -> None:
        super().__init__(1)
        self.waits = threading.Event()
        self.done = threading.Event()
        self.in_time: bool | None = None

    def shutdown(self, *arguments: Any, **named: Any) -> None:
        self.waits.set()
        self.in_time = self.done.wait(PATIENCE_S)
        super().shutdown(*arguments, **named)


def conversation(disk: SlowDisk) -> Conversation:
    async def open_channel(_: Address) -> Opened:
        ours, theirs = memory_pair()
        theirs.abort()
        return Opened(ours, "")

    rng = random.Random(1)
    replica = Replica.over(MemoryStore(rng=rng), rng=rng)
    return Conversation(
        replica, Address("ws://relay"), outside=Outside(open_channel=open_channel, make_thread=lambda: disk)
    )


async def settled(_: Conversation) -> None:
    await asyncio.Event().wait()


def test_the_loop_runs_on_while_a_session_waits_for_its_last_commit() -> None:
    async def scenario() -> None:
        disk = SlowDisk()
        run = asyncio.create_task(conversation(disk).run(settled))
        await asyncio.to_thread(disk.waits.wait, PATIENCE_S)
        disk.done.set()
        with pytest.raises(ConnectionLost):
            await run
        assert disk.in_time

    asyncio.run(scenario())


def test_a_session_that_is_cancelled_still_waits_for_its_last_commit() -> None:
    async def scenario() -> None:
        disk = SlowDisk()
        run = asyncio.create_task(conversation(disk).run(settled))
        await asyncio.to_thread(disk.waits.wait, PATIENCE_S)
        for _ in range(3):
            run.cancel()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        assert not run.done()
        disk.done.set()
        with pytest.raises(asyncio.CancelledError):
            await run
        assert disk.in_time

    asyncio.run(scenario())
