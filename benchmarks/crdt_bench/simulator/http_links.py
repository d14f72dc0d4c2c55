"""Sessions over HTTP in a history: both shipped ends of the channel, over connections like the network of the device.

A cut ends the connections, and the channel goes on by new ones; so it does where what is sent on them vanishes. When a
process at one end dies, the other one finds out by what its requests come to.
"""

import asyncio
import random
from collections.abc import Callable
from typing import Protocol

from crdt_bench.simulator.byte_streams import ByteStream, connected, is_part, say_again
from crdt_bench.simulator.network import TO_DIALER, TO_HOST, Weather
from crdt_bench.simulator.trace import Trace
from crdt_bench.simulator.virtual_loop import VirtualLoop
from crdt_sync.errors import Unreachable
from crdt_sync.runtime.transports.channel import Channel
from crdt_sync.runtime.transports.http import dialed
from crdt_sync.runtime.transports.http.requests import Broken

_PIECES_BYTES = (300, 4_096, *[24 * 1024] * 6)
_REPEATS = (0.0, 0.0, 0.2)  # how often a proxy on the way says a part twice
_POLLS = 0.3  # how often something on the way is known to hold streamed answers back


class Answering(Protocol):
    """A process that serves requests."""

    def take(self, link: "HttpLink", stream: ByteStream) -> None:
        """A connection of that session leads here."""


class HttpLink:
    """The way of one session, as `network.Link` is one; a `byte_streams.Carrier` of its connections.

    `answering` gives the host that a new connection leads to, None where there is no way to any.
    """

    def __init__(
        self,
        loop: VirtualLoop,
        trace: Trace,
        rng: random.Random,
        weather: Callable[[], Weather],
        name: str,
        address: str,
        answering: Callable[[], Answering | None],
    ) -> None:
        self.loop = loop
        self.name = name
        self.open = True
        self.frames = 0  # pieces of the streams of bytes
        self.bytes = 0
        self._trace = trace
        self._rng = rng
        self._weather = weather
        self._address = address
        self._answering = answering
        self._connections: list[ByteStream] = []  # their ends at the device
        self._repeats = rng.choice(_REPEATS)
        self._polls = rng.random() < _POLLS

    async def open_channel(self) -> Channel:
        """The device's end of a new channel. Raises `Unreachable`."""
        try:
            return await dialed.open_channel(f"ws://{self._address}", None, polls=self._polls)
        except (Broken, dialed.Refused) as error:
            raise Unreachable(f"cannot reach {self.name} over HTTP: {error}", "Try again later.") from error

    async def dial(self, protocol_factory: Callable[[], asyncio.Protocol]) -> tuple[ByteStream, asyncio.Protocol]:
        """A new connection to whoever answers now."""
        await asyncio.sleep(self._delay_us() / 1e6)
        if self._answering() is None:
            raise ConnectionRefusedError("there is no way now")
        return connected(self, protocol_factory(), self._answer)

    def ailing(self, now: int) -> bool:
        """Whether it is half-open, or still works off what a partition held back."""
        late = now + self._weather().delay_max
        return self.open and any(end.dead or end.arrives_at > late for end in self._ends())

    def cut(self) -> None:
        """The network breaks its connections."""
        for end in self._ends():
            if end.dialed:
                end.cut()

    def go_deaf(self, direction: int) -> None:
        """From now on what is sent in a direction of its connections vanishes."""
        for end in self._ends():
            if end.dialed == (direction == TO_HOST):
                end.dead = True

    def end_died(self, end: int) -> None:
        """The process at one end is gone."""
        self.cut()
        if end == TO_DIALER:
            self.leave()

    def leave(self) -> None:
        """The session is over."""
        self.open = False

    # --- what its connections ask ----------------------------------------------------------------------------

    def piece_bytes(self) -> int:
        """See `Carrier`."""
        return self._rng.choice(_PIECES_BYTES)

    def window_bytes(self) -> int:
        """See `Carrier`."""
        return self._weather().window

    def delay_us(self, stream: ByteStream, size: int) -> int:
        """See `Carrier`."""
        weather, direction = self._weather(), TO_HOST if stream.dialed else TO_DIALER
        delay_us = max(self._delay_us(), weather.blocked_until[direction] - self.loop.now_us)
        rate = weather.rate[direction]
        return delay_us + (size * 1000 // rate if rate else 0)

    def cuts(self) -> bool:
        """See `Carrier`: the faults of the history do that."""
        return False

    def swallows(self) -> bool:
        """See `Carrier`: the faults of the history do that."""
        return False

    def wrote(self, stream: ByteStream, said: bytes) -> None:
        """See `Carrier`."""
        if self._repeats and is_part(said) and self._rng.random() < self._repeats:
            say_again(self, self._rng, said, self._answer)

    def arrived(self, stream: ByteStream, size: int) -> None:
        """See `Carrier`. Ids of channels and keys are drawn by the system: what was said is not noted."""
        self.frames += 1
        self.bytes += size
        self._trace.note(self.loop.now_us, self.name, f"http {'->' if stream.dialed else '<-'} {size}")

    # --- parts -----------------------------------------------------------------------------------------------

    def _answer(self, there: ByteStream) -> None:
        self._connections = [end for end in self._connections if not (end.lost and end.partner.lost)]
        self._connections.append(there.partner)
        there.peer = self.name
        host = self._answering()
        if host is None:
            there.begin(asyncio.Protocol())
            there.cut()
        else:
            host.take(self, there)

    def _ends(self) -> list[ByteStream]:
        return [end for each in self._connections for end in (each, each.partner) if not end.lost]

    def _delay_us(self) -> int:
        weather = self._weather()
        return self._rng.randint(weather.delay_min, weather.delay_max)


def forget() -> None:
    """Let go of what the device's end keeps of channels whose process died."""
    dialed._goodbyes.clear()
