"""A link that carries only so many bytes a second: a TCP proxy with a token bucket for each direction."""

import asyncio
import socket

from crdt_bench.local_server import LocalServer, Reader, Writer

_CHUNKS_PER_S = 100  # so that bytes come steadily, and a chunk is small beside any patience
_BUFFER_BYTES = 16 * 1024  # of each socket: what waits here is on its way for a sender, so it must be little


class Throttle(LocalServer):
    """Listens on a free `port` and forwards to `onward`. `rate` is in bytes a second, of each direction by itself.

    `up` and `down` count the bytes that were forwarded. `rate` may be changed at any time; with 0 the links stay open
    and carry nothing more.
    """

    def __init__(self, onward: int, rate: float) -> None:
        super().__init__(_BUFFER_BYTES)
        self.rate = rate
        self.up = 0
        self.down = 0
        self._onward = onward

    def cut(self) -> None:
        """End all links; new ones are accepted."""
        for link in self._links:
            link.cancel()

    async def serve(self, reader: Reader, writer: Writer) -> None:
        """See `LocalServer`."""
        handle = socket.socket()
        handle.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
        handle.setblocking(False)
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
            for each in (writer, far_writer):  # before anything is waited for: this task may be cancelled once more
                each.close()
            await asyncio.gather(*pumps, return_exceptions=True)

    async def _pump(self, reader: Reader, writer: Writer, *, upward: bool) -> None:
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
