"""What comes on a websocket is parsed in slices, in turns: 256 KiB, read at once, may be 20,000 frames.

While something is not parsed, or its frames wait to be received, the socket is not read.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import ClassVar

from crdt_sync.runtime.hosting.fair_queue import FairQueue, Flow
from crdt_sync.runtime.transports.arrivals import Arrivals

_SLICE_BYTES = 4096  # 300 of the smallest frames, 2 ms; of a large frame 5 microseconds


class ParsedInTurns(Arrivals):
    """Part of a server's connection; `flow` tells whose work that is."""

    queue: ClassVar[FairQueue]
    flow: Callable[[], Flow]
    _waiting = False  # for a turn
    _full = False  # frames wait to be received
    _paused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        super().connection_made(transport)
        self._unparsed: deque[memoryview] = deque()
        self.recv_messages.pause = self._hold
        self.recv_messages.resume = self._go_on

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        self._unparsed.append(memoryview(data))
        self._parse()

    def eof_received(self) -> None:
        """See `asyncio.Protocol`."""
        self._parse_rest()
        super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`. What had come is received all the same."""
        self._parse_rest()
        self.recv_messages.pause = self.recv_messages.resume = _nothing  # they refer to this
        super().connection_lost(exc)

    def _parse(self) -> None:
        while self._unparsed and not self._full and not self._waiting:
            if not self.queue.ran(self._parse_slice):
                self._waiting = True
                self.queue.take(self.flow(), self._turn_came)
        self._read_or_pause()

    def _turn_came(self) -> None:
        self._waiting = False
        if self._unparsed and not self._full:
            self._parse_slice()
        self._parse()

    def _parse_slice(self) -> None:
        piece = self._unparsed.popleft()
        if len(piece) > _SLICE_BYTES:
            self._unparsed.appendleft(piece[_SLICE_BYTES:])
        super().data_received(bytes(piece[:_SLICE_BYTES]))

    def _parse_rest(self) -> None:
        while self._unparsed:
            self._parse_slice()

    def _hold(self) -> None:
        self._full = True

    def _go_on(self) -> None:
        self._full = False
        self._parse()

    def _read_or_pause(self) -> None:
        pause = bool(self._unparsed) or self._full
        if pause == self._paused or self.transport.is_closing():
            return
        self._paused = pause
        if pause:
            self.transport.pause_reading()
        else:
            self.transport.resume_reading()


def _nothing() -> None:
    """There is nothing to read any more."""
