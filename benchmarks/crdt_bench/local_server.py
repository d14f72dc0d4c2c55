"""What every proxy of the tests and campaigns begins with: a server on a free port, whose links end with it."""

import asyncio
import socket
from abc import ABC, abstractmethod
from contextlib import suppress
from types import TracebackType
from typing import Self

Reader = asyncio.StreamReader
Writer = asyncio.StreamWriter

_READER_BYTES = 64 * 1024  # as asyncio has it


class LocalServer(ABC):
    """Listens on a free `port` of this machine while the block lasts, and serves each link with `serve`."""

    port = 0

    def __init__(self, buffer_bytes: int | None = None) -> None:
        """`buffer_bytes`: what a link's socket and reader hold at most; None: what the system and asyncio choose."""
        self._buffer_bytes = buffer_bytes
        self._server: asyncio.Server | None = None
        self._links: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        handle = socket.create_server(("127.0.0.1", 0))
        if self._buffer_bytes is not None:
            handle.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._buffer_bytes)  # accepted sockets inherit it
        self.port = handle.getsockname()[1]
        limit = self._buffer_bytes or _READER_BYTES
        self._server = await asyncio.start_server(self._accepted, sock=handle, limit=limit)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for link in self._links:
            link.cancel()
        await asyncio.gather(*self._links, return_exceptions=True)

    async def _accepted(self, reader: Reader, writer: Writer) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._links.add(task)
        task.add_done_callback(self._links.discard)
        with suppress(OSError, asyncio.CancelledError):
            await self.serve(reader, writer)

    @abstractmethod
    async def serve(self, reader: Reader, writer: Writer) -> None:
        """Serve one link, and end it. It is cancelled at the end of the block; `OSError` ends it silently."""
