"""A channel over a websocket, at either end."""

import asyncio

from websockets.asyncio.server import broadcast
from websockets.exceptions import ConnectionClosed
from websockets.frames import Opcode
from websockets.protocol import Side, State

from crdt_sync.runtime.transports import channel
from crdt_sync.runtime.transports.arrivals import Arrivals
from crdt_sync.runtime.transports.channel import ChannelClosed, RulesBroken

_WHOLE = 0x80 | Opcode.BINARY  # the first byte of a message of one frame
_LENGTH_IN_TWO_BYTES, _LENGTH_IN_EIGHT_BYTES = 126, 127  # in place of a length


class WebsocketChannel:
    """See `channel.Channel`. With `buffer_bytes` waiting to be sent there is no room; None: as the library has it.
    `caller` is the address of who came through a proxy.
    """

    def __init__(self, websocket: Arrivals, buffer_bytes: int | None = None, caller: str | None = None) -> None:
        self._websocket = websocket
        self._caller = caller
        self._transport, protocol = websocket.transport, websocket.protocol
        self._writes_frames = protocol.side is Side.SERVER and not protocol.extensions
        if buffer_bytes is not None:
            websocket.transport.set_write_buffer_limits(high=buffer_bytes)

    @property
    def peer(self) -> str | None:
        """See `Channel`."""
        address = self._websocket.remote_address
        return self._caller or (str(address[0]) if address else None)

    def take_up_to(self, frame_bytes: int) -> None:
        """See `Channel`."""
        self._websocket.protocol.max_message_size = frame_bytes

    def send(self, frame: bytes) -> None:
        """See `Channel`."""
        websocket, transport = self._websocket, self._transport
        protocol = websocket.protocol
        if (
            self._writes_frames
            and protocol.state is State.OPEN
            and websocket.send_in_progress is None
            and not protocol.writes
            and not transport.is_closing()
        ):
            try:
                transport.write(_last.wire(frame))
            except Exception:  # as the library has it: whoever receives hears that the link is gone
                return
        else:
            broadcast((websocket,), frame)

    @property
    def unsent_bytes(self) -> int:
        """See `Channel`."""
        return self._transport.get_write_buffer_size()

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


class Wires:
    """The frame of a websocket around a message, as a server sends it: the last is kept, for all who are sent it."""

    def __init__(self) -> None:
        self._last: tuple[bytes | None, bytes] = (None, b"")

    def wire(self, message: bytes) -> bytes:
        """The bytes to be sent. Threads may ask at once."""
        last, wire = self._last
        if message is last:
            return wire
        size = len(message)
        if size < _LENGTH_IN_TWO_BYTES:
            head = bytes((_WHOLE, size))
        elif size < 1 << 16:
            head = bytes((_WHOLE, _LENGTH_IN_TWO_BYTES)) + size.to_bytes(2, "big")
        else:
            return bytes((_WHOLE, _LENGTH_IN_EIGHT_BYTES)) + size.to_bytes(8, "big") + message
        wire = head + message
        self._last = message, wire
        return wire


_last = Wires()
