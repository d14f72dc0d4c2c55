"""A TCP proxy between a device and a relay, which spoils the link in one way."""

import asyncio
import random
import socket
import struct
from contextlib import suppress

from crdt_bench.local_server import LocalServer, Reader, Writer

FAULTS = ("none", "delay", "trickle", "cut", "reset", "half open", "one way")
_CHUNK_BYTES = 4096
_DELAY_S = 0.005
_TRICKLED_BYTES = 400  # one byte at a time, then freely: slow enough to tear every header and frame
_RESET = struct.pack("ii", 1, 0)  # linger for no time: the kernel answers with RST


class Proxy(LocalServer):
    """Listens on a free `port`, forwards to the relay's, and spoils each link after `bytes_before` bytes.

    `delay` holds every chunk back, `trickle` sends single bytes, `cut` closes both ways, `reset` sends RST in
    the middle of a frame, `half open` stops forwarding but keeps the links up, `one way` stops one direction.
    """

    def __init__(self, relay_port: int, fault: str, rng: random.Random, bytes_before: int) -> None:
        super().__init__()
        self._relay_port = relay_port
        self._fault = fault
        self._rng = rng
        self._left = bytes_before
        self.forwarded = 0

    async def serve(self, reader: Reader, writer: Writer) -> None:
        """See `LocalServer`."""
        onward_reader, onward_writer = await asyncio.open_connection("127.0.0.1", self._relay_port)
        writers = (writer, onward_writer)
        pumps = [
            asyncio.create_task(self._pump(reader, onward_writer, writers, upstream=True)),
            asyncio.create_task(self._pump(onward_reader, writer, writers, upstream=False)),
        ]
        try:
            await asyncio.gather(*pumps, return_exceptions=True)
        finally:
            for pump in pumps:
                pump.cancel()
            for each in writers:
                each.close()
            await asyncio.gather(*(each.wait_closed() for each in writers), return_exceptions=True)

    async def _pump(self, reader: Reader, writer: Writer, both: tuple[Writer, Writer], *, upstream: bool) -> None:
        while data := await reader.read(_CHUNK_BYTES):
            spoiled = self._left <= len(data)
            self._left -= len(data)
            match self._fault:
                case "delay":
                    await asyncio.sleep(self._rng.random() * _DELAY_S)
                case "trickle":
                    data = await self._trickle(data, writer)
                case "half open" if spoiled:
                    await asyncio.Event().wait()
                case "one way" if spoiled and upstream:
                    await asyncio.Event().wait()
                case "cut" | "reset" if spoiled:
                    writer.write(data[: self._rng.randrange(len(data))])
                    with suppress(OSError):
                        await writer.drain()
                    for each in both:
                        self._end(each)
                    return
            self.forwarded += len(data)
            writer.write(data)
            await writer.drain()
        writer.close()

    async def _trickle(self, data: bytes, writer: Writer) -> bytes:
        """Send the first bytes one by one; returns the others."""
        count = min(len(data), max(0, _TRICKLED_BYTES - self.forwarded))
        for position in range(count):
            writer.write(data[position : position + 1])
            await writer.drain()
            await asyncio.sleep(0)
        self.forwarded += count
        return data[count:]

    def _end(self, writer: Writer) -> None:
        handle = writer.get_extra_info("socket")
        if self._fault == "reset" and handle is not None:
            handle.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        writer.transport.abort()
