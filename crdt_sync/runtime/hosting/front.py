"""One port for websockets and HTTP: the first line of what a newcomer says decides who goes on with it."""

import asyncio
from collections.abc import Callable
from typing import cast

from crdt_sync import limits
from crdt_sync.runtime.hosting.strangers import Strangers
from crdt_sync.runtime.transports.http.wire import is_ours
from crdt_sync.runtime.transports.pieces import InPieces

_LINE_END = b"\r\n"

Take = Callable[[asyncio.Transport, bytes], None]
"""Goes on with a connection that is open, and on which something was said."""


class Front(asyncio.Protocol):
    """Holds a newcomer until the first line is here, for a bounded time, and until it is its turn. `waiting` has its
    transport until then. It goes on with what `websocket` makes, or with `http` where that is given; `unused` is called
    where none is made.
    """

    def __init__(
        self,
        websocket: Callable[[], asyncio.Protocol],
        http: Take | None,
        strangers: Strangers,
        waiting: set[asyncio.Transport],
        unused: Callable[[], object] = lambda: None,
    ) -> None:
        self._websocket = websocket
        self._unused = unused
        self._http = http
        self._strangers = strangers
        self._waiting = waiting
        self._has_line = False
        self._said = bytearray()
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        self._transport = cast(asyncio.Transport, transport)
        if not self._strangers.come(self._transport):
            self._transport.abort()
            return
        self._waiting.add(self._transport)
        patience_s = limits.HANDSHAKE_TIMEOUT_US / 1e6
        self._deadline = asyncio.get_running_loop().call_later(patience_s, self._transport.abort)

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        self._said += data
        if self._has_line or (_LINE_END not in self._said and len(self._said) <= limits.HANDSHAKE_BYTES_MAX):
            return
        self._has_line = True
        self._transport.pause_reading()
        self._strangers.take(self._transport, self._go_on)

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        self._strangers.leave(self._transport)
        self._leave()
        self._unused()

    def _go_on(self) -> None:
        if self._transport not in self._waiting or self._transport.is_closing():
            return  # it is gone
        self._leave()
        self._transport.resume_reading()
        said = bytes(self._said)
        if self._http is not None and is_ours(said):
            self._unused()
            self._http(self._transport, said)
        else:
            websocket = self._websocket()
            self._transport.set_protocol(InPieces(websocket))
            websocket.connection_made(self._transport)
            websocket.data_received(said)

    def _leave(self) -> None:
        self._waiting.discard(self._transport)
        if self._deadline is not None:
            self._deadline.cancel()
