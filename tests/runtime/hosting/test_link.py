"""A device that is let in may say more at once, however much the relay has to do just then."""

import asyncio
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import count

import pytest

from crdt_sync.limits import HELLO_BYTES_MAX, LINK_BYTES_PER_S_MIN, SILENCE_US_MAX
from crdt_sync.protocol import codec
from crdt_sync.protocol.messages import Ping, Pong, ReceiptRequest, Want, WantEntry, Welcome
from crdt_sync.protocol.principal import everybody
from crdt_sync.runtime.hosting.answers import Asked
from crdt_sync.runtime.hosting.engine import Engine
from crdt_sync.runtime.hosting.link import BUFFER_BYTES, DeviceLink
from crdt_sync.runtime.outside import OUTSIDE
from crdt_sync.runtime.transports.channel import ChannelClosed
from crdt_sync.runtime.transports.memory import memory_pair
from crdt_sync.storage.memory import MemoryStore
from tests.protocol.scripted import hello
from tests.runtime.hosting.links import QuietLink

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
        engine.queue.take(engine.queue.stranger(""), lambda: None)  # so the hello waits
        assert isinstance(codec.decode(await ours.receive()), Welcome)
        for frame in (_LARGE, codec.encode(Ping(7))):
            ours.send(frame)
        while codec.decode(await ours.receive()) != Pong(7):
            pass
        ours.abort()
        await reading
        await engine.stop(0, 0)

    asyncio.run(talk())


class Kept:
    """A channel on which one large frame comes, and then nothing."""

    peer = None
    arriving_bytes = unsent_bytes = 0
    has_room = True

    def __init__(self) -> None:
        self.frames = [codec.encode(hello()), _LARGE + bytes(1_000_000)]
        self.references = 0

    def take_up_to(self, frame_bytes: int) -> None:
        pass

    def send(self, frame: bytes) -> None:
        pass

    async def room(self) -> None:
        pass

    async def receive(self) -> bytes:
        if self.frames:
            self.last = self.frames.pop(0)
            return self.last
        self.references = sys.getrefcount(self.last)
        raise ChannelClosed

    def taken(self) -> None:
        pass

    async def close(self) -> None:
        pass

    def abort(self) -> None:
        pass


def test_a_frame_that_was_taken_is_not_kept_until_the_next_one_comes() -> None:
    async def talk() -> None:
        engine = Engine(MemoryStore(), everybody, lambda: 1_000_000)
        channel = Kept()
        await DeviceLink(channel, engine).read()
        assert channel.references == 2  # our own, and the one that looks
        await engine.stop(0, 0)

    asyncio.run(talk())


class Unread(Kept):
    """A channel on which answers are not taken; what comes is held until it was taken."""

    def __init__(self) -> None:
        super().__init__()
        self.frames = [codec.encode(hello()), codec.encode(Ping(7)), codec.encode(Ping(8))]
        self.held = 0

    def send(self, frame: bytes) -> None:
        self.has_room = False
        self.unsent_bytes += 2 * BUFFER_BYTES

    async def room(self) -> None:
        await asyncio.Event().wait()

    async def receive(self) -> bytes:
        self.held = len(self.frames[0])
        return await super().receive()

    def taken(self) -> None:
        self.held = 0


def test_what_was_taken_is_not_held_while_the_device_takes_no_answers() -> None:
    async def talk() -> None:
        engine = Engine(MemoryStore(), everybody, lambda: 1_000_000)
        channel = Unread()
        reading = asyncio.create_task(DeviceLink(channel, engine).read())
        for _ in range(100):
            await asyncio.sleep(0)
        assert not channel.has_room
        assert not reading.done()
        assert channel.held == 0
        reading.cancel()
        await asyncio.wait((reading,))
        await engine.stop(0, 0)

    asyncio.run(talk())


def test_a_session_is_not_silent_while_there_is_no_room_for_what_it_sends() -> None:
    async def talk() -> None:
        now = 0
        engine = Engine(MemoryStore(), everybody, lambda: 1_000_000)
        engine._now = lambda: now  # type: ignore[method-assign]
        link = QuietLink()
        session = engine.connect(link)
        engine.receive(session, codec.encode(hello()))
        engine.hold(session, True)
        now = 10 * SILENCE_US_MAX
        engine._timer(session)
        assert link.closed == ""
        engine.hold(session, False)
        for _ in range(4):
            now += SILENCE_US_MAX
            engine._filling.seats[session].due = now if session in engine._filling.seats else 0
            engine._timer(session)
            if link.closed:
                break
        assert link.closed == "the partner fell silent"
        await engine.stop(0, 0)

    asyncio.run(talk())


class Filled:
    """A channel that is taken from, and is full again at once, a few times."""

    peer = None
    arriving_bytes = 0
    unsent_bytes = BUFFER_BYTES + 1

    def __init__(self) -> None:
        self.waits = 0
        self.aborted = False

    @property
    def has_room(self) -> bool:
        return self.waits > 5

    def take_up_to(self, frame_bytes: int) -> None:
        pass

    async def room(self) -> None:
        self.waits += 1

    def send(self, frame: bytes) -> None:
        pass

    async def close(self) -> None:
        pass

    def abort(self) -> None:
        self.aborted = True


def test_a_device_that_reads_is_not_cut_off_because_its_room_is_filled_again() -> None:
    async def wait() -> None:
        engine = Engine(MemoryStore(), everybody, lambda: 1_000_000)
        channel = Filled()
        link = DeviceLink(channel, engine)  # type: ignore[arg-type]
        link.call_when_room()
        waiting = link._waiting
        assert waiting is not None
        await waiting
        assert (channel.waits, channel.aborted) == (6, False)
        await engine.stop(0, 0)

    asyncio.run(wait())


class Behind(Kept):
    """A channel on which as much is taken as is sent, and never all of it; each wait for room runs out."""

    link: DeviceLink

    def __init__(self, takes: int) -> None:
        super().__init__()
        self.takes = takes
        self.waits = 0
        self.aborted = asyncio.Event()

    def send(self, frame: bytes) -> None:
        self.has_room = False
        self.unsent_bytes += len(frame)

    async def room(self) -> None:
        self.waits += 1
        if self.waits >= 4:
            raise ChannelClosed
        self.link.send(bytes(1000))
        self.unsent_bytes -= self.takes
        raise TimeoutError

    def abort(self) -> None:
        self.aborted.set()


@pytest.mark.parametrize(("takes", "cut_off"), [(1000, False), (900, True)])
def test_a_slow_device_that_takes_enough_is_not_cut_off_however_much_is_added(takes: int, cut_off: bool) -> None:
    async def talk() -> None:
        engine = Engine(MemoryStore(), everybody, lambda: 1_000_000)
        channel = Behind(takes)
        channel.link = DeviceLink(channel, engine, send_timeout_s=1000 / LINK_BYTES_PER_S_MIN)
        channel.link.send(bytes(10 * BUFFER_BYTES))
        waiting = channel.link._waiting
        assert waiting is not None
        await waiting
        assert channel.aborted.is_set() is cut_off
        await engine.stop(0, 0)

    asyncio.run(talk())


class Flooded(Kept):
    """A channel on which pings have come."""

    def __init__(self, pings: int) -> None:
        super().__init__()
        self.frames = [codec.encode(hello()), *(codec.encode(Ping(number)) for number in range(pings))]
        self.sent: list[bytes] = []

    def send(self, frame: bytes) -> None:
        self.sent.append(frame)

    async def receive(self) -> bytes:
        if not self.frames:
            raise ChannelClosed
        return self.frames.pop(0)

    def more(self) -> bytes | None:
        return self.frames.pop(0) if self.frames else None


def test_small_frames_that_came_together_are_taken_in_one_turn_some_at_a_time_and_in_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def talk() -> list[int]:
        quick = replace(OUTSIDE, clock=lambda: 0.0)  # no pass of the loop is ever over
        engine = Engine(MemoryStore(), everybody, lambda: 1_000_000, outside=quick)
        channel = Flooded(20)
        turns: list[int] = []
        ran = engine.queue.ran

        def counted(step: Callable[[], None], counted_s: float = 0.0) -> bool:
            before = len(channel.sent)
            done = ran(step, counted_s)
            turns.append(len(channel.sent) - before)
            return done

        monkeypatch.setattr(engine.queue, "ran", counted)
        await DeviceLink(channel, engine, more=channel.more).read()
        pongs = [message for message in map(codec.decode, channel.sent) if isinstance(message, Pong)]
        assert pongs == [Pong(number) for number in range(20)]
        await engine.stop(0, 0)
        return turns

    assert asyncio.run(talk())[1:] == [8, 8, 4]


def test_of_frames_that_came_together_no_more_ask_for_something_than_may_be_under_way() -> None:
    async def talk() -> None:
        engine = Engine(MemoryStore(), everybody, lambda: 1_000_000)
        most = 0
        begin = engine._answer

        def answer(asked: Asked) -> None:
            nonlocal most
            begin(asked)
            most = max(most, engine._filling.seats[asked.session].asked)

        engine._answer = answer  # type: ignore[method-assign]
        channel = Flooded(0)
        channel.frames += [codec.encode(ReceiptRequest(number)) for number in range(20)]
        for _ in range(7):  # the first frame that finds less than all under way takes the next ones along
            channel.frames.insert(8, codec.encode(Ping(1)))
        await DeviceLink(channel, engine, more=channel.more).read()
        assert most == 8
        await engine.stop(0, 0)

    asyncio.run(talk())


def test_what_many_ask_for_is_answered_in_turns() -> None:
    async def talk() -> None:
        seconds = count()
        busy = replace(OUTSIDE, clock=lambda: float(next(seconds)))  # each step takes longer than a pass
        engine = Engine(MemoryStore(), everybody, lambda: 1_000_000, outside=busy)
        answered: list[int] = []

        class Noted:
            async def answer(self, asked: Asked) -> None:
                answered.append(asked.session)

        engine._answers = Noted()  # type: ignore[assignment]
        sessions = []
        for number in range(20):
            sessions.append(session := engine.connect(QuietLink()))
            engine.receive(session, codec.encode(replace(hello(), replica=bytes([number]) * 16)))
            engine.receive(session, codec.encode(ReceiptRequest(1)))
        while len(answered) < len(sessions):
            before = len(answered)
            await asyncio.sleep(0)
            assert len(answered) - before <= 1
        assert sorted(answered) == sessions
        await engine.stop(0, 0)

    asyncio.run(talk())


def test_of_frames_that_came_together_none_is_taken_for_which_there_is_no_room() -> None:
    async def talk() -> None:
        engine = Engine(MemoryStore(), everybody, lambda: 1_000_000)
        channel = Flooded(5)
        may_read, room = engine.may_read, 2
        answered: list[Ping] = []

        def allowed(session: int, size: int) -> bool:
            return may_read(session, size) and len(answered) < room

        async def readable(session: int, size: int) -> None:
            nonlocal room
            assert [message.number for message in answered] == list(range(room))
            room += 2

        take = engine.take

        def taking(session: int, frame: bytes) -> None:
            take(session, frame)
            message = codec.decode(frame)
            if isinstance(message, Ping):
                answered.append(message)

        engine.may_read, engine.readable, engine.take = allowed, readable, taking  # type: ignore[method-assign]
        await DeviceLink(channel, engine, more=channel.more).read()
        assert [message.number for message in answered] == list(range(5))
        await engine.stop(0, 0)

    asyncio.run(talk())


def test_the_sessions_of_one_device_at_one_address_take_their_turns_in_one_flow_once_they_were_let_in() -> None:
    async def come() -> None:
        engine = Engine(MemoryStore(), everybody, lambda: 1_000_000)
        newcomer = engine.connect(QuietLink(), address="192.0.2.1")
        assert engine.flow(newcomer) is engine.queue.stranger("192.0.2.1")
        flows = []
        for device, address in ((b"d", "192.0.2.1"), (b"d", "192.0.2.1"), (b"e", "192.0.2.1"), (b"d", "192.0.2.2")):
            session = engine.connect(QuietLink(), address=address)
            engine.receive(session, codec.encode(replace(hello(), replica=16 * device)))
            flows.append(engine.flow(session))
        assert flows[0] is flows[1]
        assert len({id(flow) for flow in (*flows, engine.flow(newcomer))}) == 4
        await engine.stop(0, 0)

    asyncio.run(come())


class Broken(QuietLink):
    """A link on which nothing can be sent."""

    def send(self, frame: bytes) -> None:
        raise MemoryError


class Hearing(QuietLink):
    """A link that keeps the last frame."""

    last = b""

    def send(self, frame: bytes) -> None:
        self.last = frame


def test_a_link_that_fails_ends_its_session_and_takes_no_effect_of_others_with_it() -> None:
    async def ask() -> None:
        engine = Engine(MemoryStore(), everybody, lambda: 1_000_000)
        broken, other = Broken(), Hearing()
        sessions = [engine.connect(link) for link in (broken, other)]
        for session in sessions:
            engine.hub.receive(session, codec.encode(hello()), 0)
        engine.hub.receive(sessions[1], codec.encode(Ping(7)), 0)
        engine._pump()
        assert codec.decode(other.last) == Pong(7)
        assert (bool(broken.closed), bool(other.closed)) == (True, False)
        assert len(engine.hub) == 1
        await engine.stop(0, 0)

    asyncio.run(ask())
