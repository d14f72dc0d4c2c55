"""The accepting end of a channel over HTTP. Its requests are served by `door`.

What comes of a large frame waits for room, see `transports.room`.
"""

import asyncio
from collections.abc import Callable

from crdt_sync import limits
from crdt_sync.runtime.guests import Guest
from crdt_sync.runtime.transports.http.ends import End
from crdt_sync.runtime.transports.room import Room

PIECE_BYTES = 16 * 1024  # of a stream, that are read or handed out at once
_KEPT_BYTES = 32 * 1024  # that were handed out and are not confirmed, on each channel


class AcceptedChannel(End):
    """See `channel.Channel`. `left` is called once, when it is over; `enter` and `leave` stand around each request.

    `held` hears when the device is not heard for want of room, and when it is again. `leave_room` is to be called when
    nothing will be received any more. What was handed out is kept until the device confirms it; beyond `_KEPT_BYTES` it
    takes `kept_room`, and while that is full no more is handed out beyond them.
    """

    def __init__(
        self,
        key: str,
        peer: str | None,
        buffer_bytes: int,
        left: Callable[[], None],
        room: Room,
        kept_room: Room,
    ) -> None:
        super().__init__(peer, buffer_bytes)
        self.held: Callable[[bool], None] | None = None
        self._room = room
        self._kept_room = kept_room
        self._room_of_next = 0  # bytes that were taken for the frame that comes
        self._room_in_hand = 0  # for the one that was received last
        self._crowded = False
        self.key = key
        self.down: asyncio.Transport | None = None  # of the newest answer that carries our stream
        self.connections: set[asyncio.Transport] = set()  # on which requests are under way
        self._left = left
        self._lingering: asyncio.TimerHandle | None = None
        self.guest: Guest | None = None
        self._linger()

    @property
    def unsent_bytes(self) -> int:
        """See `Channel`. What is kept only for the case that it is lost on the way is not counted."""
        return self.outgoing.waiting + (self.down.get_write_buffer_size() if self.down is not None else 0)

    def has_room_for_more(self) -> bool:
        """Whether more of the device's stream may come. Raises `FrameTooLarge`."""
        size = self.coming.next_bytes
        if size > limits.SMALL_FRAME_BYTES and not (self.coming.is_whole or self.over or self._crowded):
            had, needed = self._room_of_next, min(size, self.coming.buffered + PIECE_BYTES)
            if needed > had:
                self._room_of_next += self._room.take(self, size - had, needed - had)
                self._crowd(self._room_of_next == had)
        return self.coming.has_room and not self._crowded

    def room_given(self, size: int) -> None:
        """See `User`."""
        self._room_of_next += size
        self._crowd(False)
        self.moved()

    def give_way(self) -> None:
        """See `User`."""
        self.abort()

    def leave_room(self) -> None:
        """Nothing is received any more."""
        self._room.leave(self)

    def came(self, part: bytes, offset: int) -> None:
        """See `End`."""
        super().came(part, offset)
        if (self._room_of_next or self._crowded) and self.coming.is_whole:
            if self._crowded:  # the rest came by a request that was under way
                self._room.abandon(self)
                self._room_of_next = 0
                self._crowd(False)
            else:
                self._room.came(self)

    async def receive(self) -> bytes:
        """See `Channel`."""
        self.taken()
        frame = await super().receive()
        self._room_in_hand, self._room_of_next = self._room_of_next, 0
        return frame

    def taken(self) -> None:
        """See `Channel`."""
        self._room.give_back(self, self._room_in_hand)
        self._room_in_hand = 0

    def _crowd(self, crowded: bool) -> None:
        self._crowded = crowded
        if self.held is not None:
            self.held(crowded)

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

    def hand_out(self, most: int) -> bytes:
        """The next bytes of our stream, `most` at most."""
        if self._kept_room.full:
            most = min(most, max(0, _KEPT_BYTES - self.outgoing.unconfirmed))
        part = self.outgoing.take(most)
        self._keep()
        return part

    def resume(self, offset: int) -> None:
        """Hand out from `offset` on; the device has what is before. Raises `OffsetUnknown`."""
        self.outgoing.resume(offset)
        self.confirm(offset)

    def confirm(self, offset: int) -> None:
        """The device has what was sent before `offset`. Raises `OffsetUnknown`."""
        self.outgoing.acknowledge(max(offset, self.outgoing.acknowledged))
        self._keep()
        if self.outgoing.ended and not self.outgoing.kept:
            self.finish()
        self.moved()

    def _keep(self) -> None:
        beyond = self.outgoing.unconfirmed - _KEPT_BYTES
        if beyond > 0 and not self.over:
            self._kept_room.keep(self, beyond)
        else:
            self._kept_room.leave(self)

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
            if not self.coming.is_whole:
                self._room.abandon(self)
                self._room_of_next = 0
            self._crowded = False
            self._kept_room.leave(self)
            if self._lingering is not None:
                self._lingering.cancel()
            self.moved()
            self._left()
