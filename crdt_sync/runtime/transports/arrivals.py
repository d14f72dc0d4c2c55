"""How many bytes have come on a websocket since its last frame was read, and how its sending is kept from piling up.

A session lives by the bytes that move: a frame of 500 kB takes a minute and more on a slow link.
"""

import asyncio
import socket

from websockets.asyncio.connection import Connection

_UNSENT_BYTES_MAX = 64 * 1024  # in the kernel, beyond what is under way; by default it takes megabytes, then nothing
_NOTSENT_LOWAT = getattr(socket, "TCP_NOTSENT_LOWAT", None)


class Arrivals(Connection):
    """Part of a connection that counts. `connection_made` and `data_received` are those of `asyncio.Protocol`."""

    _came = 0
    _read = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The link is up."""
        super().connection_made(transport)
        handle = transport.get_extra_info("socket")
        if handle is not None and _NOTSENT_LOWAT is not None and handle.family in {socket.AF_INET, socket.AF_INET6}:
            handle.setsockopt(socket.IPPROTO_TCP, _NOTSENT_LOWAT, _UNSENT_BYTES_MAX)

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        self._came += len(data)
        super().data_received(data)

    def read_on(self) -> None:
        """A frame was read."""
        self._read = self._came

    @property
    def arriving(self) -> int:
        """Bytes that came since a frame was last read."""
        return self._came - self._read
