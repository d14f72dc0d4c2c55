"""What both ends of a channel over HTTP have in common: two streams, and who waits for them."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable

from crdt_sync.runtime.transports import channel
from crdt_sync.runtime.transports.channel import ChannelClosed
from crdt_sync.runtime.transports.http.streams import FrameTooLarge, Incoming, Outgoing


class End(ABC):
    """See `channel.Channel`. `over` says that no request will change anything any more."""

    def __init__(self, peer: str | None, buffer_bytes: int) -> None:
        self.outgoing = Outgoing()
        self.coming = Incoming()
        self.over = False
        self.closing = False
        self.greeted = False  # a frame was received
        self._peer = peer
        self._buffer_bytes = buffer_bytes
        self._moved = asyncio.Event()  # something came, was taken, or ended

    @property
    def peer(self) -> str | None:
        """See `Channel`."""
        return self._peer

    def take_up_to(self, frame_bytes: int) -> None:
        """See `Channel`."""
        self.coming.limit = frame_bytes

    def send(self, frame: bytes) -> None:
        """See `Channel`."""
        if not self.over and not self.closing:
            self.outgoing.put(frame)
            self.moved()

    @property
    @abstractmethod
    def unsent_bytes(self) -> int:
        """See `Channel`."""

    @property
    def has_room(self) -> bool:
        """See `Channel`."""
        return self.over or self.unsent_bytes <= self._buffer_bytes

    async def room(self) -> None:
        """See `Channel`."""
        await self.until(lambda: self.has_room)
        if self.over:
            raise ChannelClosed

    async def receive(self) -> bytes:
        """See `Channel`."""
        while self.over or not self.closing:
            try:
                frame = self.coming.take()
            except FrameTooLarge:
                self.abort()
                break
            if frame is not None:
                self.greeted = True
                self.moved()
                return frame
            if self.over:
                break
            if self.coming.ended:
                self.finish()
                break
            self._moved.clear()
            await self._moved.wait()
        raise ChannelClosed

    @abstractmethod
    def taken(self) -> None:
        """See `Channel`."""

    @property
    def arriving_bytes(self) -> int:
        """See `Channel`."""
        return self.coming.arriving

    def came(self, part: bytes, offset: int) -> None:
        """A part of the partner's stream came. Raises `OffsetUnknown`, `FrameTooLarge`."""
        self.coming.feed(part, offset)
        if self.closing:
            self._pass_over()
            if self.coming.ended:
                self.finish()
        self.moved()

    def _pass_over(self) -> None:
        """Nobody will take what has come. Raises `FrameTooLarge`."""
        while self.coming.take() is not None:
            pass

    def moved(self) -> None:
        """Let everybody look who waits."""
        self._moved.set()

    async def until(self, reached: Callable[[], bool]) -> None:
        """Wait until then, or until the channel is over."""
        while not reached() and not self.over:
            self._moved.clear()
            await self._moved.wait()

    async def close(self) -> None:
        """See `Channel`."""
        if not self.closing:
            self.closing = True
            try:
                self._pass_over()
            except FrameTooLarge:
                self.abort()
        self.outgoing.end()
        self.moved()
        try:
            async with asyncio.timeout(channel.CLOSE_TIMEOUT_S):
                await self.until(lambda: False)
        except TimeoutError:
            self.abort()

    @abstractmethod
    def finish(self) -> None:
        """The partner has ended the channel, and everything that it sent was received."""

    @abstractmethod
    def abort(self) -> None:
        """See `Channel`."""
