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


class Quiet:
    """A relay on a clock of the test's own, and a device that said hello and nothing since."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0
        monkeypatch.setattr(Engine, "_now", lambda _: self.now)
        self.engine = Engine(MemoryStore(), everybody, lambda: 1_000_000)
        self.link = QuietLink()
        self.session = self.engine.connect(self.link)
        self.engine.receive(self.session, codec.encode(hello()))

    @property
    def due(self) -> int | None:
        """When its timer is to wake; None once its session is over."""
        seat = self.engine._filling.seats.get(self.session)
        return None if seat is None else seat.due

    def wake(self, now: int) -> None:
        self.now = now
        self.engine._timer(self.session)


def test_silence_counts_only_while_the_relay_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    async def talk() -> None:
        quiet = Quiet(monkeypatch)
        engine = quiet.engine
        monkeypatch.setattr(engine.hub, "congested", lambda *_: True)

        def pass_time(us: int) -> None:
            """The timer wakes whenever it wants to."""
            end = quiet.now + us
            while (due := quiet.due) is not None and due <= end:
                quiet.wake(due)
            quiet.now = end

        reading = asyncio.create_task(engine.readable(quiet.session, 1))
        await asyncio.sleep(0)
        quiet.wake(10 * SILENCE_US_MAX)
        assert quiet.link.closed == ""
        assert not reading.done()
        monkeypatch.setattr(engine.hub, "congested", lambda *_: False)
        quiet.wake(quiet.now)
        await reading
        pass_time(SILENCE_US_MAX - KEEPALIVE_US)
        assert quiet.link.closed == ""
        pass_time(2 * KEEPALIVE_US)
        assert quiet.link.closed == "the partner fell silent"
        await engine.stop(0, 0)

    asyncio.run(talk())


def test_nobody_is_silent_for_the_time_in_which_the_relay_stood_still(monkeypatch: pytest.MonkeyPatch) -> None:
    async def stand_still() -> None:
        quiet = Quiet(monkeypatch)
        quiet.engine._arm(quiet.session)
        quiet.wake(10 * SILENCE_US_MAX)
        assert quiet.link.closed == ""
        for _ in range(3):  # it is as silent while the relay listens
            if (due := quiet.due) is not None:
                quiet.wake(due)
        assert quiet.link.closed == "the partner fell silent"
        await quiet.engine.stop(0, 0)

    asyncio.run(stand_still())
