"""Durable updates a second from many devices, beside a bare websocket forwarder measured in the same run."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from crdt_bench.child import Child, prepared
from crdt_bench.results import Measurement, Outcome, Target
from crdt_bench.servers import serving, start_forwarder
from crdt_bench.statistics import ratios
from crdt_bench.workspace import workspace

NAME = "throughput"
_FRAME_BYTES = 120  # a push of one update has about as many


@dataclass(frozen=True, slots=True)
class Sizes:
    """Frames are per connection and round; `window` is how many of them may be unanswered."""

    connections: int = 50
    frames: int = 400
    frames_of_ten: int = 80
    records: int = 20
    window: int = 32
    rounds: int = 5


SMALL = Sizes(connections=4, frames=20, frames_of_ten=6, records=10, rounds=2)


@dataclass(frozen=True, slots=True)
class Round:
    """Frames a second, and microseconds of the server's processor time for each."""

    rate: float
    processor_us: float


class Rig:
    """A server and the process that floods it."""

    def __init__(self, server: Child, load: Child, frames: int) -> None:
        self._server = server
        self._load = load
        self._frames = frames

    def round(self) -> Round:
        """One round."""
        before = self._server.usage().processor_s
        seconds = self._load.ask("go")
        used = self._server.usage().processor_s - before
        return Round(self._frames / seconds, used / self._frames * 1e6)


@contextmanager
def rigs(sizes: Sizes) -> Iterator[tuple[Rig, Rig, Rig]]:
    """The floor, a relay that gets one update in a frame, and one that gets ten."""
    with ExitStack() as stack:
        folder = stack.enter_context(workspace())
        forwarder, port = start_forwarder()
        stack.enter_context(forwarder)
        load = prepared(
            "crdt_bench.load.flood:forwarded",
            port=port,
            connections=sizes.connections,
            frames=sizes.frames,
            frame_bytes=_FRAME_BYTES,
            window=sizes.window,
        )
        floor = Rig(forwarder, stack.enter_context(load), sizes.connections * sizes.frames)
        yield (
            floor,
            _pushing(stack, folder, sizes, sizes.frames, 1),
            _pushing(stack, folder, sizes, sizes.frames_of_ten, 10),
        )


def _pushing(stack: ExitStack, folder: Path, sizes: Sizes, frames: int, updates: int) -> Rig:
    relay, port = stack.enter_context(serving(folder / f"relay-{updates}"))
    load = prepared(
        "crdt_bench.load.flood:pushed",
        port=port,
        connections=sizes.connections,
        frames=frames,
        updates=updates,
        records=sizes.records,
        window=sizes.window,
        rounds=sizes.rounds,
        wall_clock=time.time_ns() // 1000,
    )
    return Rig(relay, stack.enter_context(load), sizes.connections * frames)


def run(sizes: Sizes) -> list[Outcome]:
    """Rounds of floor, single updates and ten updates in turn."""
    floor: list[Round] = []
    single: list[Round] = []
    ten: list[Round] = []
    with rigs(sizes) as (forwarding, pushing, pushing_ten):
        for _ in range(sizes.rounds):
            floor.append(forwarding.round())
            single.append(pushing.round())
            ten.append(pushing_ten.round())
    return [
        *_rates("floor: bare forwarder", "frames/s", floor, 1),
        *_rates("one update a frame, acknowledged on disk", "frames/s", single, 1),
        Measurement(
            NAME,
            "one update a frame, over the floor",
            "",
            tuple(ratios([one.rate for one in single], [one.rate for one in floor])),
            Target("at least", 0.25),
        ),
        *_rates("ten updates a frame, acknowledged on disk", "updates/s", ten, 10, Target("at least", 40_000)),
    ]


def _rates(what: str, unit: str, rounds: list[Round], updates: int, target: Target | None = None) -> list[Outcome]:
    processor = "processor time of the server, each"
    return [
        Measurement(NAME, what, unit, tuple(one.rate * updates for one in rounds), target),
        Measurement(NAME, f"{what}: {processor}", "µs", tuple(one.processor_us / updates for one in rounds)),
    ]
