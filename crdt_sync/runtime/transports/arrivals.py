"""How many bytes have come on a websocket since its last frame was read, and how its sending is kept from piling up.

A session lives by the bytes that move: a frame of 500 kB takes a minute and more on a slow link.
"""

import asyncio
import socket

from websockets.asyncio.connection import Connection
from websockets.protocol import SEND_EOF

_UNSENT_BYTES_MAX = 64 * 1024  # in the kernel, beyond what is under way; by default it takes megabytes, then nothing
_NOTSENT_LOWAT = getattr(socket, "TCP_NOTSENT_LOWAT", None)


class Arrivals(Connection):
    """Part of a connection that counts, and that leaves nothing behind. The methods of `asyncio.Protocol` are those."""

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

    def send_data(self) -> None:
        """Send what the library has to say, at once: it answers each ping by itself, and there may be some hundreds.

        Where the link is gone it says nothing: for each of them there would be a warning in the log.
        """
        writes = self.protocol.writes
        if self.transport.is_closing() and not self.transport.get_write_buffer_size():
            writes.clear()
        elif len(writes) > 1:
            end = writes[-1:] if writes[-1] == SEND_EOF else []
            self.protocol.writes = [b"".join(writes), *end]
        super().send_data()

    def connection_lost(self, exc: Exception | None) -> None:
        """The link is gone."""
        super().connection_lost(exc)
        _forget_frames(exc)
        self.release()

    def drop(self) -> None:
        """End it now. Nothing that came and was not received is needed."""
        self.transport.abort()

    def release(self) -> None:
        """Nothing can come any more. What is left of the connection goes with the last reference to it, and does not
        wait for the collector, which a busy relay runs seldom: the library's parser refers to itself, and to the last
        frame that came.
        """
        self.protocol.parser.close()
        self.forget_failures()

    def forget_failures(self) -> None:
        """Let go of the frames of Python in which anything failed: they refer to this, and to what came."""
        _forget_frames(self.protocol.parser_exc)
        _forget_frames(self.protocol.handshake_exc)

    def taken(self) -> None:
        """The frame that was read last is not needed any more."""

    def read_on(self, size: int) -> None:
        """A frame of so many bytes was read."""
        self._read = self._came

    @property
    def arriving(self) -> int:
        """Bytes that came since a frame was last read."""
        return self._came - self._read


def _forget_frames(failure: BaseException | None) -> None:
    while failure is not None:
        failure.__traceback__ = None
        _forget_frames(failure.__cause__)
        failure = failure.__context__ if failure.__context__ is not failure.__cause__ else None
