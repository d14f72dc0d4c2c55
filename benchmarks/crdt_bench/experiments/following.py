"""Many devices follow one relay, and somebody edits now and then: how long until all have each edit."""

import time
from dataclasses import asdict, dataclass

from crdt_bench.child import prepared
from crdt_bench.results import Measurement, Outcome
from crdt_bench.servers import serving
from crdt_bench.workspace import workspace

NAME = "following"
_MS = 1000.0


@dataclass(frozen=True, slots=True)
class Sizes:
    """Devices that follow, edits a second, edits in each round and the records that they are of."""

    followers: int = 1000
    rate: float = 20.0
    updates: int = 200
    records: int = 20
    rounds: int = 3


SMALL = Sizes(followers=3, rate=100.0, updates=10, records=5, rounds=2)


def run(sizes: Sizes) -> list[Outcome]:
    """Edits at an even pace, whatever the relay does meanwhile; each is on its disk before it is delivered."""
    arrived: list[list[float]] = []
    costs: list[float] = []
    with workspace() as folder, serving(folder / "relay") as (relay, port):
        load = prepared(
            "crdt_bench.load.steady:followed", port=port, wall_clock=time.time_ns() // 1000, **asdict(sizes)
        )
        with load as sender:
            for _ in range(sizes.rounds):
                before = relay.usage().processor_s
                arrived.append(sender.ask("go"))
                costs.append((relay.usage().processor_s - before) / sizes.updates * _MS)
    what = f"{sizes.rate:.0f} edits a second to {sizes.followers:,} followers"
    delays = [tuple(seconds * _MS for seconds in one) for one in zip(*arrived, strict=True)]
    return [
        *(
            Measurement(NAME, f"{what}: due to delivered, {share}", "ms", samples)
            for share, samples in zip(("p50", "p95", "p99", "most"), delays, strict=True)
        ),
        Measurement(NAME, f"{what}: processor time of the relay, an edit", "ms", tuple(costs)),
    ]
