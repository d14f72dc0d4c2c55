"""A channel over a websocket, at either end."""

import asyncio

from websockets.asyncio.server import broadcast
from websockets.exceptions import ConnectionClosed
from websockets.protocol import State

from crdt_sync.runtime.transports import channel
from crdt_sync.runtime.transports.arrivals import Arrivals
from crdt_sync.runtime.transports.channel import ChannelClosed, RulesBroken


class WebsocketChannel:
    """See `channel.Channel`. With `buffer_bytes` waiting to be sent there is no room; None: as the library has it."""

    def __init__(self, websocket: Arrivals, buffer_bytes: int | None = None) -> None:
        self._websocket = websocket
        if buffer_bytes is not None:
            websocket.transport.set_write_buffer_limits(high=buffer_bytes)

    @property
    def peer(self) -> str | None:
        """See `Channel`."""
        address = self._websocket.remote_address
        return str(address[0]) if address else None

    def take_up_to(self, frame_bytes: int) -> None:
        """See `Channel`."""
        self._websocket.protocol.max_message_size = frame_bytes

    def send(self, frame: bytes) -> None:
        """See `Channel`."""
        broadcast((self._websocket,), frame)

    @property
    def unsent_bytes(self) -> int:
        """See `Channel`."""
        return self._websocket.transport.get_write_buffer_size()

    @property
    def has_room(self) -> bool:
        """See `Channel`."""
        return not self._websocket.paused

    async def room(self) -> None:
        """See `Channel`."""
        try:
            await self._websocket.drain()
        except OSError as error:
            raise ChannelClosed from error
        if self._websocket.state is not State.OPEN:
            raise ChannelClosed

    async def receive(self) -> bytes:
        """See `Channel`."""
        self.taken()
        try:
            frame = await self._websocket.recv()
        except ConnectionClosed as closed:
            raise ChannelClosed from closed
        self._websocket.read_on(len(frame))
        if isinstance(frame, str):
            raise RulesBroken("binary frames only")
        return frame

    def taken(self) -> None:
        """See `Channel`."""
        self._websocket.taken()

    @property
    def arriving_bytes(self) -> int:
        """See `Channel`."""
        return self._websocket.arriving

    async def close(self) -> None:
        """See `Channel`. The library would wait until the partner has taken everything."""
        try:
            async with asyncio.timeout(channel.CLOSE_TIMEOUT_S):
                await self._websocket.close()
        except TimeoutError:
            self._websocket.drop()

    def abort(self) -> None:
        """See `Channel`."""
        self._websocket.transport.abort()
