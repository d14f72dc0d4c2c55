"""One port for websockets and HTTP: the first line of what a newcomer says decides who goes on with it."""

import asyncio
from collections.abc import Callable
from typing import cast

from crdt_sync import limits
from crdt_sync.runtime.transports.http.wire import is_ours
from crdt_sync.runtime.transports.pieces import InPieces

_LINE_END = b"\r\n"

Take = Callable[[asyncio.Transport, bytes], None]
"""Goes on with a connection that is open, and on which something was said."""


class Front(asyncio.Protocol):
    """Holds a newcomer until the first line is here, for a bounded time; `known` has its transport until then, among
    `known_max` at most: the oldest gives way. `unused` is called where `websocket` is not needed."""

    def __init__(
        self,
        websocket: asyncio.Protocol,
        http: Take,
        known: dict[asyncio.Transport, None],
        known_max: int,
        unused: Callable[[], object] = lambda: None,
    ) -> None:
        self._websocket = websocket
        self._unused = unused
        self._http = http
        self._known = known
        self._known_max = known_max
        self._said = bytearray()
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        self._transport = cast(asyncio.Transport, transport)
        if len(self._known) >= self._known_max:
            oldest = next(iter(self._known))
            del self._known[oldest]
            oldest.abort()
        self._known[self._transport] = None
        patience_s = limits.HANDSHAKE_TIMEOUT_US / 1e6
        self._deadline = asyncio.get_running_loop().call_later(patience_s, self._transport.abort)

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        self._said += data
        if _LINE_END not in self._said and len(self._said) <= limits.HANDSHAKE_BYTES_MAX:
            return
        self._leave()
        if is_ours(bytes(self._said)):
            self._unused()
            self._http(self._transport, bytes(self._said))
        else:
            self._transport.set_protocol(InPieces(self._websocket))
            self._websocket.connection_made(self._transport)
            self._websocket.data_received(bytes(self._said))

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        self._leave()
        self._unused()

    def _leave(self) -> None:
        self._known.pop(self._transport, None)
        if self._deadline is not None:
            self._deadline.cancel()
