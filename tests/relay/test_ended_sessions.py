"""What is left of sessions that have ended: nothing, also without the garbage collector, which a relay runs seldom."""

import asyncio
import gc
import weakref
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.server import ServerProtocol

from crdt_relay.server import Relay
from crdt_sync import limits
from crdt_sync.protocol import codec
from crdt_sync.protocol.acceptor import Acceptor
from crdt_sync.protocol.messages import Hello, Push, PushEntry, VerdictCode
from crdt_sync.protocol.versions import GREETING
from crdt_sync.runtime.hosting.link import DeviceLink
from crdt_sync.runtime.hosting.serving import _Known
from crdt_sync.runtime.transports.http.accepted import AcceptedChannel
from crdt_sync.runtime.transports.http.connection import Connection
from crdt_sync.runtime.transports.http.dialed import open_channel
from crdt_sync.runtime.transports.websocket import WebsocketChannel

from .devices import Device, eventually, running, update

pytestmark = pytest.mark.usefixtures("local_workers")

KINDS = (ServerProtocol, _Known, WebsocketChannel, AcceptedChannel, Connection, DeviceLink, Acceptor)
BAD_FRAME = bytes(1_000_000)


class Seen:
    """What was made of `KINDS`, and what of it is alive."""

    def __init__(self) -> None:
        self.count = 0
        self._made: list[weakref.ref[Any]] = []

    def watch(self, kind: type, monkeypatch: pytest.MonkeyPatch) -> None:
        made = kind.__init__  # type: ignore[misc]

        def noted(self_: Any, *args: Any, **settings: Any) -> None:
            made(self_, *args, **settings)
            self.count += 1
            self._made.append(weakref.ref(self_))

        monkeypatch.setattr(kind, "__init__", noted)

    def alive(self) -> list[str]:
        return sorted(type(each).__name__ for ref in self._made if (each := ref()) is not None)


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Iterator[Seen]:
    """Without a collector."""
    seen = Seen()
    for kind in KINDS:
        seen.watch(kind, monkeypatch)
    gc.disable()
    try:
        yield seen
    finally:
        gc.enable()


async def bad_frame(relay: Relay) -> None:
    async with await Device.join(relay.url) as device:
        await device.websocket.send(BAD_FRAME)
        assert (await device.bye()).code == "protocol_violation"


async def bad_frame_and_gone(relay: Relay) -> None:
    device = await Device.join(relay.url)
    await device.websocket.send(BAD_FRAME)
    await device.drop()


async def half_a_frame(relay: Relay) -> None:
    device = await Device.join(relay.url)
    device.websocket.transport.write(b"\x82\xff" + (1_000_000).to_bytes(8, "big") + bytes(4) + bytes(500_000))
    await device.drop()


async def too_large_a_frame(relay: Relay) -> None:
    device = await Device.join(relay.url)
    device.websocket.transport.write(b"\x82\xff" + (limits.FRAME_BYTES_MAX + 1).to_bytes(8, "big") + bytes(4))
    await device.websocket.wait_closed()


async def pushed_and_gone(relay: Relay) -> None:
    device = await Device.join(relay.url, follow=False)
    assert await device.store(("customers/a", update(1, 60_000))) == [VerdictCode.ACCEPTED]
    await device.drop()


async def pushed_and_closed(relay: Relay) -> None:
    async with await Device.join(relay.url) as device:
        assert await device.store(("customers/b", update(1, 60_000))) == [VerdictCode.ACCEPTED]


async def unread(relay: Relay) -> None:
    device = await Device.join(relay.url)
    for _ in range(20):
        await device.websocket.send(bytes(100_000))
    await device.drop()


async def no_hello(relay: Relay) -> None:
    await (await Device.open(relay.url)).drop()


async def no_http(relay: Relay) -> None:
    for said in (b"GET / HTTP/1.1\r\n\xff\r\n\r\n", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"GET "):
        reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)
        writer.write(said)
        writer.write_eof()
        await reader.read()
        writer.close()


async def over_http(relay: Relay, frame: bytes) -> None:
    channel = await open_channel(relay.url, None)
    channel.send(codec.encode(Hello((GREETING,), bytes(16), "", 0, None, False, 0, "test")))
    await channel.receive()
    channel.send(frame)
    await channel.receive()
    channel.abort()
    await channel.close()


async def bad_frame_over_http(relay: Relay) -> None:
    await over_http(relay, BAD_FRAME)


async def pushed_over_http(relay: Relay) -> None:
    await over_http(relay, codec.encode(Push(1, (PushEntry("customers/c", update(1, 60_000)),))))


@pytest.mark.parametrize(
    "ends",
    [
        bad_frame,
        bad_frame_and_gone,
        half_a_frame,
        too_large_a_frame,
        pushed_and_gone,
        pushed_and_closed,
        unread,
        no_hello,
        no_http,
        bad_frame_over_http,
        pushed_over_http,
    ],
)
def test_nothing_is_left_of_a_session_that_has_ended(
    tmp_path: Path, watched: Seen, ends: Callable[[Relay], Awaitable[None]]
) -> None:
    async def whole() -> None:
        async with running(tmp_path) as relay:
            await ends(relay)
            await eventually("it is over", lambda: not watched.alive())
        assert watched.count

    asyncio.run(whole())
