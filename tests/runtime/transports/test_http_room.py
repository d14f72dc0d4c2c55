"""What a device sends over HTTP takes room while it comes in parts, and none once it was received."""

import asyncio
from collections.abc import Awaitable, Callable

from crdt_sync import limits
from crdt_sync.limits import FRAME_BYTES_MAX, HTTP_QUEUED_BYTES, SMALL_FRAME_BYTES
from crdt_sync.runtime.transports.http.accepted import _KEPT_BYTES, PIECE_BYTES, AcceptedChannel
from crdt_sync.runtime.transports.room import Room

from .test_room import Clock, Device


class Talk:
    """An accepted channel on which everything comes in order, and others that share its room."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.room = Room(self.clock, FRAME_BYTES_MAX)
        self.kept_room = Room(self.clock, 100_000)
        self.channel = AcceptedChannel("key", None, 0, lambda: None, self.room, self.kept_room)
        self._at = 0

    def came(self, part: bytes) -> None:
        self.channel.came(part, self._at)
        self._at += len(part)

    def is_not_blamed(self) -> None:
        """Others wait for room for ever: that is not the fault of this channel."""
        first, second = Device(self.room), Device(self.room)
        assert first.begin(FRAME_BYTES_MAX - self.room.held)
        self.room.came(first)
        assert not second.begin(SMALL_FRAME_BYTES)
        self.clock.run_until(50 * limits.ROOM_S)
        assert not self.channel.over


def told(test: Callable[[Talk], Awaitable[None]]) -> None:
    async def run() -> None:
        talk = Talk()
        try:
            await test(talk)
        finally:
            talk.channel.abort()

    asyncio.run(run())


def framed(size: int) -> bytes:
    return size.to_bytes(4, "big") + bytes(size)


def test_a_frame_that_came_whole_needs_no_room() -> None:
    async def come(talk: Talk) -> None:
        assert talk.channel.has_room_for_more()
        talk.came(framed(10_000))
        assert talk.channel.has_room_for_more()
        assert talk.room.held == 0
        assert len(await talk.channel.receive()) == 10_000
        talk.is_not_blamed()

    told(come)


def test_a_frame_that_came_whole_waits_for_no_room() -> None:
    async def come(talk: Talk) -> None:
        other = Device(talk.room)
        assert other.begin(FRAME_BYTES_MAX)
        talk.came(framed(10_000))
        assert talk.channel.has_room_for_more()
        talk.came(framed(HTTP_QUEUED_BYTES))
        assert not talk.channel.has_room_for_more()
        assert len(await talk.channel.receive()) == 10_000
        other.end()
        assert talk.room.held == 0

    told(come)


def test_a_frame_that_comes_in_parts_takes_room_until_it_was_taken() -> None:
    async def come(talk: Talk) -> None:
        data = framed(20_000)
        talk.came(data[:10])
        assert talk.channel.has_room_for_more()
        assert talk.room.held == PIECE_BYTES + 10
        talk.came(data[10:10_000])
        assert talk.channel.has_room_for_more()
        assert talk.room.held == 20_000
        talk.came(data[10_000:])
        talk.is_not_blamed()
        assert len(await talk.channel.receive()) == 20_000
        assert talk.room.holds(talk.channel)
        receiving = asyncio.create_task(talk.channel.receive())
        await asyncio.sleep(0)
        assert not talk.room.holds(talk.channel)
        receiving.cancel()

    told(come)


def test_a_frame_whose_rest_came_while_it_waited_for_room_waits_no_longer() -> None:
    async def come(talk: Talk) -> None:
        other = Device(talk.room)
        assert other.begin(FRAME_BYTES_MAX)
        data = framed(10_000)
        talk.came(data[:10])
        assert not talk.channel.has_room_for_more()
        talk.came(data[10:])
        assert talk.channel.has_room_for_more()
        assert not talk.room.waits(talk.channel)
        assert len(await talk.channel.receive()) == 10_000
        other.end()
        assert talk.room.held == 0

    told(come)


def test_what_is_not_confirmed_takes_room_until_it_is() -> None:
    async def take(talk: Talk) -> None:
        talk.channel.send(bytes(90_000))
        assert talk.kept_room.held == 0
        assert len(talk.channel.hand_out(1 << 20)) == 90_004
        assert talk.kept_room.held == 90_004 - _KEPT_BYTES
        talk.channel.confirm(50_000)
        assert talk.kept_room.held == 90_004 - 50_000 - _KEPT_BYTES
        talk.channel.resume(80_000)
        assert talk.kept_room.held == 0
        assert len(talk.channel.hand_out(1 << 20)) == 10_004
        assert talk.kept_room.held == 0

    told(take)


def test_while_others_confirm_nothing_little_is_handed_out_at_a_time() -> None:
    async def take(talk: Talk) -> None:
        other = Device(talk.kept_room)
        assert other.begin(100_000)
        talk.channel.send(bytes(90_000))
        taken = 0
        while taken < 90_004:
            part = talk.channel.hand_out(1 << 20)
            assert 0 < len(part) <= _KEPT_BYTES
            assert talk.channel.hand_out(1 << 20) == b"" or len(part) < _KEPT_BYTES
            taken += len(part)
            talk.channel.resume(taken)
        assert talk.kept_room.held == 100_000

    told(take)


def test_who_confirms_nothing_gives_way_to_others() -> None:
    async def take(talk: Talk) -> None:
        other = Device(talk.kept_room)
        talk.channel.send(bytes(140_000))
        talk.channel.hand_out(1 << 20)
        assert talk.kept_room.full
        assert not other.begin(1_000)
        talk.clock.run_until(limits.ROOM_S + 1)
        assert talk.channel.over
        assert other.reads
        assert talk.kept_room.held == 1_000

    told(take)
