"""A relay, or a device that listens, as a process on the virtual loop: the shipped engine over a virtual disk."""

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from crdt_bench.simulator.byte_streams import ByteStream
from crdt_bench.simulator.channels import LinkChannel
from crdt_bench.simulator.checkers import bounds
from crdt_bench.simulator.disk import Disk
from crdt_bench.simulator.network import TO_DIALER, TO_HOST, Link
from crdt_bench.simulator.virtual_loop import LoopExecutor, Process, VirtualLoop
from crdt_bench.simulator.workers import LoopWorker
from crdt_bench.simulator.writers import LoopWriter
from crdt_sync.limits import COMING_BYTES_MAX
from crdt_sync.protocol.hub import Hub
from crdt_sync.protocol.principal import everybody
from crdt_sync.protocol.quotas import Bounds, Usage
from crdt_sync.runtime.guests import Guest
from crdt_sync.runtime.hosting.engine import Engine
from crdt_sync.runtime.hosting.link import BUFFER_BYTES, DeviceLink
from crdt_sync.runtime.hosting.strangers import Strangers
from crdt_sync.runtime.outside import Outside
from crdt_sync.runtime.transports.http.accepted import AcceptedChannel
from crdt_sync.runtime.transports.http.door import Door
from crdt_sync.runtime.transports.room import Room

_CONNECTIONS_MAX = 1024  # more than a history makes at a time


@dataclass(slots=True)
class Machine:
    """What a process runs on: chance, how much its worker holds, how slow its disk and worker are, and how it dies."""

    loop: VirtualLoop
    rng: random.Random
    documents_max: int
    latency_max: int
    kill: Callable[[], bool]
    looked_s: float = 0.0

    def outside(self) -> Outside:
        """The world as the shipped code asks for it; channels are opened elsewhere."""
        return Outside(
            start_worker=self.start_worker,
            start_slow_worker=self.start_worker,
            make_writer=lambda commits: LoopWriter(commits, self.rng, self.latency_max),
            make_thread=lambda: LoopExecutor(self.loop),
            clock=self.clock,
            rng=self.rng,
        )

    def clock(self) -> float:
        """Each look at it comes up to a millisecond after the last: a few steps fill a pass of the loop."""
        self.looked_s += self.rng.random() / 1000
        return self.looked_s

    async def start_worker(self) -> LoopWorker:
        """A worker that is ready."""
        await asyncio.sleep(self.rng.randint(20, self.latency_max) / 1e6)
        return LoopWorker(self.rng, self.documents_max, self.latency_max, self.kill)


class _Way(Protocol):
    """A link of one session, of whatever kind."""

    open: bool

    def end_died(self, end: int) -> None:
        """The process at one end is gone."""


class Host:
    """One life of an engine."""

    def __init__(self, loop: VirtualLoop, process: Process, engine: Engine, disk: Disk) -> None:
        self._loop = loop
        self._process = process
        self._engine = engine
        self._links: list[_Way] = []
        self._door: Door | None = None
        self.disk = disk

    @property
    def engine(self) -> Engine:
        """What it runs."""
        return self._engine

    @property
    def process(self) -> Process:
        """In which it runs."""
        return self._process

    @property
    def hub(self) -> Hub:
        """The sessions."""
        return self._engine.hub

    @property
    def alive(self) -> bool:
        """Whether its process runs."""
        return self._process.alive

    def accept(self, link: Link, guest: Guest | None = None) -> None:
        """Somebody has connected, as that guest."""

        def held(frames: Sequence[bytes]) -> None:
            bounds.check_host(link.name, len(frames))

        self._links = [known for known in self._links if known.open] + [link]
        channel = LinkChannel(link, TO_DIALER, held)
        self._process.start(self._loop, self._serve(channel, guest or Guest(everybody)))

    def take(self, link: _Way, stream: ByteStream) -> None:
        """Somebody has connected to make requests."""
        if link not in self._links:
            self._links.append(link)
        if self._door is None:
            self._door = Door(
                self._serve_http,
                BUFFER_BYTES,
                lambda: False,
                Room(self._loop, COMING_BYTES_MAX),
                self._engine.untaken,
                Strangers(self._engine.loop, self._engine.queue),
                connections_max=_CONNECTIONS_MAX,
                browsers=False,
            )
        self._process.call(self._door.take, stream, b"")

    async def _serve_http(self, channel: AcceptedChannel) -> None:
        receive, coming = channel.receive, channel.coming

        async def looked_at() -> bytes:
            bounds.check_host(str(channel.peer), bounds.frames_in(coming))
            return await receive()

        channel.receive = looked_at  # type: ignore[method-assign]
        await DeviceLink(channel, self._engine, guest=Guest(everybody)).read()

    async def _serve(self, channel: LinkChannel, guest: Guest) -> None:
        await DeviceLink(channel, self._engine, guest=guest).read()

    def allow(self, bounds: Bounds) -> Sequence[Usage]:
        """Go by quotas from here on; returns what is counted by then."""
        self._process.call(self._engine.allow, bounds)
        return self._engine.quotas.usage()

    def die(self) -> None:
        """The process is gone, with everything that is not on disk."""
        self._process.kill()
        for link in self._links:
            link.end_died(TO_HOST)


def start_relay(loop: VirtualLoop, disk: Disk, wall_clock: Callable[[], int], machine: Machine, **named: Any) -> Host:
    """A relay starts over what the disk holds; `named` are further arguments of its engine."""
    process = loop.process("relay")
    with loop.running():
        engine = process.call(lambda: Engine(disk, everybody, wall_clock, outside=machine.outside(), **named))
    return Host(loop, process, engine, disk)
