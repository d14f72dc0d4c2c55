"""One device's websocket, as the engine sees it.

Rules:

1. `send` never waits. What a device has not read yet is bounded: nothing is filled in while more than `BUFFER_BYTES`
   wait, and nothing more is read from it once the answers to what it sends have added as much again. One that reads
   slowly is heard all the same: its pings and its pushes do not wait until it has everything.
2. A device that has read next to nothing for the send timeout is cut off. A slow one is not.
3. The end of a session closes the websocket after what was sent, a bye above all; a device that does not take even
   that is cut off after `CLOSE_TIMEOUT_S`.
"""

import asyncio

import structlog
from websockets.asyncio.server import ServerConnection, broadcast
from websockets.exceptions import ConnectionClosed

from crdt_sync.limits import FRAME_BYTES_MAX, HELLO_BYTES_MAX, LINK_BYTES_PER_S_MIN
from crdt_sync.protocol.acceptor import Authorise
from crdt_sync.protocol.effects import Closed
from crdt_sync.runtime.arrivals import Arrivals
from crdt_sync.runtime.hosting.engine import Engine

SEND_TIMEOUT_S = 60.0
CLOSE_TIMEOUT_S = 2.0
BUFFER_BYTES = 128 * 1024  # what is behind it waits for so long as it takes: 26 s at 5 kB/s
_UNREMARKABLE = frozenset({"done", "connection_lost", "going_away"})
_log = structlog.get_logger("crdt_sync.hosting")


class Websocket(Arrivals, ServerConnection):
    """A connection that a device opened."""


class DeviceLink:
    """See the module. Await `read` in the websocket's handler; it returns when the link is over."""

    def __init__(
        self,
        websocket: Websocket,
        engine: Engine,
        send_timeout_s: float = SEND_TIMEOUT_S,
        authorise: Authorise | None = None,
    ) -> None:
        websocket.transport.set_write_buffer_limits(high=BUFFER_BYTES)
        websocket.protocol.max_message_size = HELLO_BYTES_MAX  # nothing larger is taken from a stranger
        self._websocket = websocket
        self._engine = engine
        self._metrics = engine.metrics
        self._send_timeout_s = send_timeout_s
        self._waiting: asyncio.Task[None] | None = None
        self._buffered = 0  # bytes, whether they were sent since or not
        self._unsent_max = BUFFER_BYTES  # with more bytes than that unsent, nothing is read
        self._closing: asyncio.Task[None] | None = None
        self.session = engine.connect(self, authorise)

    def send(self, frame: bytes) -> None:
        """See `Link.send`."""
        self._metrics.frames_sent += 1
        self._metrics.bytes_sent += len(frame)
        had_room, before = self.has_room(), self._unsent
        broadcast((self._websocket,), frame)
        self._buffered += self._unsent - before
        if had_room:
            self._unsent_max = self._unsent + BUFFER_BYTES
        if self._websocket.paused:
            self.call_when_room()

    def has_room(self) -> bool:
        """See `Link.has_room`."""
        return not self._websocket.paused

    def call_when_room(self) -> None:
        """See `Link.call_when_room`."""
        if self._waiting is None and self._closing is None:
            self._waiting = asyncio.create_task(self._wait_for_room())

    @property
    def arriving(self) -> int:
        """See `Link.arriving`."""
        return self._websocket.arriving

    def hangup(self, closed: Closed) -> None:
        """See `Link.hangup`."""
        if closed.code not in _UNREMARKABLE:
            peer = self._websocket.remote_address
            _log.info(
                "session_closed",
                session=self.session,
                code=closed.code,
                reason=closed.message,
                peer=peer[0] if peer else None,
            )
        self._closing = asyncio.create_task(self._close())

    async def read(self) -> None:
        """Hand frames to the engine until the link ends; pause while the device is ahead of the disk, or behind us."""
        websocket, engine, session, metrics = self._websocket, self._engine, self.session, self._metrics
        greeted = False
        try:
            async for frame in websocket:
                websocket.read_on()
                if self._closing is not None:
                    continue  # what is still under way is taken, so that the answer to our close can arrive
                if isinstance(frame, str):
                    engine.refuse(session, "protocol_violation", "binary frames only")
                    continue
                metrics.frames_received += 1
                metrics.bytes_received += len(frame)
                engine.receive(session, frame)
                if not greeted:
                    greeted = True
                    websocket.protocol.max_message_size = FRAME_BYTES_MAX
                while self._unsent > self._unsent_max and self._waiting is not None and self._closing is None:
                    await asyncio.wait((self._waiting,))
                if not engine.may_read(session):
                    await engine.readable(session)
        except ConnectionClosed:
            pass
        except Exception:
            _log.exception("session_failed", session=session)
            websocket.transport.abort()
        finally:
            if self._waiting is not None:
                self._waiting.cancel()
            engine.lost(session)
            if self._closing is not None:
                await self._closing

    @property
    def _unsent(self) -> int:
        return self._websocket.transport.get_write_buffer_size()

    async def _wait_for_room(self) -> None:
        taken: int | None = None
        try:
            while self._websocket.paused:
                before, taken = taken, self._buffered - self._unsent
                if before is not None and taken < before + LINK_BYTES_PER_S_MIN * self._send_timeout_s:
                    _log.warning("device_does_not_read", session=self.session, unsent_bytes=self._unsent)
                    self._websocket.transport.abort()
                    return
                try:
                    async with asyncio.timeout(self._send_timeout_s):
                        await self._websocket.drain()
                except TimeoutError:
                    continue
        except OSError:
            return  # the link is gone; the reader notices
        finally:
            self._waiting = None
        self._engine.fill(self.session)

    async def _close(self) -> None:
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self._websocket.close()
        except TimeoutError:
            self._websocket.transport.abort()
