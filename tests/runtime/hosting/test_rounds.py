"""Followers are told at once what is new after a rest, and together what came while all were told the last."""

import asyncio
from collections.abc import Callable, Iterable
from functools import partial
from typing import cast

import pytest

from crdt_sync import limits
from crdt_sync.protocol import codec
from crdt_sync.protocol.messages import Terms, Updates
from crdt_sync.protocol.principal import everybody
from crdt_sync.protocol.versions import FEATURES
from crdt_sync.runtime.hosting import rounds
from crdt_sync.runtime.hosting.engine import Engine
from crdt_sync.runtime.hosting.fair_queue import FairQueue
from crdt_sync.runtime.hosting.rounds import Rounds
from crdt_sync.storage.memory import MemoryStore
from crdt_sync.storage.values import Batch, Change
from tests.protocol.scripted import US, hello
from tests.runtime.hosting.links import QuietLink

FOLLOWERS = 2


class KeptFrames(QuietLink):
    """A link that keeps what updates it was sent, frame by frame."""

    def __init__(self) -> None:
        self.frames: list[list[bytes]] = []
        self.came = asyncio.Event()

    def send(self, frame: bytes) -> None:
        message = codec.decode(frame, version=2)
        if isinstance(message, Updates):
            self.frames.append([entry.update for entry in message.entries])
            self.came.set()


def test_what_is_new_joins_while_followers_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    async def follow() -> None:
        monkeypatch.setattr(rounds, "_REST_US", 30_000)
        store = MemoryStore()
        engine = Engine(store, everybody, lambda: 1_000_000)
        links = [KeptFrames() for _ in range(FOLLOWERS)]
        for link in links:
            engine.receive(engine.connect(link), codec.encode(hello()))
        for update in (b"first", b"second", b"third"):
            store.commit([Batch(changes=(Change(US, (update,), b"r" * 16, "", 1, b"\x01\x01\x01"),))])
            engine.written_beside([US])
        assert [link.frames for link in links] == [[[b"first"]]] * FOLLOWERS
        for link in links:
            link.came.clear()
        await asyncio.gather(*(link.came.wait() for link in links))
        assert [link.frames for link in links] == [[[b"first"], [b"second", b"third"]]] * FOLLOWERS
        await engine.stop(0, 0)

    asyncio.run(follow())


def test_one_that_cannot_be_told_keeps_nobody_else_from_hearing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounds, "_REST_US", 0)

    async def tell() -> None:
        loop = asyncio.get_running_loop()
        told: list[int] = []
        raised: list[object] = []
        loop.set_exception_handler(lambda _, context: raised.append(context["exception"]))

        def fill(session: int) -> None:
            told.append(session)
            if session in broken:
                raise ValueError("no")

        broken = {1, 2, 4}
        telling = Rounds(loop, FairQueue(loop, lambda: 0.0), lambda: range(1, 5), fill)
        with pytest.raises(ValueError, match="no"):
            telling.begin()
        telling.begin()  # something is new meanwhile
        for _ in range(100):
            await asyncio.sleep(0)
        telling.stop()
        assert told == [1, 2, 3, 4] * 2
        assert len(raised) == 5  # all but the first, which whoever began the round heard

    asyncio.run(tell())


def test_all_are_told_a_part_of_them_at_once() -> None:
    async def tell() -> None:
        loop, told = asyncio.get_running_loop(), list[int]()
        everybody_here = range(rounds._AT_ONCE + 10)
        telling = Rounds(loop, FairQueue(loop), lambda: everybody_here, told.append)
        telling.begin()
        assert len(told) == rounds._AT_ONCE
        for _ in range(10):
            await asyncio.sleep(0)
        assert told == list(everybody_here)
        telling.stop()

    asyncio.run(tell())


def test_so_many_are_told_in_a_step_as_was_said() -> None:
    async def tell() -> None:
        loop = asyncio.get_running_loop()
        told: list[int] = []
        queue = FairQueue(loop, lambda: 0.0)
        telling = Rounds(loop, queue, lambda: range(20), told.append, at_once=8)
        telling.begin()
        steps = [len(told)]
        while len(told) < 20:
            await asyncio.sleep(0)
            if len(told) != steps[-1]:
                steps.append(len(told))
        assert steps == [8, 16, 20]

    asyncio.run(tell())


def test_those_who_cannot_be_told_together_are_told_alone_in_the_same_step_or_after_one_that_fails() -> None:
    async def tell() -> None:
        loop = asyncio.get_running_loop()
        told: list[object] = []
        loop.set_exception_handler(lambda _, context: told.append(str(context["exception"])))

        def alike(sessions: Iterable[int]) -> list[int]:
            together = list(sessions)
            told.append(("together", together))
            return [session for session in together if session % 2]

        def fill(session: int) -> None:
            if session == 3:
                raise ValueError("no")
            told.append(session)

        telling = Rounds(loop, FairQueue(loop, lambda: 0.0), lambda: range(1, 8), fill, at_once=5, alike=alike)
        with pytest.raises(ValueError, match="no"):
            telling.begin()
        for _ in range(10):
            await asyncio.sleep(0)
        assert told == [("together", [1, 2, 3, 4, 5]), 1, 5, ("together", [6, 7]), 7]

    asyncio.run(tell())


class Slow(KeptFrames):
    """A link that has no room once it was sent as many frames of updates as it takes."""

    def __init__(self, takes: int) -> None:
        super().__init__()
        self.takes = takes
        self.asked = 0

    def has_room(self) -> bool:
        return len(self.frames) < self.takes

    def call_when_room(self) -> None:
        self.asked += 1

    @property
    def unsent(self) -> int:  # type: ignore[override]
        return 0 if self.has_room() else 100_000


def test_one_that_does_not_take_what_it_is_told_is_told_no_more_and_keeps_nobody_else_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rounds, "_REST_US", 0)

    async def follow() -> None:
        store = MemoryStore()
        engine = Engine(store, everybody, lambda: 1_000_000)
        slow, quick, full = Slow(1), KeptFrames(), Slow(0)
        sessions = [engine.connect(link) for link in (slow, quick, full)]
        for session in sessions:
            engine.receive(session, codec.encode(hello(versions=(2,))))
            engine.receive(session, codec.encode(Terms(b"r" * 16, False, b"d" * 16, tuple(FEATURES)), 2))
        for update in (b"first", b"second", b"third"):
            store.commit([Batch(changes=(Change(US, (update,), b"r" * 16, "", 1, b"\x01\x01\x01"),))])
            engine.written_beside([US])
            for _ in range(10):
                await asyncio.sleep(0)
        assert quick.frames == [[b"first"], [b"second"], [b"third"]]
        assert slow.frames == [[b"first"]]
        assert full.frames == []
        assert slow.asked
        assert full.asked
        assert engine.untaken.held == 100_000
        slow.takes = 9
        engine.fill(sessions[0])
        assert slow.frames == [[b"first"], [b"second", b"third"]]
        assert engine.untaken.held == 0
        await engine.stop(0, 0)

    asyncio.run(follow())


class Broken(KeptFrames):
    """A link that fails where it is told together with others."""

    def tell(self, frame: bytes) -> bool:
        raise ValueError("no")


def test_a_link_that_fails_when_many_are_told_together_ends_its_session_and_no_other_misses_anything(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rounds, "_REST_US", 0)

    async def follow() -> None:
        store = MemoryStore()
        engine = Engine(store, everybody, lambda: 1_000_000)
        links = [KeptFrames(), Broken(), KeptFrames()]
        for link in links:
            session = engine.connect(link)
            engine.receive(session, codec.encode(hello(versions=(2,))))
            engine.receive(session, codec.encode(Terms(b"r" * 16, False, b"d" * 16, tuple(FEATURES)), 2))
        for update in (b"first", b"second"):
            store.commit([Batch(changes=(Change(US, (update,), b"r" * 16, "", 1, b"\x01\x01\x01"),))])
            engine.written_beside([US])
            for _ in range(10):
                await asyncio.sleep(0)
        assert [link.frames for link in links] == [[[b"first"], [b"second"]], [], [[b"first"], [b"second"]]]
        assert [bool(link.closed) for link in links] == [False, True, False]
        await engine.stop(0, 0)

    asyncio.run(follow())


class Hoarder:
    """Somebody who has not taken what was sent."""

    def room_given(self, size: int) -> None:
        pass

    def give_way(self) -> None:
        pass


def test_nobody_is_told_much_together_with_others_while_there_is_no_room_for_what_is_not_taken() -> None:
    async def follow() -> None:
        store = MemoryStore()
        engine = Engine(store, everybody, lambda: 1_000_000)
        links, hoarder = [KeptFrames(), KeptFrames()], Hoarder()
        for link in links:
            session = engine.connect(link)
            engine.receive(session, codec.encode(hello(versions=(2,))))
            engine.receive(session, codec.encode(Terms(b"r" * 16, False, b"d" * 16, tuple(FEATURES)), 2))
        engine.untaken.keep(hoarder, limits.UNTAKEN_BYTES_MAX)
        update = bytes(limits.SMALL_FRAME_BYTES + 1)
        store.commit([Batch(changes=(Change(US, (update,), b"r" * 16, "", 1, b"\x01\x01\x01"),))])
        engine.written_beside([US])
        for _ in range(10):
            await asyncio.sleep(0)
        assert [link.frames for link in links] == [[], []]
        engine.untaken.leave(hoarder)
        await asyncio.gather(*(link.came.wait() for link in links))
        assert [link.frames for link in links] == [[[update]], [[update]]]
        await engine.stop(0, 0)

    asyncio.run(follow())


class Timers:
    """As much of a loop as rounds need: its time is set, and its timers are looked at."""

    def __init__(self) -> None:
        self.now = 0.0
        self.due: list[tuple[float, Callable[[], None]]] = []
        self.soon: list[Callable[[], object]] = []

    def time(self) -> float:
        return self.now

    def call_soon(self, callback: Callable[..., object], *arguments: object) -> None:
        self.soon.append(partial(callback, *arguments))

    def call_at(self, when: float, callback: Callable[[], None]) -> None:
        self.due.append((when, callback))

    def call_later(self, delay: float, callback: Callable[[], None]) -> None:
        self.call_at(self.now + delay, callback)


@pytest.mark.parametrize(
    ("followers", "news", "rest_us"),
    [(2, 1, 50), (2, 15, 50), (2, 16, 200), (40, 16, 4000), (400, 16, 20_000), (1000, 2, 25_000), (1000, 99, 25_000)],
)
def test_the_rest_is_longer_where_much_comes_up_to_a_bound(followers: int, news: int, rest_us: int) -> None:
    timers = Timers()
    loop = cast("asyncio.AbstractEventLoop", timers)
    at_once: list[int] = []
    numbers = iter([7, 7 + news])
    telling = Rounds(
        loop,
        FairQueue(loop, lambda: 0.0),
        lambda: range(followers),
        at_once.append,
        at_once=followers,
        rest_us=25,
        newest=lambda: next(numbers),
    )
    telling.begin()
    telling.begin()
    assert len(at_once) == followers
    (_, begin), *_ = timers.due
    timers.due.clear()
    timers.now = 1.0
    begin()
    assert len(at_once) == 2 * followers
    telling.begin()
    ((when, _),) = timers.due
    assert when == pytest.approx(1.0 + rest_us / 1e6)


def test_where_much_comes_the_longer_rest_begins_when_all_were_told() -> None:
    async def tell() -> None:
        loop = asyncio.get_running_loop()
        timers = Timers()
        steps = timers.soon
        queue = FairQueue(loop, lambda: 0.0)
        told: list[int] = []
        numbers = iter([7, 23])
        telling = Rounds(
            cast("asyncio.AbstractEventLoop", timers),
            queue,
            lambda: range(20),
            told.append,
            at_once=10,
            rest_us=25,
            newest=lambda: next(numbers),
        )
        telling.begin()
        telling.begin()
        steps.pop()()
        (_, begin) = timers.due.pop()
        timers.now = 1.0
        begin()
        timers.now = 2.0
        steps.pop()()
        assert len(told) == 40
        telling.begin()
        ((when, _),) = timers.due
        assert when == pytest.approx(2.0 + 4 * 20 * 25 / 1e6)

    asyncio.run(tell())
