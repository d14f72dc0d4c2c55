"""From an edit to its delivery on another device, at a steady rate, beside the cost of one disk sync."""

import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from crdt_bench.child import prepared
from crdt_bench.contents import make_device
from crdt_bench.device import open_device
from crdt_bench.disk import SyncProbe
from crdt_bench.results import Measurement, Outcome, Target
from crdt_bench.servers import serving
from crdt_bench.statistics import percentile
from crdt_bench.workspace import workspace

NAME = "latency"
_MS = 1000.0


@dataclass(frozen=True, slots=True)
class Sizes:
    """Updates a second, updates in each round, records that they are spread over."""

    rate: float = 500.0
    updates: int = 2500
    records: int = 100
    rounds: int = 3
    edits: int = 2500


SMALL = Sizes(updates=20, records=5, rounds=1, edits=10)


def run(sizes: Sizes) -> list[Outcome]:
    """First bare devices, so that the relay is measured; then whole ones, each with its own disk."""
    with workspace() as folder, serving(folder / "relay") as (_, port):
        return [*_bare(port, folder, sizes), *_whole(port, folder, sizes)]


def _bare(port: int, folder: Path, sizes: Sizes) -> list[Outcome]:
    load = prepared(
        "crdt_bench.load.live:edits",
        port=port,
        rate=sizes.rate,
        updates=sizes.updates,
        records=sizes.records,
        rounds=sizes.rounds,
        wall_clock=time.time_ns() // 1000,
    )
    with SyncProbe(folder) as probe, load as writer:
        rounds = [writer.ask("go") for _ in range(sizes.rounds)]
    sync_ms = percentile(probe.samples, 0.5) * _MS
    what = f"update pushed to update delivered, {sizes.rate:.0f} a second"
    return [
        Measurement(NAME, "one disk sync, p50", "ms", (sync_ms,)),
        Measurement(NAME, "one disk sync, p99", "ms", (percentile(probe.samples, 0.99) * _MS,)),
        Measurement(NAME, f"{what}, p50", "ms", tuple(percentile(one, 0.5) * _MS for one in rounds)),
        Measurement(
            NAME,
            f"{what}, p99",
            "ms",
            tuple(percentile(one, 0.99) * _MS for one in rounds),
            Target("at most", 10 + sync_ms),
            "through the relay and its disk; the target is 10 ms and one disk sync (p50)",
        ),
    ]


def _whole(port: int, folder: Path, sizes: Sizes) -> list[Outcome]:
    url = f"ws://127.0.0.1:{port}"
    with ExitStack() as stack:
        devices = []
        for name in ("writer", "watcher"):
            make_device(folder / name)
            device, _ = open_device(folder / name)
            devices.append(stack.enter_context(device))
        writer, watcher = devices
        watcher.tell(["watch", url, sizes.edits + sizes.records])
        watcher.hear()
        begun = writer.ask(["write", url, sizes.rate, sizes.edits])
        arrived = watcher.hear()
    delays = [arrived[record] - moment for record, moment in begun.items()]
    what = f"edit begun to edit stored on the other device, {sizes.rate:.0f} a second"
    note = "three disks in turn: the editing device, the relay, the receiving device"
    return [
        Measurement(NAME, f"{what}, p50", "ms", (percentile(delays, 0.5) * _MS,), note=note),
        Measurement(NAME, f"{what}, p99", "ms", (percentile(delays, 0.99) * _MS,)),
    ]
