"""A device whose pushes wait for our disk is not read, and not blamed for it."""

import asyncio

import pytest

from crdt_sync.limits import KEEPALIVE_US, SILENCE_US_MAX
from crdt_sync.protocol import codec
from crdt_sync.protocol.principal import everybody
from crdt_sync.runtime.hosting.engine import Engine
from crdt_sync.storage.memory import MemoryStore
from tests.protocol.scripted import hello
from tests.runtime.hosting.links import QuietLink


def test_silence_counts_only_while_the_relay_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    async def talk() -> None:
        now = 0
        monkeypatch.setattr(Engine, "_now", lambda _: now)
        engine = Engine(MemoryStore(), everybody, lambda: 1_000_000)
        link = QuietLink()
        session = engine.connect(link)
        engine.receive(session, codec.encode(hello()))
        monkeypatch.setattr(engine.hub, "congested", lambda _: True)
        reading = asyncio.create_task(engine.readable(session))
        await asyncio.sleep(0)
        now = 10 * SILENCE_US_MAX
        engine._timer(session)
        assert link.closed == ""
        assert not reading.done()
        monkeypatch.setattr(engine.hub, "congested", lambda _: False)
        engine._timer(session)
        await reading
        now += SILENCE_US_MAX - KEEPALIVE_US
        engine._timer(session)
        assert link.closed == ""
        now += 2 * KEEPALIVE_US
        engine._timer(session)
        assert link.closed == "the partner fell silent"
        await engine.stop(0, 0)

    asyncio.run(talk())
