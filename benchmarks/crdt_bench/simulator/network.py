"""Links: two directions, each in order, delayed, bounded, and able to fail alone.

A link is a TCP connection as a session sees it: what is sent arrives in order or not at all, and nothing arrives
behind something that was lost. Different links overtake each other.
"""

import random
import zlib
from collections import deque
from collections.abc import Callable
from contextvars import Context
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from crdt_bench.simulator.trace import Trace
from crdt_bench.simulator.virtual_loop import VirtualLoop

TO_HOST = 0
TO_DIALER = 1

_NETWORK = Context()  # what is under way belongs to no process


@dataclass(slots=True)
class Weather:
    """How the network of one device is. Delays in microseconds, `rate` in bytes per millisecond."""

    delay_min: int = 500
    delay_max: int = 5_000
    rate: tuple[int, int] = (0, 0)  # per direction; 0: unbounded
    blocked_until: tuple[int, int] = (0, 0)  # per direction: what is sent before arrives later
    window: int = 65_536  # bytes under way per direction before the sender is told to wait


class _Coming(NamedTuple):
    """A frame on its way: when its first and its last byte arrive, and how many it has."""

    begins: int
    ends: int
    size: int


class End(Protocol):
    """Who sits at one end of a link."""

    def arrived(self, frame: bytes) -> None:
        """A frame came."""

    def room(self) -> None:
        """There is room again."""

    def hung_up(self) -> None:
        """The other side, or the network, closed the link."""


class Link:
    """One connection. Close it from either end with `close`; `cut` is the network's doing."""

    def __init__(
        self, loop: VirtualLoop, trace: Trace, rng: random.Random, weather: Callable[[], Weather], name: str
    ) -> None:
        self._loop = loop
        self._trace = trace
        self._rng = rng
        self._weather = weather
        self.name = name
        self.ends: list[End | None] = [None, None]  # whom a direction leads to: [relay, device]
        self.open = True
        self.dead = [False, False]  # half-open: what is sent in this direction vanishes, from now on
        self._last = [0, 0]  # when the last frame of a direction arrives
        self._under_way = [0, 0]
        self._coming: tuple[deque[_Coming], deque[_Coming]] = (deque(), deque())
        self._wanting = [False, False]
        self.gone: list[Callable[[], None]] = []  # told when the link is no more, closed or cut
        self.frames = 0
        self.bytes = 0

    def ailing(self, now: int) -> bool:
        """Whether it is open and half-open, or still works off what a partition held back."""
        return self.open and (any(self.dead) or max(self._last) > now + self._weather().delay_max)

    def has_room(self, direction: int) -> bool:
        """Whether the sender of this direction may send more."""
        return self._under_way[direction] < self._weather().window

    def unsent(self, direction: int) -> int:
        """How many bytes were sent in this direction and have not arrived."""
        return self._under_way[direction]

    def arriving(self, direction: int) -> int:
        """How many bytes of the next frame of this direction have come."""
        coming = self._coming[direction]
        if self.dead[direction] or not coming or self._loop.now_us <= coming[0].begins:
            return 0
        begins, ends, size = coming[0]
        return size * (self._loop.now_us - begins) // max(1, ends - begins)

    def call_when_room(self, direction: int) -> None:
        """Tell the sender of this direction once there is room."""
        self._wanting[direction] = True

    def send(self, direction: int, frame: bytes) -> None:
        """Send a frame."""
        if not self.open:
            return
        self.frames += 1
        self.bytes += len(frame)
        self._under_way[direction] += len(frame)
        if self.dead[direction]:
            return
        weather = self._weather()
        now = self._loop.now_us
        at = max(now + self._rng.randint(weather.delay_min, weather.delay_max), weather.blocked_until[direction])
        rate = weather.rate[direction]
        at = begins = max(at, self._last[direction])
        if rate:
            at += len(frame) * 1000 // rate
        self._last[direction] = at
        self._coming[direction].append(_Coming(begins, at, len(frame)))
        self._loop.call_in(at - now, self._deliver, direction, frame, context=_NETWORK)

    def _deliver(self, direction: int, frame: bytes) -> None:
        if not self.open or self.dead[direction]:
            return
        self._under_way[direction] -= len(frame)
        self._coming[direction].popleft()
        arrow = "->" if direction == TO_HOST else "<-"
        self._trace.note(self._loop.now_us, self.name, f"{arrow} {len(frame)} {zlib.crc32(frame):08x}")
        end = self.ends[direction]
        if end is not None:
            end.arrived(frame)
        if self._wanting[direction] and self.open and self.has_room(direction):
            self._wanting[direction] = False
            sender = self.ends[1 - direction]
            if sender is not None:
                sender.room()

    def close(self, direction: int) -> None:
        """Close after what was sent in `direction`; the other side hears of it behind that."""
        if not self.open:
            return
        self.ends[1 - direction] = None  # who closes listens no more
        if self.ends == [None, None]:
            self._end()
        if self.dead[direction]:
            return
        now = self._loop.now_us
        at = max(now, self._last[direction], self._weather().blocked_until[direction])
        self._loop.call_in(at - now + 1, self.cut, context=_NETWORK)

    def abort(self, direction: int) -> None:
        """Close from the side that sends in `direction`, at once; the other side hears of it if it can."""
        if not self.open:
            return
        self.ends[1 - direction] = None
        if self.ends == [None, None]:
            self._end()
        if not self.dead[direction]:
            at = max(self._loop.now_us + self._weather().delay_min, self._weather().blocked_until[direction])
            self._loop.call_in(at - self._loop.now_us, self.cut, context=_NETWORK)

    def go_deaf(self, direction: int) -> None:
        """From now on what is sent in a direction vanishes."""
        self.dead[direction] = True

    def end_died(self, end: int) -> None:
        """The process at one end is gone."""
        self.ends[end] = None
        self.cut()

    def cut(self) -> None:
        """The connection is gone; whoever still listens hears it, and nothing under way arrives."""
        if not self.open:
            return
        ends = list(self.ends)
        self._end()
        for end in ends:
            if end is not None:
                end.hung_up()

    def _end(self) -> None:
        self.open = False
        for told in self.gone:
            told()
        self.gone.clear()
