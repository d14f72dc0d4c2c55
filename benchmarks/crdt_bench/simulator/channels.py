"""The shipped channel port over a simulated link: one end of it, for a session that dials or one that accepts."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

from crdt_bench.simulator.network import Link
from crdt_sync.limits import FRAME_BYTES_MAX
from crdt_sync.runtime.transports import channel
from crdt_sync.runtime.transports.channel import ChannelClosed


class LinkChannel:
    """See `channel.Channel`. It sends in `direction`; `held` sees what has arrived and was not received yet."""

    def __init__(self, link: Link, direction: int, held: Callable[[Sequence[bytes]], None] | None = None) -> None:
        self._link = link
        self._direction = direction
        self._held = held
        self._coming: deque[bytes] = deque()
        self._frame_bytes_max = FRAME_BYTES_MAX
        self._over = False
        self._news: asyncio.Future[None] | None = None  # of the one who receives
        self._space: asyncio.Future[None] | None = None  # of the one who waits for room
        self._closers: list[asyncio.Future[None]] = []
        link.ends[1 - direction] = _End(self)

    def came(self, frame: bytes) -> None:
        """A frame has arrived."""
        if len(frame) > self._frame_bytes_max:
            self.abort()
            return
        self._coming.append(frame)
        _wake(self._news)
        if self._held is not None:
            self._held(self._coming)

    def has_room_again(self) -> None:
        """What was under way has arrived."""
        _wake(self._space)

    def ended(self) -> None:
        """The link is gone."""
        self._over = True
        for waiting in (self._news, self._space, *self._closers):
            _wake(waiting)

    @property
    def peer(self) -> str | None:
        """See `Channel`."""
        return self._link.name

    def take_up_to(self, frame_bytes: int) -> None:
        """See `Channel`."""
        self._frame_bytes_max = frame_bytes

    def send(self, frame: bytes) -> None:
        """See `Channel`."""
        if not self._over:
            self._link.send(self._direction, frame)

    @property
    def unsent_bytes(self) -> int:
        """See `Channel`."""
        return self._link.unsent(self._direction)

    @property
    def has_room(self) -> bool:
        """See `Channel`."""
        return self._over or self._link.has_room(self._direction)

    async def room(self) -> None:
        """See `Channel`."""
        while not self.has_room:
            self._link.call_when_room(self._direction)
            self._space = asyncio.get_running_loop().create_future()
            await self._space
        if self._over:
            raise ChannelClosed

    async def receive(self) -> bytes:
        """See `Channel`."""
        while not self._coming:
            if self._over:
                raise ChannelClosed
            self._news = asyncio.get_running_loop().create_future()
            await self._news
        return self._coming.popleft()

    def taken(self) -> None:
        """See `Channel`."""

    @property
    def arriving_bytes(self) -> int:
        """See `Channel`."""
        return self._link.arriving(1 - self._direction)

    async def close(self) -> None:
        """See `Channel`."""
        if self._over:
            return
        closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._closers.append(closed)
        self._link.gone.append(self.ended)
        self._link.close(self._direction)
        try:
            async with asyncio.timeout(channel.CLOSE_TIMEOUT_S):
                await closed
        except TimeoutError:
            self.abort()

    def abort(self) -> None:
        """See `Channel`."""
        if not self._over:
            self._link.abort(self._direction)
            self._coming.clear()
            self.ended()


class _End:
    """See `network.End`."""

    def __init__(self, channel: LinkChannel) -> None:
        self.arrived = channel.came
        self.room = channel.has_room_again
        self.hung_up = channel.ended


def _wake(waiting: "asyncio.Future[None] | None") -> None:
    if waiting is not None and not waiting.done():
        waiting.set_result(None)
