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

        def pass_time(us: int) -> None:
            """The timer wakes whenever it wants to."""
            nonlocal now
            end = now + us
            while session in engine._seats and engine._seats[session].due <= end:
                now = engine._seats[session].due
                engine._timer(session)
            now = end

        reading = asyncio.create_task(engine.readable(session))
        await asyncio.sleep(0)
        now = 10 * SILENCE_US_MAX
        engine._timer(session)
        assert link.closed == ""
        assert not reading.done()
        monkeypatch.setattr(engine.hub, "congested", lambda _: False)
        engine._timer(session)
        await reading
        pass_time(SILENCE_US_MAX - KEEPALIVE_US)
        assert link.closed == ""
        pass_time(2 * KEEPALIVE_US)
        assert link.closed == "the partner fell silent"
        await engine.stop(0, 0)

    asyncio.run(talk())


def test_nobody_is_silent_for_the_time_in_which_the_relay_stood_still(monkeypatch: pytest.MonkeyPatch) -> None:
    async def stand_still() -> None:
        now = 0
        monkeypatch.setattr(Engine, "_now", lambda _: now)
        engine = Engine(MemoryStore(), everybody, lambda: 1_000_000)
        link = QuietLink()
        session = engine.connect(link)
        engine.receive(session, codec.encode(hello()))
        engine._arm(session)
        now = 10 * SILENCE_US_MAX
        engine._timer(session)
        assert link.closed == ""
        for _ in range(3):  # it is as silent while the relay listens
            now = engine._seats[session].due
            engine._timer(session)
            if link.closed:
                break
        assert link.closed == "the partner fell silent"
        await engine.stop(0, 0)

    asyncio.run(stand_still())
