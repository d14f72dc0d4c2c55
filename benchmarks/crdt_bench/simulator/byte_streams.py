"""Connections of a virtual loop: bytes that come late, in pieces, or not at all, and connections that break.

`asyncio.open_connection` on the loop dials, and `connected` makes the two ends of what it gets. So what is built on
asyncio's streams runs as it is. It is TCP but for one thing: something on the way may say a request twice.
"""

import asyncio
import random
import re
from collections.abc import Callable
from contextvars import Context
from dataclasses import dataclass
from typing import Any, Protocol

from crdt_bench.simulator.virtual_loop import VirtualLoop

WINDOW_BYTES = 64 * 1024  # on the way; the rest waits with its sender
_PIECES_BYTES = (1, 300, *[4_096] * 3, *[24 * 1024] * 6)
_HIGH_BYTES = 64 * 1024
_REPEATED_US_MAX = 4_000_000
_BEGINS = b"POST "
_PART = re.compile(rb"POST [^ ]*[?&]from=\d+.*?content-length: (\d+).*?\r\n\r\n", re.DOTALL | re.IGNORECASE)
_NETWORK = Context()  # what is under way belongs to no process


class Carrier(Protocol):
    """What carries the bytes of connections."""

    loop: VirtualLoop

    def piece_bytes(self) -> int:
        """How much arrives at once, at most."""

    def window_bytes(self) -> int:
        """How much is under way before the sender is told to wait."""

    def delay_us(self, stream: "ByteStream", size: int) -> int:
        """How long the next so many bytes of this end take."""

    def cuts(self) -> bool:
        """Whether the connection breaks now."""

    def swallows(self) -> bool:
        """Whether from now on nothing arrives in this direction, and nobody is told."""

    def wrote(self, stream: "ByteStream", said: bytes) -> None:
        """That was written since a request began."""

    def arrived(self, stream: "ByteStream", size: int) -> None:
        """So many bytes of this end have arrived."""


@dataclass(slots=True)
class Weather:
    """What may happen: probabilities for each piece that arrives, and for each connection, and the longest delay."""

    latency_us_max: int = 20_000
    cut: float = 0.0
    swallow: float = 0.0  # from then on nothing arrives in this direction, and nobody is told
    refuse: float = 0.0
    repeat: float = 0.0  # a request comes once more, on another connection, as when a proxy tries again


def is_part(said: bytes) -> bool:
    """Whether this is a whole request that brings a part of a device's stream: it may come again."""
    head = _PART.match(said)
    return head is not None and len(said) == head.end() + int(head[1])


class ByteNetwork:
    """A `Carrier` of all connections of a loop. `answer` is given the other end of each."""

    def __init__(self, loop: VirtualLoop, rng: random.Random, answer: Callable[["ByteStream"], None]) -> None:
        self.weather = Weather()
        self.loop = loop
        self.rng = rng
        self.faults = 0  # that struck
        self._answer = answer
        loop.dial = self.dial

    async def dial(
        self, protocol_factory: Callable[[], asyncio.Protocol], _: str
    ) -> tuple["ByteStream", asyncio.Protocol]:
        """See `asyncio.loop.create_connection`."""
        await asyncio.sleep(self._latency_us() / 1e6)
        if self._strikes(self.weather.refuse):
            raise ConnectionRefusedError("nobody listens")
        return connected(self, protocol_factory(), self._answer)

    def piece_bytes(self) -> int:
        """See `Carrier`."""
        return self.rng.choice(_PIECES_BYTES)

    def window_bytes(self) -> int:
        """See `Carrier`."""
        return WINDOW_BYTES

    def delay_us(self, stream: "ByteStream", size: int) -> int:
        """See `Carrier`."""
        return self._latency_us()

    def cuts(self) -> bool:
        """See `Carrier`."""
        return self._strikes(self.weather.cut)

    def swallows(self) -> bool:
        """See `Carrier`."""
        return self._strikes(self.weather.swallow)

    def wrote(self, stream: "ByteStream", said: bytes) -> None:
        """See `Carrier`."""
        if self.weather.repeat and is_part(said) and self._strikes(self.weather.repeat):
            say_again(self, self.rng, said, self._answer)

    def arrived(self, stream: "ByteStream", size: int) -> None:
        """See `Carrier`."""

    def _strikes(self, probability: float) -> bool:
        struck = probability > 0 and self.rng.random() < probability
        self.faults += struck
        return struck

    def _latency_us(self) -> int:
        return self.rng.randint(1, self.weather.latency_us_max)


def connected(
    carrier: Carrier, protocol: asyncio.Protocol, answer: Callable[["ByteStream"], None]
) -> tuple["ByteStream", asyncio.Protocol]:
    """A new connection: its end for whoever dialed. The other end is given to `answer`."""
    here, there = ByteStream(carrier, dialed=True), ByteStream(carrier, dialed=False)
    here.partner, there.partner = there, here
    here.begin(protocol)
    answer(there)
    return here, protocol


def say_again(carrier: Carrier, rng: random.Random, said: bytes, answer: Callable[["ByteStream"], None]) -> None:
    """The same comes on another connection, a while later."""

    def say() -> None:
        connected(carrier, asyncio.Protocol(), answer)[0].write(said)

    carrier.loop.call_in(rng.randint(0, _REPEATED_US_MAX), say, context=_NETWORK)


class ByteStream(asyncio.Transport):
    """One end of a connection; `dialed` says which."""

    partner: "ByteStream"

    def __init__(self, carrier: Carrier, *, dialed: bool) -> None:
        super().__init__()
        self.dialed = dialed
        self.peer: str | None = None  # who the other end is known as
        self.dead = False  # what is sent vanishes
        self.lost = False
        self.arrives_at = 0  # when the last piece arrives
        self._carrier = carrier
        self._number = carrier.loop.next_number()
        self._protocol: asyncio.BaseProtocol | None = None
        self._unsent = bytearray()
        self._said = bytearray()  # since a request began
        self._high = _HIGH_BYTES
        self._reading = True
        self._blocked = False  # the protocol was told to write no more for now
        self._piece = 0  # bytes that are on their way, at most; 0: none are
        self._closing = False

    def __hash__(self) -> int:
        return self._number

    def begin(self, protocol: asyncio.Protocol) -> None:
        """The connection is there."""
        self._protocol = protocol
        protocol.connection_made(self)

    def cut(self) -> None:
        """The connection breaks, and both ends hear of it."""
        self._break(ConnectionResetError("cut"))
        self.partner._break(ConnectionResetError("cut"))

    # --- asyncio.Transport -----------------------------------------------------------------------------------

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """See `asyncio.Transport`."""
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        """See `asyncio.Transport`."""
        assert self._protocol is not None
        return self._protocol

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """See `asyncio.Transport`. Nothing else is known of the other end."""
        return (self.peer, 0) if name == "peername" and self.peer is not None else default

    def is_closing(self) -> bool:
        """See `asyncio.Transport`. At the end of a run nobody closes what is open."""
        return self._closing or self._carrier.loop.ending

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
        return max(0, len(self._unsent) - self._carrier.window_bytes())

    def write(self, data: Any) -> None:
        """See `asyncio.Transport`."""
        if self._closing or not data:
            return
        self._unsent += data
        if self.dialed:
            self._said = bytearray(data) if bytes(data[: len(_BEGINS)]) == _BEGINS else self._said + data
            self._carrier.wrote(self, bytes(self._said))
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
        if self.lost:
            return
        self._break(None)
        if not self.dead:
            delay_us = self._carrier.delay_us(self, 0)
            self._carrier.loop.call_in(delay_us, self.partner._break, ConnectionResetError("reset"), context=_NETWORK)

    # --- what is under way -----------------------------------------------------------------------------------

    def _go_on(self) -> None:
        if not self._piece and not self.lost and self.partner._reading and (self._unsent or self._closing):
            carrier = self._carrier
            self._piece = carrier.piece_bytes()
            delay_us = carrier.delay_us(self, min(self._piece, len(self._unsent)))
            self.arrives_at = carrier.loop.now_us + delay_us
            carrier.loop.call_in(delay_us, self._arrive, context=_NETWORK)

    def _arrive(self) -> None:
        carrier = self._carrier
        most, self._piece = self._piece, 0
        if self.lost or not self.partner._reading:
            return
        if self._unsent and carrier.cuts():
            self.cut()
            return
        self.dead = self.dead or carrier.swallows()
        piece = bytes(self._unsent[:most])
        del self._unsent[:most]
        if self._blocked and self.get_write_buffer_size() <= self._high // 4:
            self._blocked = False
            self._told("resume_writing")
        if piece and not self.dead and not self.partner.lost:
            carrier.arrived(self, len(piece))
            self.partner._hear(piece)
        if self._closing and not self._unsent and not self.lost:
            self._break(None)
            if not self.dead:
                self.partner._ended()
            return
        self._go_on()

    def _ended(self) -> None:
        if not self.lost and not self._told("eof_received"):
            self.close()

    def _break(self, error: Exception | None) -> None:
        self._closing = True
        if not self.lost:
            self.lost = True
            self._unsent.clear()
            self._carrier.loop.call_soon(self._told, "connection_lost", error, context=_NETWORK)

    def _hear(self, data: bytes) -> None:
        protocol = self.get_protocol()
        if not isinstance(protocol, asyncio.BufferedProtocol):
            self._told("data_received", data)
            return
        while data:
            buffer = memoryview(protocol.get_buffer(-1))
            size = min(len(buffer), len(data))
            buffer[:size] = data[:size]
            data = data[size:]
            self._told("buffer_updated", size)

    def _told(self, what: str, *arguments: object) -> Any:
        return getattr(self.get_protocol(), what)(*arguments)
