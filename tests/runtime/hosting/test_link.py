"""A device that is let in may say more at once, however much the relay has to do just then."""

import asyncio
from dataclasses import replace
from itertools import count

from crdt_sync.limits import HELLO_BYTES_MAX
from crdt_sync.protocol import codec
from crdt_sync.protocol.messages import Ping, Pong, Want, WantEntry, Welcome
from crdt_sync.protocol.principal import everybody
from crdt_sync.runtime.hosting.engine import Engine
from crdt_sync.runtime.hosting.link import DeviceLink
from crdt_sync.runtime.outside import OUTSIDE
from crdt_sync.runtime.transports.memory import memory_pair
from crdt_sync.storage.memory import MemoryStore
from tests.protocol.scripted import hello

_LARGE = codec.encode(Want(0, tuple(WantEntry(f"customers/{number}", bytes(60)) for number in range(200))))


def test_an_answer_to_the_welcome_is_taken_while_others_wait_for_their_turns() -> None:
    assert len(_LARGE) > HELLO_BYTES_MAX

    async def talk() -> None:
        seconds = count()
        busy = replace(OUTSIDE, clock=lambda: float(next(seconds)))  # each step takes longer than a pass
        engine = Engine(MemoryStore(), everybody, lambda: 1_000_000, outside=busy)
        ours, theirs = memory_pair()
        reading = asyncio.create_task(DeviceLink(theirs, engine).read())
        ours.send(codec.encode(hello()))
        engine.queue.take(engine.queue.strangers, lambda: None)  # so the hello waits
        assert isinstance(codec.decode(await ours.receive()), Welcome)
        for frame in (_LARGE, codec.encode(Ping(7))):
            ours.send(frame)
        while codec.decode(await ours.receive()) != Pong(7):
            pass
        ours.abort()
        await reading
        await engine.stop(0, 0)

    asyncio.run(talk())
