"""One device pushes and two hundred follow: updates delivered a second, each on the relay's disk before."""

import time
from dataclasses import asdict, dataclass

from crdt_bench.child import prepared
from crdt_bench.results import Measurement, Outcome, Target
from crdt_bench.servers import serving
from crdt_bench.workspace import workspace

NAME = "fan-out"


@dataclass(frozen=True, slots=True)
class Sizes:
    """Devices that follow, updates in each round and the records that they are of, updates unanswered at most."""

    followers: int = 200
    updates: int = 5000
    records: int = 20
    window: int = 256
    rounds: int = 5


SMALL = Sizes(followers=3, updates=20, records=5, window=8, rounds=2)


def run(sizes: Sizes) -> list[Outcome]:
    """As many updates as are acknowledged, to all who follow."""
    with workspace() as folder, serving(folder / "relay") as (relay, port):
        load = prepared(
            "crdt_bench.load.following:fan_out", port=port, wall_clock=time.time_ns() // 1000, **asdict(sizes)
        )
        deliveries = sizes.followers * sizes.updates
        rates, costs, sizes_of_frames = [], [], []
        with load as sender:
            for _ in range(sizes.rounds):
                before = relay.usage().processor_s
                seconds, frames = sender.ask("go")
                costs.append((relay.usage().processor_s - before) / deliveries * 1e6)
                rates.append(deliveries / seconds)
                sizes_of_frames.append(deliveries / frames)
    what = f"updates of one device delivered to {sizes.followers}"
    return [
        Measurement(NAME, what, "deliveries/s", tuple(rates), Target("at least", 1_046_000)),
        Measurement(NAME, f"{what}: processor time of the relay, each", "µs", tuple(costs)),
        Measurement(NAME, f"{what}: updates a frame", "", tuple(sizes_of_frames)),
    ]
