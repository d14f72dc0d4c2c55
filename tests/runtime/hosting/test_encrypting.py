"""With TLS in the relay, who connects counts before its handshake, which waits for a turn of its address."""

import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

from crdt_sync.runtime import certificate
from crdt_sync.runtime.hosting.encrypting import Encrypting
from crdt_sync.runtime.hosting.fair_queue import FairQueue
from crdt_sync.runtime.hosting.strangers import Strangers
from crdt_sync.runtime.transports.pieces import InPieces


class Echo(asyncio.Protocol):
    """What goes on once the handshake is done: it counts what it hears, and says it back."""

    def __init__(self) -> None:
        self.heard = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self.heard += data
        self._transport.write(data)


class Listening:
    """A port with TLS on this machine."""

    def __init__(self, own: ssl.SSLContext) -> None:
        self._own = own
        self.loop = asyncio.get_running_loop()
        self.now = 0.0
        self.queue = FairQueue(self.loop, lambda: self.now)
        self.strangers = Strangers(self.loop, self.queue)
        self.waiting: set[asyncio.Transport] = set()
        self.made = 0
        self.unused = 0

    async def open(self) -> int:
        self._server = await self.loop.create_server(self._accept, "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    def close(self) -> None:
        self._server.close()

    def _accept(self) -> Encrypting:
        return Encrypting(self._front, self._own, self.strangers, self.waiting, self._not_used)

    def _front(self) -> InPieces:
        self.made += 1
        return InPieces(Echo())

    def _not_used(self) -> None:
        self.unused += 1


async def until(holds: Callable[[], bool]) -> None:
    """Go round the loop until that holds."""
    async with asyncio.timeout(60):
        while not holds():
            await asyncio.sleep(0.001)


@pytest.fixture
def own(tmp_path: Path) -> ssl.SSLContext:
    return certificate.own(tmp_path)[0]


def test_what_is_said_with_tls_is_heard_and_the_newcomer_counts_no_more_as_one_in_the_handshake(
    own: ssl.SSLContext,
) -> None:
    async def talk() -> None:
        listening = Listening(own)
        port = await listening.open()
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=certificate.unchecked())
        writer.write(b"hello" * 10_000)
        assert await reader.readexactly(50_000) == b"hello" * 10_000
        assert (len(listening.strangers), listening.waiting, listening.made, listening.unused) == (0, set(), 1, 0)
        writer.transport.abort()
        listening.close()

    asyncio.run(talk())


def test_who_connects_and_says_nothing_counts_and_gives_its_place_back_when_it_goes(own: ssl.SSLContext) -> None:
    async def talk() -> None:
        listening = Listening(own)
        port = await listening.open()
        idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(5)]
        await until(lambda: len(listening.strangers) == 5)
        for _, writer in idle:
            writer.transport.abort()
        await until(lambda: len(listening.strangers) == 0)
        assert (listening.waiting, listening.made, listening.unused) == (set(), 0, 5)
        listening.close()

    asyncio.run(talk())


def test_who_speaks_no_tls_is_sent_away(own: ssl.SSLContext) -> None:
    async def talk() -> None:
        listening = Listening(own)
        port = await listening.open()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        await reader.read()
        writer.close()
        await until(lambda: listening.unused == 1)
        assert (len(listening.strangers), listening.waiting, listening.made) == (0, set(), 0)
        listening.close()

    asyncio.run(talk())


class Wire(asyncio.Transport):
    """A connection that was accepted."""

    def pause_reading(self) -> None:
        pass

    def is_closing(self) -> bool:
        return False


def test_handshakes_of_an_address_begin_a_few_at_a_time(own: ssl.SSLContext) -> None:
    begun: list[Encrypting] = []

    class Noted(Encrypting):
        def _begin(self) -> None:
            begun.append(self)

    async def connect() -> None:
        listening = Listening(own)
        for _ in range(100):
            newcomer = Noted(listening._front, own, listening.strangers, listening.waiting, listening._not_used)
            newcomer.connection_made(Wire())
        assert len(listening.strangers) == 100
        while len(begun) < 100:
            seen = len(begun)
            await asyncio.sleep(0)
            assert len(begun) - seen <= 2

    asyncio.run(connect())
    assert len(set(map(id, begun))) == 100
