"""Two ends of a channel within one process: for tests, and for hosts that keep both partners."""

import asyncio
from collections import deque
from collections.abc import Callable

from crdt_sync.limits import FRAME_BYTES_MAX
from crdt_sync.runtime.transports.channel import ChannelClosed

_BUFFER_BYTES = 128 * 1024


def memory_pair(buffer_bytes: int = _BUFFER_BYTES) -> "tuple[MemoryChannel, MemoryChannel]":
    """Both ends of a new channel. With `buffer_bytes` under way to an end, the other has no room."""
    first, second = MemoryChannel(buffer_bytes), MemoryChannel(buffer_bytes)
    first.partner, second.partner = second, first
    return first, second


class MemoryChannel:
    """One end; see `channel.Channel`. Made by `memory_pair`."""

    partner: "MemoryChannel"

    def __init__(self, buffer_bytes: int) -> None:
        self._buffer_bytes = buffer_bytes
        self._frame_bytes_max = FRAME_BYTES_MAX
        self._coming: deque[bytes] = deque()
        self._coming_bytes = 0
        self._ended = False
        self._moved = asyncio.Event()  # something came, was taken, or ended

    @property
    def peer(self) -> str | None:
        """See `Channel`."""
        return None

    def take_up_to(self, frame_bytes: int) -> None:
        """See `Channel`."""
        self._frame_bytes_max = frame_bytes

    def send(self, frame: bytes) -> None:
        """See `Channel`."""
        partner = self.partner
        if self._ended or partner._ended:
            return
        if len(frame) > partner._frame_bytes_max:
            self.abort()
            return
        partner._coming.append(frame)
        partner._coming_bytes += len(frame)
        partner._moved.set()

    @property
    def unsent_bytes(self) -> int:
        """See `Channel`."""
        return self.partner._coming_bytes

    @property
    def has_room(self) -> bool:
        """See `Channel`."""
        return self._ended or self.partner._coming_bytes <= self._buffer_bytes

    async def room(self) -> None:
        """See `Channel`."""
        await self._until(lambda: self.has_room)
        if self._ended:
            raise ChannelClosed

    async def receive(self) -> bytes:
        """See `Channel`."""
        await self._until(lambda: bool(self._coming))
        if not self._coming:
            raise ChannelClosed
        frame = self._coming.popleft()
        self._coming_bytes -= len(frame)
        self.partner._moved.set()
        return frame

    def taken(self) -> None:
        """See `Channel`."""

    @property
    def arriving_bytes(self) -> int:
        """See `Channel`."""
        return 0

    async def close(self) -> None:
        """See `Channel`. The partner finds what was sent; nobody need wait until it has looked."""
        self._end(drop=True)
        self.partner._end(drop=False)

    def abort(self) -> None:
        """See `Channel`."""
        self._end(drop=True)
        self.partner._end(drop=True)

    def _end(self, *, drop: bool) -> None:
        self._ended = True
        if drop:
            self._coming.clear()
            self._coming_bytes = 0
        self._moved.set()
        self.partner._moved.set()

    async def _until(self, reached: Callable[[], bool]) -> None:
        while not reached() and not self._ended:
            self._moved.clear()
            await self._moved.wait()
