"""What comes on a websocket is parsed in turns, whole, in order, and no further than somebody receives it."""

import asyncio
import gc
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from websockets.exceptions import ConnectionClosed
from websockets.frames import CTRL_OPCODES, Frame, Opcode
from websockets.protocol import Event, Protocol, Side

from crdt_sync.limits import FRAME_BYTES_MAX, HELLO_BYTES_MAX, SMALL_FRAME_BYTES
from crdt_sync.runtime.hosting import parsing
from crdt_sync.runtime.hosting.fair_queue import FairQueue
from crdt_sync.runtime.hosting.flow import Flow
from crdt_sync.runtime.hosting.parsing import ParsedInTurns
from crdt_sync.runtime.transports.room import Room

_QUEUE = 4


class Wire(asyncio.Transport):
    """A transport that is read until it is paused."""

    def __init__(self) -> None:
        super().__init__()
        self.reading = True
        self.pauses = 0
        self.steps = 0.0
        self.unsent = 0
        self.aborted = False

    def pause_reading(self) -> None:
        assert self.reading
        self.reading = False
        self.pauses += 1

    def resume_reading(self) -> None:
        assert not self.reading
        self.reading = True

    def is_closing(self) -> bool:
        return False

    def get_extra_info(self, name: str, default: object = None) -> None:
        return None

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.unsent += len(data)

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def abort(self) -> None:
        self.aborted = True

    def can_write_eof(self) -> bool:
        return False

    def close(self) -> None:
        pass


def fragment(number: int, data: bytes = b"x", *, last: bool = False) -> bytes:
    """One of a message, by its place from 0."""
    return Frame(Opcode.CONT if number else Opcode.BINARY, data, fin=last).serialize(mask=True)


def framed(*payloads: bytes) -> bytes:
    return b"".join(Frame(Opcode.BINARY, payload).serialize(mask=True) for payload in payloads)


class Others:
    """Another connection, on which frames come."""

    def room_given(self, size: int) -> None:
        pass

    def give_way(self) -> None:
        pass


async def received(connection: ParsedInTurns) -> bytes:
    """The next frame, as a channel receives it."""
    connection.taken()
    frame = await connection.recv(decode=False)
    connection.read_on(len(frame))
    return frame


def parsed(test: Callable[[ParsedInTurns, Wire], Awaitable[None]], step_s: float = 0.0) -> None:
    """Run `test` on an open connection; each step takes so long. There is room for the largest frame, and all of it is
    given back once everything was taken, which each test does."""

    async def run() -> None:
        now, wire = 0.0, Wire()

        def clock() -> float:
            nonlocal now
            now += step_s
            wire.steps += 0.5  # it is looked at before and after each
            return now

        class Parsed(ParsedInTurns):
            queue = FairQueue(asyncio.get_running_loop(), clock)
            room = Room(asyncio.get_running_loop(), FRAME_BYTES_MAX)
            mine = Flow()
            flow = staticmethod(lambda: Parsed.mine)

        connection = Parsed(Protocol(Side.SERVER), max_queue=_QUEUE)
        connection.connection_made(wire)
        await test(connection, wire)
        connection.taken()
        assert Parsed.room.held == 0

    asyncio.run(run())


def test_a_flood_of_small_frames_takes_many_turns():
    async def flood(connection: ParsedInTurns, wire: Wire) -> None:
        connection.data_received(framed(*([b"p"] * 5_000)))
        assert not wire.reading
        for _ in range(5_000):
            assert len(connection.recv_messages.frames) <= parsing._HEADS_BYTES // len(framed(b"p")) + _QUEUE
            assert await received(connection) == b"p"
        assert wire.reading
        assert wire.steps > 5_000 * len(framed(b"p")) // parsing._HEADS_BYTES

    parsed(flood, step_s=0.003)


def test_a_large_frame_comes_at_once_while_nobody_waits():
    async def large(connection: ParsedInTurns, wire: Wire) -> None:
        connection.data_received(framed(bytes(200_000)))
        assert await received(connection) == bytes(200_000)
        assert wire.pauses == 0

    parsed(large)


def test_what_nobody_receives_is_not_parsed():
    async def hold(connection: ParsedInTurns, wire: Wire) -> None:
        connection.data_received(framed(*([bytes(1000)] * 100)))
        for _ in range(50):
            await asyncio.sleep(0)
        assert not wire.reading
        assert len(connection._unparsed[0]) > 80_000
        for _ in range(100):
            assert await received(connection) == bytes(1000)
        assert wire.reading

    parsed(hold)


@pytest.mark.parametrize("end", ["eof_received", "connection_lost"])
def test_what_had_come_before_the_end_is_received(end):
    async def cut(connection: ParsedInTurns, wire: Wire) -> None:
        connection.data_received(framed(*(b"%d" % number for number in range(2_000))))
        connection.eof_received() if end == "eof_received" else connection.connection_lost(None)
        for number in range(2_000):
            assert await received(connection) == b"%d" % number
        connection.connection_lost(None) if end == "eof_received" else None
        with pytest.raises(ConnectionClosed):
            await received(connection)

    parsed(cut, step_s=0.003)


def test_what_had_come_before_the_end_is_parsed_in_turns():
    async def cut(connection: ParsedInTurns, wire: Wire) -> None:
        connection.data_received(framed(*([b"x"] * 2_000)))
        connection.connection_lost(None)
        before = len(connection._unparsed[0])
        assert before > 8_000
        await asyncio.sleep(0)
        assert before > len(connection._unparsed[0]) > 0
        for _ in range(2_000):
            assert await received(connection) == b"x"

    parsed(cut, step_s=0.003)


def test_what_had_come_before_the_end_of_the_stream_is_parsed_in_turns():
    async def cut(connection: ParsedInTurns, wire: Wire) -> None:
        connection.data_received(framed(*([b"x"] * 2_000)))
        before = len(connection._unparsed[0])
        connection.eof_received()
        assert before == len(connection._unparsed[0]) > 8_000
        connection.connection_lost(None)
        for _ in range(2_000):
            assert await received(connection) == b"x"
        with pytest.raises(ConnectionClosed):
            await received(connection)

    parsed(cut, step_s=0.003)


@pytest.mark.parametrize("dropped", [False, True])
def test_what_waits_of_a_lost_connection_is_given_up_once_nobody_receives_it(dropped: bool):
    async def cut(connection: ParsedInTurns, wire: Wire) -> None:
        ends: list[int] = []
        connection.ended = lambda: ends.append(len(connection._unparsed))  # type: ignore[method-assign]
        connection.data_received(framed(*([b"x"] * 2_000)))
        connection.connection_lost(None)
        assert connection._unparsed
        assert ends == []
        connection.drop() if dropped else connection.leave_room()
        assert ends == [0]
        for _ in range(20):
            await asyncio.sleep(0)
        assert ends == [0]

    parsed(cut, step_s=0.003)


def test_a_lost_connection_has_ended_once_all_that_came_was_parsed():
    async def cut(connection: ParsedInTurns, wire: Wire) -> None:
        ends: list[int] = []
        connection.ended = lambda: ends.append(len(connection._unparsed))  # type: ignore[method-assign]
        connection.data_received(framed(*([b"x"] * 2_000)))
        connection.connection_lost(None)
        while connection._unparsed:
            assert ends == []
            await asyncio.sleep(0)
        assert ends == [0]

    parsed(cut, step_s=0.003)


@pytest.mark.parametrize("dropped", [False, True])
def test_what_had_come_is_not_parsed_where_nobody_receives_it(dropped: bool):
    async def cut(connection: ParsedInTurns, wire: Wire) -> None:
        connection.data_received(framed(*([b"x"] * 2_000)))
        assert connection._unparsed
        connection.drop() if dropped else connection.leave_room()
        connection.connection_lost(None)
        assert not connection._unparsed

    parsed(cut, step_s=0.003)


@settings(max_examples=50)
@given(
    st.lists(st.integers(0, 9_000), max_size=12),
    st.lists(st.integers(1, 5_000), max_size=20),
    st.sampled_from((0.0, 0.0004, 0.003)),
    st.integers(0, 3),
)
def test_frames_arrive_whole_and_in_order_however_the_bytes_come(sizes, cuts, step_s, passes):
    payloads = [bytes([number]) * size for number, size in enumerate(sizes)]

    async def come(connection: ParsedInTurns, wire: Wire) -> None:
        left = framed(*payloads)

        async def send() -> None:
            nonlocal left
            for size in [*cuts, len(left)]:
                while not wire.reading:
                    await asyncio.sleep(0)
                connection.data_received(left[:size])
                left = left[size:]
                for _ in range(passes):
                    await asyncio.sleep(0)

        sending = asyncio.create_task(send())
        assert [await received(connection) for _ in payloads] == payloads
        await sending

    parsed(come, step_s)


def test_an_ended_connection_goes_with_the_last_reference_to_it():
    async def end(connection: ParsedInTurns, wire: Wire) -> None:
        connection.data_received(framed(*([bytes(1000)] * 100)))
        connection.connection_lost(None)
        while connection._unparsed:
            await asyncio.sleep(0)
        assert gc.get_referrers(connection.recv_messages)  # it is known to the connection alone
        assert not any(
            getattr(known, "__self__", None) is connection for known in gc.get_referents(connection.recv_messages)
        )
        assert not connection._unparsed

    parsed(end, step_s=0.003)


def test_a_large_frame_is_not_read_before_there_is_room_for_it():
    async def large(connection: ParsedInTurns, wire: Wire) -> None:
        told: list[bool] = []
        connection.held = told.append
        other = Others()
        assert connection.room.take(other, FRAME_BYTES_MAX - SMALL_FRAME_BYTES)
        connection.data_received(framed(bytes(SMALL_FRAME_BYTES), bytes(200_000)))
        assert await received(connection) == bytes(SMALL_FRAME_BYTES)
        assert not wire.reading
        assert len(connection.protocol.reader.buffer) <= SMALL_FRAME_BYTES
        assert told[-1]
        connection.room.leave(other)
        assert not told[-1]
        assert await received(connection) == bytes(200_000)
        assert wire.reading

    parsed(large)


def test_room_is_given_back_once_the_next_frame_is_asked_for():
    async def come(connection: ParsedInTurns, wire: Wire) -> None:
        connection.data_received(framed(bytes(20_000), bytes(30_000), b"small"))
        assert connection.room.held == 50_000
        for size in (20_000, 30_000, 5):
            assert len(await received(connection)) == size
            assert connection.room.held == {20_000: 50_000, 30_000: 30_000, 5: 0}[size]

    parsed(come)


def test_a_large_frame_that_comes_slowly_has_room_for_what_came():
    async def drip(connection: ParsedInTurns, wire: Wire) -> None:
        data = framed(bytes(200_000))
        for came in (0, 5_000, 20_000, 60_000):
            connection.data_received(data[:came])
            data = data[came:]
            assert connection.room.held <= 200_008 - len(data) + parsing._PART_BYTES
        assert wire.reading
        connection.data_received(data)
        assert len(await received(connection)) == 200_000

    parsed(drip)


def test_a_message_of_many_fragments_needs_room_for_what_they_take():
    async def come(connection: ParsedInTurns, wire: Wire) -> None:
        reading = asyncio.create_task(received(connection))
        for number in range(1_000):
            connection.data_received(fragment(number))
            while not wire.reading:
                await asyncio.sleep(0)
        assert connection.room.held > 900 * parsing._FRAGMENT_BYTES
        connection.data_received(Frame(Opcode.CONT, b"").serialize(mask=True))
        assert await reading == b"x" * 1_000

    parsed(come)


def unheard(test: Callable[[ParsedInTurns, Wire], Awaitable[None]]) -> None:
    """The same for one that nothing large is taken from."""

    async def with_limit(connection: ParsedInTurns, wire: Wire) -> None:
        connection.protocol.max_message_size = HELLO_BYTES_MAX
        await test(connection, wire)

    parsed(with_limit)


def test_a_hello_may_come_in_some_fragments():
    async def come(connection: ParsedInTurns, wire: Wire) -> None:
        reading = asyncio.create_task(received(connection))
        for number in range(20):
            connection.data_received(fragment(number, last=number == 19))
            await asyncio.sleep(0)
        assert await reading == b"x" * 20
        assert not wire.aborted

    unheard(come)


def test_a_hello_in_many_fragments_ends_the_connection():
    async def come(connection: ParsedInTurns, wire: Wire) -> None:
        reading = asyncio.create_task(received(connection))
        for number in range(HELLO_BYTES_MAX // parsing._FRAGMENT_BYTES):
            assert not wire.aborted
            connection.data_received(fragment(number))
            await asyncio.sleep(0)
        assert wire.aborted
        connection.connection_lost(None)
        with pytest.raises(ConnectionClosed):
            await reading

    unheard(come)


def test_a_stranger_may_ping_a_few_times_and_no_more():
    async def knock(connection: ParsedInTurns, wire: Wire) -> None:
        for number in range(parsing._STRANGERS_PINGS_MAX + 1):
            assert not wire.aborted, number
            connection.data_received(Frame(Opcode.PING, b"").serialize(mask=True))
        assert wire.aborted

    unheard(knock)


def test_who_was_heard_may_ping_as_often_as_it_likes():
    async def knock(connection: ParsedInTurns, wire: Wire) -> None:
        for _ in range(1_000):
            connection.data_received(Frame(Opcode.PING, b"").serialize(mask=True))
        assert not wire.aborted

    parsed(knock)


def test_fragments_need_room_as_one_frame():
    async def come(connection: ParsedInTurns, wire: Wire) -> None:
        pieces = [bytes(3_000)] * 8
        connection.data_received(b"".join(fragment(number, piece) for number, piece in enumerate(pieces[:-1])))
        reading = asyncio.create_task(received(connection))
        while connection.room.held < 7 * 3_000:
            await asyncio.sleep(0)
        connection.data_received(Frame(Opcode.CONT, pieces[-1]).serialize(mask=True) + framed(b"small", bytes(10_000)))
        assert await reading == bytes(24_000)
        assert connection.room.held == 24_000 + 7 * parsing._FRAGMENT_BYTES + 10_000
        assert await received(connection) == b"small"
        assert connection.room.held == 10_000
        assert await received(connection) == bytes(10_000)

    parsed(come)


def test_a_frame_that_is_cut_off_needs_no_room():
    async def cut(connection: ParsedInTurns, wire: Wire) -> None:
        connection.data_received(framed(bytes(20_000), bytes(30_000))[:-1])
        assert connection.room.held == 50_000
        connection.connection_lost(None)
        assert connection.room.held == 20_000
        assert await received(connection) == bytes(20_000)
        with pytest.raises(ConnectionClosed):
            await received(connection)
        assert connection.room.held == 0

    parsed(cut)


@pytest.mark.parametrize("last", [0, 1, 300, 20_000])
def test_what_is_given_back_is_what_was_taken_whatever_came_between_fragments(last):
    async def come(connection: ParsedInTurns, wire: Wire) -> None:
        fragments = [Frame(Opcode.BINARY, bytes(size), fin=False) for size in (SMALL_FRAME_BYTES - 150, 149)]
        fragments[1].opcode = Opcode.CONT
        ping = Frame(Opcode.PING, bytes(125))
        message = [fragments[0], ping, fragments[1], ping, Frame(Opcode.CONT, bytes(last))]
        for _ in range(3):
            data = framed(bytes(10_000)) + b"".join(each.serialize(mask=True) for each in message)
            for start in range(0, len(data), 50):
                connection.data_received(data[start : start + 50])
            assert len(await received(connection)) == 10_000
            assert len(await received(connection)) == SMALL_FRAME_BYTES - 1 + last
            connection.taken()
            assert connection.room.held == 0

    parsed(come)


def test_texts_give_back_what_they_took():
    async def come(connection: ParsedInTurns, wire: Wire) -> None:
        text = "\N{SNOWMAN}" * 5_000
        connection.data_received(Frame(Opcode.TEXT, text.encode()).serialize(mask=True))
        assert connection.room.held == 15_000
        connection.read_on(len(await connection.recv()))

    parsed(come)


@pytest.mark.parametrize("cut", [0, 1])
def test_what_comes_when_nothing_is_received_any_more_needs_room_only_as_long_as_the_connection_lasts(cut):
    async def come(connection: ParsedInTurns, wire: Wire) -> None:
        connection.leave_room()
        data = framed(bytes(100_000))
        connection.data_received(data[: len(data) - cut])
        assert connection.room.held == 100_000
        connection.connection_lost(None)
        assert connection.room.held == 0

    parsed(come)


def test_pings_are_not_answered_while_the_answers_are_not_taken():
    async def knock(connection: ParsedInTurns, wire: Wire) -> None:
        ping = Frame(Opcode.PING, bytes(125)).serialize(mask=True)
        connection.pause_writing()
        for _ in range(1_000):
            if wire.reading:
                connection.data_received(ping)
            await asyncio.sleep(0)
        assert not wire.reading
        assert wire.unsent < 2 * parsing._PONGS_BYTES_MAX
        wire.unsent = 0
        connection.resume_writing()
        assert wire.reading

    parsed(knock)


def test_a_small_message_that_has_come_is_received_without_waiting():
    async def come(connection: ParsedInTurns, wire: Wire) -> None:
        assert connection.small_message() is None
        connection.data_received(framed(*(b"%d" % number for number in range(200)), bytes(200)))
        for number in range(200):
            assert connection.small_message() == b"%d" % number
        assert connection.small_message() == bytes(200)
        assert connection.small_message() is None
        assert connection.arriving == 0
        assert wire.reading

    parsed(come)


def test_only_what_is_small_and_of_one_frame_is_received_without_waiting():
    async def come(connection: ParsedInTurns, wire: Wire) -> None:
        fragments = [Frame(Opcode.BINARY, b"one", fin=False), Frame(Opcode.CONT, b" two")]
        connection.data_received(b"".join(each.serialize(mask=True) for each in fragments))
        assert connection.small_message() is None
        assert await received(connection) == b"one two"
        connection.data_received(framed(bytes(SMALL_FRAME_BYTES + 1)))
        assert connection.small_message() is None
        assert len(await received(connection)) == SMALL_FRAME_BYTES + 1
        connection.taken()
        connection.data_received(Frame(Opcode.TEXT, b"text").serialize(mask=True))
        assert connection.small_message() is None
        connection.read_on(len(await connection.recv()))

    parsed(come)


_FRAMES = st.builds(
    lambda opcode, size, fin, rsv1, masked: (
        Frame(opcode, bytes([size % 256]) * size, fin or opcode in CTRL_OPCODES, rsv1).serialize(mask=masked)
        if not rsv1
        else bytes([0xC0 | opcode, 0x80 | size % 100]) + bytes(4 + size % 100)
    ),
    st.sampled_from((Opcode.BINARY,) * 6 + (Opcode.TEXT, Opcode.CONT, Opcode.PING, Opcode.PONG)),
    st.sampled_from((0, 1, 100, 125)) | st.integers(0, 125),
    st.sampled_from((True,) * 9 + (False,)),
    st.sampled_from((False,) * 15 + (True,)),
    st.sampled_from((True,) * 15 + (False,)),
)


_BEGUN = Frame(Opcode.BINARY, b"begun", fin=False).serialize(mask=True)


@example([_BEGUN, framed(b"another")], [len(_BEGUN)])
@settings(max_examples=200)
@given(
    st.lists(
        st.one_of(
            _FRAMES,
            st.integers(126, 5_000).map(lambda size: framed(bytes(size))),
            st.sampled_from(
                (bytes([0x82, 0xFE, 0, 5]) + bytes(9), bytes([0x82, 0xFF]) + bytes(8 + 4), b"\x88\x80abcd")
            ),
        ),
        max_size=12,
    ),
    st.lists(st.integers(1, 700), max_size=20),
)
def test_what_is_parsed_is_what_the_library_would_parse(frames, cuts):
    data = b"".join(frames)
    library = Protocol(Side.SERVER)
    library.max_message_size = 2_000
    library.receive_data(data)
    expected = [(event.opcode, event.fin, bytes(event.data)) for event in library.events_received()]

    async def come(connection: ParsedInTurns, wire: Wire) -> None:
        found: list[tuple[Opcode, bool, bytes]] = []
        connection.protocol.max_message_size = 2_000

        def shown(frame: Event) -> tuple[Opcode, bool, bytes]:
            assert isinstance(frame, Frame)
            return frame.opcode, frame.fin, bytes(frame.data)

        connection.process_event = lambda event: found.append(shown(event))  # type: ignore[method-assign]
        connection.recv_messages.put = lambda frame: found.append(shown(frame))  # type: ignore[method-assign]
        left = data
        for size in [*cuts, len(left)]:
            connection.data_received(left[:size])
            left = left[size:]
            await asyncio.sleep(0)
        assert found == expected
        assert connection.protocol.close_sent == library.close_sent

    parsed(come)
