"""A link that carries only so many bytes a second: a TCP proxy with a token bucket for each direction."""

import asyncio
import socket
from contextlib import suppress
from types import TracebackType
from typing import Self

_CHUNKS_PER_S = 100  # so that bytes come steadily, and a chunk is small beside any patience
_BUFFER_BYTES = 16 * 1024  # of each socket: what waits here is on its way for a sender, so it must be little


class Throttle:
    """Listens on a free `port` and forwards to `onward`. `rate` is in bytes a second, of each direction by itself.

    `up` and `down` count the bytes that were forwarded. `rate` may be changed at any time; with 0 the links stay open
    and carry nothing more.
    """

    def __init__(self, onward: int, rate: float) -> None:
        self.rate = rate
        self.port = 0
        self.up = 0
        self.down = 0
        self._onward = onward
        self._server: asyncio.Server | None = None
        self._links: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        handle = socket.create_server(("127.0.0.1", 0))
        handle.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)  # accepted sockets inherit it
        self.port = handle.getsockname()[1]
        self._server = await asyncio.start_server(self._link, sock=handle, limit=_BUFFER_BYTES)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for link in self._links:
            link.cancel()
        await asyncio.gather(*self._links, return_exceptions=True)

    async def _link(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._links.add(task)
        handle = socket.socket()
        handle.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
        handle.setblocking(False)
        with suppress(OSError, asyncio.CancelledError):
            await asyncio.get_running_loop().sock_connect(handle, ("127.0.0.1", self._onward))
            far_reader, far_writer = await asyncio.open_connection(sock=handle, limit=_BUFFER_BYTES)
            pumps = [
                asyncio.create_task(self._pump(reader, far_writer, upward=True)),
                asyncio.create_task(self._pump(far_reader, writer, upward=False)),
            ]
            try:
                await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for pump in pumps:
                    pump.cancel()
                await asyncio.gather(*pumps, return_exceptions=True)
                for each in (writer, far_writer):
                    each.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, upward: bool) -> None:
        loop = asyncio.get_running_loop()
        tokens, before = 0.0, loop.time()
        while True:
            burst = max(1.0, self.rate / _CHUNKS_PER_S)
            now = loop.time()
            tokens, before = min(10 * burst, tokens + (now - before) * self.rate), now
            if tokens < burst:
                await asyncio.sleep(1 / _CHUNKS_PER_S)
                continue
            data = await reader.read(int(tokens))
            if not data:
                return
            tokens -= len(data)
            writer.write(data)
            await writer.drain()
            if upward:
                self.up += len(data)
            else:
                self.down += len(data)
