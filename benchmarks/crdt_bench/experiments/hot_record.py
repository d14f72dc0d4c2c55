"""One record is edited without end: by one device, an update a frame and ten, and by several; then it is fetched."""

import random
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from crdt_bench.child import prepared
from crdt_bench.contents import COLLECTION, make_device
from crdt_bench.device import open_device
from crdt_bench.experiments.throughput import Rig, Round
from crdt_bench.results import Measurement, Outcome
from crdt_bench.servers import serving
from crdt_bench.workspace import workspace
from crdt_sync import ids

NAME = "hot-record"
_MS = 1000.0


@dataclass(frozen=True, slots=True)
class Sizes:
    """Updates of each round, devices where several write, and how many frames of each may be unanswered."""

    updates: int = 5000
    writers: int = 10
    window: int = 32
    rounds: int = 5


SMALL = Sizes(updates=40, writers=2, window=4, rounds=2)


@dataclass(frozen=True, slots=True)
class _Case:
    what: str
    writers: int
    updates: int  # in a frame


@contextmanager
def _flooded(folder: Path, sizes: Sizes, case: _Case) -> Iterator[tuple[Rig, str]]:
    """A relay, the devices that push to it, and its address."""
    with ExitStack() as stack:
        relay, port = stack.enter_context(serving(folder))
        frames = sizes.updates // case.writers // case.updates
        load = prepared(
            "crdt_bench.load.flood:pushed",
            port=port,
            connections=case.writers,
            frames=frames,
            updates=case.updates,
            records=1,
            window=sizes.window,
            rounds=sizes.rounds,
            wall_clock=time.time_ns() // 1000,
            record=ids.new_record(COLLECTION, random.Random(1)),
        )
        yield Rig(relay, stack.enter_context(load), frames * case.writers), f"ws://127.0.0.1:{port}"


def run(sizes: Sizes) -> list[Outcome]:
    """The ways to write take turns, each on a relay of its own."""
    cases = [
        _Case("one device, one update a frame", 1, 1),
        _Case("one device, ten updates a frame", 1, 10),
        _Case(f"{sizes.writers} devices, one update a frame", sizes.writers, 1),
    ]
    taken: dict[_Case, list[Round]] = {case: [] for case in cases}
    with workspace() as folder, ExitStack() as stack:
        rigs = [stack.enter_context(_flooded(folder / str(n), sizes, case)) for n, case in enumerate(cases)]
        for _ in range(sizes.rounds):
            for case, (rig, _) in zip(cases, rigs, strict=True):
                taken[case].append(rig.round())
        fetched = [_fetched(folder / f"device-{number}", rigs[0][1]) for number in range(sizes.rounds)]
    outcomes: list[Outcome] = []
    for case, rounds in taken.items():
        rates = tuple(one.rate * case.updates for one in rounds)
        costs = tuple(one.processor_us / case.updates for one in rounds)
        outcomes += [
            Measurement(NAME, f"{case.what}, acknowledged on disk", "updates/s", rates),
            Measurement(NAME, f"{case.what}: processor time of the server, each", "µs", costs),
        ]
    what = f"the record after {sizes.updates * sizes.rounds:,} updates of one device"
    took, opened = zip(*fetched, strict=True)
    return [
        *outcomes,
        Measurement(NAME, f"{what}, to an empty one", "ms", took),
        Measurement(NAME, f"{what}: a device opened, and the record read", "ms", opened),
    ]


def _fetched(path: Path, url: str) -> tuple[float, float]:
    """How long an empty device takes to get the record, and to be opened again and read it."""
    make_device(path)
    device, _ = open_device(path)
    with device:
        answer = device.ask(["sync", url])
    if answer["records"] != 1:
        raise AssertionError(f"{answer['records']} records arrived, not one")
    device, opening = open_device(path)
    with device:
        read = device.ask(["scan"])
    return float(answer["settled_s"]) * _MS, (opening + float(read)) * _MS
