"""Devices push and close at once: how much of it the relay keeps, which nobody was promised."""

import time
from dataclasses import asdict, dataclass
from pathlib import Path

from crdt_bench.child import prepared
from crdt_bench.results import Measurement, Outcome
from crdt_bench.servers import serving
from crdt_bench.workspace import workspace
from crdt_sync.storage.lmdb import LmdbStore

NAME = "write-and-close"


@dataclass(frozen=True, slots=True)
class Sizes:
    """Devices in each round, and the pushes of each."""

    devices: int = 100
    pushes: int = 3
    rounds: int = 3


SMALL = Sizes(devices=3, pushes=2, rounds=1)


def run(sizes: Sizes) -> list[Outcome]:
    """The relay ends after each round, as `crdt-relay` does when it is told to, and its store is looked into."""
    with workspace() as folder:
        kept = [_round(folder / f"relay-{number}", sizes) for number in range(sizes.rounds)]
    what = f"of {sizes.devices} devices that send {sizes.pushes} pushes and close at once: pushes kept"
    return [Measurement(NAME, what, "%", tuple(kept))]


def _round(folder: Path, sizes: Sizes) -> float:
    with serving(folder) as (_, port):
        options = {key: value for key, value in asdict(sizes).items() if key != "rounds"}
        load = prepared("crdt_bench.load.leaving:pushed", port=port, wall_clock=time.time_ns() // 1000, **options)
        with load as leaving:
            leaving.ask("go")
    with LmdbStore.open(folder) as store:
        return 100 * (store.count() - 1) / (sizes.devices * sizes.pushes)  # one is of a device that waited
