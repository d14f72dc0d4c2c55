"""Reading in small pieces: by itself, an event loop hands over up to 256 KiB of one connection at once.

What was read and cannot be parsed yet has to be kept, for each connection; what was not read keeps the sender waiting.
"""

import asyncio
import threading

PIECE_BYTES = 8 * 1024


class _OfThread(threading.local):
    """One piece for all connections of a thread: it is handed on before its event loop reads anything else. Another
    thread's loop reads meanwhile.
    """

    def __init__(self) -> None:
        self.piece = memoryview(bytearray(PIECE_BYTES))


_mine = _OfThread()


class InPieces(asyncio.BufferedProtocol):
    """Hands a protocol what comes, `PIECE_BYTES` at most at a time; it need not be read from in between."""

    def __init__(self, protocol: asyncio.Protocol) -> None:
        self._protocol = protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.BufferedProtocol`."""
        self._protocol.connection_made(transport)

    def get_buffer(self, sizehint: int) -> memoryview:
        """See `asyncio.BufferedProtocol`."""
        return _mine.piece

    def buffer_updated(self, nbytes: int) -> None:
        """See `asyncio.BufferedProtocol`."""
        self._protocol.data_received(bytes(_mine.piece[:nbytes]))

    def eof_received(self) -> bool | None:
        """See `asyncio.BufferedProtocol`."""
        return self._protocol.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.BufferedProtocol`."""
        self._protocol.connection_lost(exc)

    def pause_writing(self) -> None:
        """See `asyncio.BufferedProtocol`."""
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        """See `asyncio.BufferedProtocol`."""
        self._protocol.resume_writing()
