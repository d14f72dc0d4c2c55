"""The rules of `channel.Channel`, kept by every transport. A new one joins by a maker of pairs in `TRANSPORTS`."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve

from crdt_sync.limits import FRAME_BYTES_MAX, UNTAKEN_BYTES_MAX
from crdt_sync.runtime.hosting.fair_queue import FairQueue
from crdt_sync.runtime.hosting.front import Front
from crdt_sync.runtime.hosting.strangers import Strangers
from crdt_sync.runtime.transports import channel
from crdt_sync.runtime.transports.arrivals import Arrivals
from crdt_sync.runtime.transports.channel import Channel, ChannelClosed, RulesBroken
from crdt_sync.runtime.transports.http.dialed import open_channel
from crdt_sync.runtime.transports.http.door import Door
from crdt_sync.runtime.transports.memory import memory_pair
from crdt_sync.runtime.transports.room import Room
from crdt_sync.runtime.transports.websocket import WebsocketChannel

_BUFFER_BYTES = 64 * 1024
_PIECE = bytes(50_000)
_PATIENCE_S = 60.0

Pair = AbstractAsyncContextManager[tuple[Channel, Channel]]
"""The opening and the accepting end, each with room for `_BUFFER_BYTES`."""


@asynccontextmanager
async def memory() -> AsyncIterator[tuple[Channel, Channel]]:
    yield memory_pair(_BUFFER_BYTES)


class _Dialed(Arrivals, ClientConnection):
    pass


class _Accepted(Arrivals, ServerConnection):
    pass


@asynccontextmanager
async def websocket() -> AsyncIterator[tuple[Channel, Channel]]:
    accepted: asyncio.Future[Channel] = asyncio.get_running_loop().create_future()
    over = asyncio.Event()

    async def handle(connection: ServerConnection) -> None:
        assert isinstance(connection, _Accepted)
        accepted.set_result(WebsocketChannel(connection, _BUFFER_BYTES))
        await over.wait()

    async with serve(
        handle, "127.0.0.1", 0, create_connection=_Accepted, max_queue=4, compression=None, ping_interval=None
    ) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        async with connect(
            f"ws://127.0.0.1:{port}",
            create_connection=_Dialed,
            max_queue=4,
            compression=None,
            ping_interval=None,
            proxy=None,
            close_timeout=0.1,
        ) as connection:
            assert isinstance(connection, _Dialed)
            ends = WebsocketChannel(connection, _BUFFER_BYTES), await accepted
            yield ends
            for end in ends:
                end.abort()
            over.set()


@asynccontextmanager
async def http(*, polls: bool = False) -> AsyncIterator[tuple[Channel, Channel]]:
    accepted: asyncio.Future[Channel] = asyncio.get_running_loop().create_future()
    over = asyncio.Event()

    async def talk(opened: Channel) -> None:
        accepted.set_result(opened)
        await over.wait()

    loop = asyncio.get_running_loop()
    room = Room(loop, FRAME_BYTES_MAX)
    kept_room = Room(loop, UNTAKEN_BYTES_MAX)
    strangers = Strangers(loop, FairQueue(loop))
    door = Door(talk, _BUFFER_BYTES, lambda: False, room, kept_room, strangers, connections_max=10, browsers=False)
    server = await loop.create_server(lambda: Front(asyncio.Protocol, door.take, strangers, set()), "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        here = await open_channel(f"ws://127.0.0.1:{port}", None, polls=polls, buffer_bytes=_BUFFER_BYTES)
        ends = here, await accepted
        yield ends
        for end in ends:
            end.abort()
        await here.close()
        over.set()
        await door.wait_closed(1)


TRANSPORTS: dict[str, Callable[[], Pair]] = {
    "memory": memory,
    "websocket": websocket,
    "http": http,
    "polling": partial(http, polls=True),
}
_Story = Callable[[Channel, Channel], Awaitable[None]]


@pytest.fixture(params=[(name, turned) for name in TRANSPORTS for turned in (False, True)], ids=str)
def tell(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[[_Story], None]:
    """Runs a story between the ends of a new channel: the first is the opening one, or, turned, the accepting one."""
    name, turned = request.param
    monkeypatch.setattr(channel, "CLOSE_TIMEOUT_S", 0.3)

    async def run(story: _Story) -> None:
        pair: Pair = TRANSPORTS[name]()
        async with asyncio.timeout(_PATIENCE_S), pair as (opener, accepter):
            await (story(accepter, opener) if turned else story(opener, accepter))

    return lambda story: asyncio.run(run(story))


async def received(end: Channel) -> list[bytes]:
    """Everything up to the end."""
    frames = []
    while True:
        try:
            frames.append(await end.receive())
        except ChannelClosed:
            return frames


def test_frames_arrive_whole_in_order_and_both_ways(tell: Callable[[_Story], None]) -> None:
    async def story(here: Channel, there: Channel) -> None:
        frames = [b"", b"a", bytes(range(256)) * 100, b"z"]
        for frame in frames:
            here.send(frame)
            there.send(frame[::-1])
        for frame in frames:
            assert await there.receive() == frame
            assert await here.receive() == frame[::-1]

    tell(story)


def test_the_end_comes_after_what_was_sent(tell: Callable[[_Story], None]) -> None:
    async def story(here: Channel, there: Channel) -> None:
        here.send(b"last words")
        came, _, own = await asyncio.gather(received(there), here.close(), received(here))
        assert (came, own) == ([b"last words"], [])
        for end in (here, there):
            with pytest.raises(ChannelClosed):
                await end.receive()
            with pytest.raises(ChannelClosed):
                await end.room()
            end.send(b"into the void")
            await end.close()
            end.abort()

    tell(story)


def test_an_abort_ends_both_though_they_wait(tell: Callable[[_Story], None]) -> None:
    async def story(here: Channel, there: Channel) -> None:
        waiting = [asyncio.create_task(received(end)) for end in (here, there)]
        await asyncio.sleep(0)
        here.abort()
        assert await asyncio.gather(*waiting) == [[], []]

    tell(story)


def test_who_does_not_receive_leaves_no_room_and_who_receives_again_gives_it(tell: Callable[[_Story], None]) -> None:
    async def story(here: Channel, there: Channel) -> None:
        sent = 0
        while here.has_room:
            here.send(_PIECE)
            sent += 1
            await asyncio.sleep(0)
        assert here.unsent_bytes > _BUFFER_BYTES
        waiting = asyncio.create_task(here.room())
        while not here.has_room:
            assert not waiting.done()
            await there.receive()
            sent -= 1
            await asyncio.sleep(0)
        await waiting
        assert here.has_room
        assert here.unsent_bytes <= _BUFFER_BYTES
        for _ in range(sent):
            assert await there.receive() == _PIECE

    tell(story)


def test_who_waits_for_room_hears_of_the_end(tell: Callable[[_Story], None]) -> None:
    async def story(here: Channel, there: Channel) -> None:
        while here.has_room:
            here.send(_PIECE)
            await asyncio.sleep(0)
        waiting = asyncio.create_task(here.room())
        await asyncio.sleep(0)
        here.abort()
        with pytest.raises(ChannelClosed):
            await waiting

    tell(story)


def test_close_gives_up_who_takes_nothing(tell: Callable[[_Story], None]) -> None:
    async def story(here: Channel, there: Channel) -> None:
        while here.has_room:
            here.send(_PIECE)
            await asyncio.sleep(0)
        await here.close()
        assert await received(here) == []

    tell(story)


def test_a_frame_larger_than_allowed_ends_the_channel(tell: Callable[[_Story], None]) -> None:
    async def story(here: Channel, there: Channel) -> None:
        there.take_up_to(1000)
        here.send(bytes(1000))
        assert await there.receive() == bytes(1000)
        here.send(bytes(1001))
        assert await received(there) == []
        assert await received(here) == []

    tell(story)


def test_more_is_taken_once_it_is_allowed(tell: Callable[[_Story], None]) -> None:
    async def story(here: Channel, there: Channel) -> None:
        there.take_up_to(1000)
        here.send(b"hello")
        await there.receive()
        there.take_up_to(FRAME_BYTES_MAX)
        here.send(bytes(5000))
        assert len(await there.receive()) == 5000
        assert there.arriving_bytes == 0

    tell(story)


def test_text_breaks_the_rules_and_the_channel_goes_on() -> None:
    async def story() -> None:
        async with websocket() as (here, there):
            assert isinstance(here, WebsocketChannel)
            await here._websocket.send("text")
            with pytest.raises(RulesBroken):
                await there.receive()
            here.send(b"bytes")
            assert await there.receive() == b"bytes"

    asyncio.run(story())


def test_the_partner_is_named_for_the_log() -> None:
    async def story() -> None:
        async with websocket() as (here, there):
            assert (here.peer, there.peer) == ("127.0.0.1", "127.0.0.1")

    asyncio.run(story())
