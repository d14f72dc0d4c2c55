"""The accepting end of a channel over HTTP. Its requests are served by `door`."""

import asyncio
from collections.abc import Callable

from crdt_sync import limits
from crdt_sync.runtime.transports.http.ends import End


class AcceptedChannel(End):
    """See `channel.Channel`. `left` is called once, when it is over; `enter` and `leave` stand around each request."""

    def __init__(self, key: str, peer: str | None, buffer_bytes: int, left: Callable[[], None]) -> None:
        super().__init__(peer, buffer_bytes)
        self.key = key
        self.down: asyncio.Transport | None = None  # of the newest answer that carries our stream
        self.connections: set[asyncio.Transport] = set()  # on which requests are under way
        self._left = left
        self._lingering: asyncio.TimerHandle | None = None
        self._linger()

    @property
    def unsent_bytes(self) -> int:
        """See `Channel`. What is kept only for the case that it is lost on the way is not counted."""
        return self.outgoing.waiting + (self.down.get_write_buffer_size() if self.down is not None else 0)

    def enter(self, connection: asyncio.Transport) -> None:
        """A request is served."""
        if self._lingering is not None:
            self._lingering.cancel()
            self._lingering = None
        self.connections.add(connection)

    def leave(self, connection: asyncio.Transport) -> None:
        """A request was served, or is lost."""
        self.connections.discard(connection)
        if not self.connections and not self.over:
            self._linger()

    def confirm(self, offset: int) -> None:
        """The device has what was sent before `offset`. Raises `OffsetUnknown`."""
        self.outgoing.acknowledge(max(offset, self.outgoing.acknowledged))
        if self.outgoing.ended and not self.outgoing.kept:
            self.finish()
        self.moved()

    def finish(self) -> None:
        """See `End`."""
        self._end()

    def abort(self, answering: asyncio.Transport | None = None) -> None:
        """See `Channel`. The request that comes by `answering` is still answered."""
        self.closing = True
        for connection in self.connections - {answering}:
            connection.abort()
        self._end()

    def _linger(self) -> None:
        self._lingering = asyncio.get_running_loop().call_later(limits.HTTP_LINGER_S, self.abort)

    def _end(self) -> None:
        if not self.over:
            self.over = True
            if self._lingering is not None:
                self._lingering.cancel()
            self.moved()
            self._left()
