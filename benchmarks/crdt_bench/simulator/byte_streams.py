"""Connections of a virtual loop: bytes that come late, in pieces, or not at all, and connections that break.

`asyncio.open_connection` on the loop dials `ByteNetwork`, which gives the other end to `answer`. So what is built on
asyncio's streams runs as it is. It is TCP but for one thing: something on the way may say a request twice.
"""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from crdt_bench.simulator.virtual_loop import VirtualLoop

_WINDOW_BYTES = 64 * 1024  # on the way; the rest waits with its sender
_PIECES_BYTES = (1, 300, *[4_096] * 3, *[24 * 1024] * 6)
_HIGH_BYTES = 64 * 1024
_REPEATED_US_MAX = 4_000_000
_BEGINS = b"POST "


@dataclass(slots=True)
class Weather:
    """What may happen: probabilities for each piece that arrives, and for each connection, and the longest delay."""

    latency_us_max: int = 20_000
    cut: float = 0.0
    swallow: float = 0.0  # from then on nothing arrives in this direction, and nobody is told
    refuse: float = 0.0
    repeat: float = 0.0  # a request comes once more, on another connection, as when a proxy tries again


class ByteNetwork:
    """See the module. `repeatable` says whether something that was written is a whole request that may come again."""

    def __init__(
        self,
        loop: VirtualLoop,
        rng: random.Random,
        answer: Callable[["ByteStream"], None],
        repeatable: Callable[[bytes], bool],
    ) -> None:
        self.weather = Weather()
        self.loop = loop
        self.rng = rng
        self.faults = 0  # that struck
        self._answer = answer
        self._repeatable = repeatable
        loop.dial = self.dial

    async def dial(self, protocol_factory: Callable[[], asyncio.Protocol]) -> tuple["ByteStream", asyncio.Protocol]:
        """See `asyncio.loop.create_connection`."""
        await asyncio.sleep(self.latency_us() / 1e6)
        if self.strikes(self.weather.refuse):
            raise ConnectionRefusedError("nobody listens")
        here, there = ByteStream(self), ByteStream(self)
        here.partner, there.partner = there, here
        here.begin(protocol := protocol_factory())
        self._answer(there)
        return here, protocol

    def sent(self, said: bytes) -> None:
        """That was written since a request began."""
        if self.weather.repeat and self._repeatable(said) and self.strikes(self.weather.repeat):
            self.loop.call_in(self.rng.randint(0, _REPEATED_US_MAX), self._repeat, said)

    def strikes(self, probability: float) -> bool:
        """Draw a fault."""
        struck = probability > 0 and self.rng.random() < probability
        self.faults += struck
        return struck

    def latency_us(self) -> int:
        """Draw a delay."""
        return self.rng.randint(1, self.weather.latency_us_max)

    def _repeat(self, said: bytes) -> None:
        here, there = ByteStream(self), ByteStream(self)
        here.partner, there.partner = there, here
        here.begin(asyncio.Protocol())
        self._answer(there)
        here.write(said)


class ByteStream(asyncio.Transport):
    """One end of a connection."""

    partner: "ByteStream"

    def __init__(self, network: ByteNetwork) -> None:
        super().__init__()
        self._network = network
        self._number = network.loop.next_number()
        self._protocol: asyncio.BaseProtocol | None = None
        self._unsent = bytearray()
        self._said = bytearray()  # since a request began
        self._high = _HIGH_BYTES
        self._reading = True
        self._blocked = False  # the protocol was told to write no more for now
        self._sending = False  # a piece is on its way
        self._dead = False  # what is sent vanishes
        self._closing = False
        self._lost = False

    def __hash__(self) -> int:
        return self._number

    def begin(self, protocol: asyncio.Protocol) -> None:
        """The connection is there."""
        self._protocol = protocol
        protocol.connection_made(self)

    # --- asyncio.Transport -----------------------------------------------------------------------------------

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """See `asyncio.Transport`."""
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        """See `asyncio.Transport`."""
        assert self._protocol is not None
        return self._protocol

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """See `asyncio.Transport`. Nothing is known of the other end."""
        return default

    def is_closing(self) -> bool:
        """See `asyncio.Transport`."""
        return self._closing

    def pause_reading(self) -> None:
        """See `asyncio.Transport`."""
        self._reading = False

    def resume_reading(self) -> None:
        """See `asyncio.Transport`."""
        self._reading = True
        self.partner._go_on()

    def is_reading(self) -> bool:
        """See `asyncio.Transport`."""
        return self._reading

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """See `asyncio.Transport`."""
        self._high = _HIGH_BYTES if high is None else high

    def get_write_buffer_size(self) -> int:
        """See `asyncio.Transport`."""
        return max(0, len(self._unsent) - _WINDOW_BYTES)

    def write(self, data: Any) -> None:
        """See `asyncio.Transport`."""
        if self._closing or not data:
            return
        self._unsent += data
        self._said = bytearray(data) if bytes(data[: len(_BEGINS)]) == _BEGINS else self._said + data
        self._network.sent(bytes(self._said))
        if not self._blocked and self.get_write_buffer_size() > self._high:
            self._blocked = True
            self._told("pause_writing")
        self._go_on()

    def close(self) -> None:
        """See `asyncio.Transport`."""
        if not self._closing:
            self._closing = True
            self._go_on()

    def abort(self) -> None:
        """See `asyncio.Transport`."""
        self._break(None)
        self._network.loop.call_in(self._network.latency_us(), self.partner._break, ConnectionResetError("reset"))

    # --- what is under way -----------------------------------------------------------------------------------

    def _go_on(self) -> None:
        if not self._sending and not self._lost and self.partner._reading and (self._unsent or self._closing):
            self._sending = True
            self._network.loop.call_in(self._network.latency_us(), self._arrive)

    def _arrive(self) -> None:
        network, weather = self._network, self._network.weather
        self._sending = False
        if self._lost:
            return
        if not self.partner._reading:
            return
        if self._unsent and network.strikes(weather.cut):
            self._break(ConnectionResetError("cut"))
            self.partner._break(ConnectionResetError("cut"))
            return
        self._dead = self._dead or network.strikes(weather.swallow)
        most = network.rng.choice(_PIECES_BYTES)
        piece = bytes(self._unsent[:most])
        del self._unsent[:most]
        if self._blocked and self.get_write_buffer_size() <= self._high // 4:
            self._blocked = False
            self._told("resume_writing")
        if piece and not self._dead and not self.partner._lost:
            self.partner._told("data_received", piece)
        if self._closing and not self._unsent and not self._lost:
            self._break(None)
            if not self._dead:
                self.partner._ended()
            return
        self._go_on()

    def _ended(self) -> None:
        if not self._lost and not self._told("eof_received"):
            self.close()

    def _break(self, error: Exception | None) -> None:
        self._closing = True
        if not self._lost:
            self._lost = True
            self._unsent.clear()
            self._network.loop.call_soon(self._told, "connection_lost", error)

    def _told(self, what: str, *arguments: object) -> Any:
        return getattr(self.get_protocol(), what)(*arguments)
