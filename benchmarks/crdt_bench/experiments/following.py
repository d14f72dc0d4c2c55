"""Many devices follow one relay, and somebody edits now and then: how long until all have each edit."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from crdt_bench.child import Child, prepared
from crdt_bench.results import Measurement, Outcome, Target
from crdt_bench.servers import serving, start_broadcaster
from crdt_bench.statistics import ratios
from crdt_bench.workspace import workspace

NAME = "following"
_MS = 1000.0
_SHARES = ("p50", "p95", "p99", "most")
_FRAME_BYTES = 130  # of a frame that tells of one edit
_CORE_MAX = 0.5  # of a processor, for all who follow at the higher rate
_P99_MS_MAX = 100.0
_OVER_FLOOR_MAX = 2.0


@dataclass(frozen=True, slots=True)
class Sizes:
    """Devices that follow, edits a second in turn, edits in each round and the records that they are of.

    `few` follow beside a bare server that sends as many frames to as many.
    """

    followers: int = 1000
    rates: tuple[float, ...] = (20.0, 50.0)
    few: int = 200
    few_rate: float = 20.0
    updates: int = 200
    records: int = 20
    rounds: int = 3


SMALL = Sizes(followers=3, rates=(100.0, 200.0), few=2, few_rate=100.0, updates=10, records=5, rounds=2)


@dataclass(frozen=True, slots=True)
class Round:
    """Seconds from due to delivered, see `_SHARES`, and seconds of processor time of the server, for an edit."""

    delays: tuple[float, ...]
    processor_s: float


Go = Callable[[], Round]


def run(sizes: Sizes) -> list[Outcome]:
    """Edits at an even pace, whatever the relay does meanwhile; each is on its disk before it is delivered."""
    outcomes: list[Outcome] = []
    for rate in sizes.rates:
        with workspace() as folder, _relay(folder, sizes, sizes.followers, rate) as go:
            rounds = [go() for _ in range(sizes.rounds)]
        what = f"{rate:.0f} edits a second to {sizes.followers:,} followers"
        outcomes += _told(what, rounds, Target("at most", _P99_MS_MAX))
        fastest = rate == max(sizes.rates)
        outcomes.append(
            Measurement(
                NAME,
                f"{what}: processors that the relay takes",
                "",
                tuple(one.processor_s * rate for one in rounds),
                Target("at most", _CORE_MAX) if fastest else None,
            )
        )
    return [*outcomes, *_beside_the_floor(sizes)]


def _beside_the_floor(sizes: Sizes) -> list[Outcome]:
    few, rate = sizes.few, sizes.few_rate
    ours: list[Round] = []
    floor: list[Round] = []
    with workspace() as folder, _relay(folder, sizes, few, rate) as relay, _bare(sizes, few, rate) as bare:
        for _ in range(sizes.rounds):
            floor.append(bare())
            ours.append(relay())
    what = f"{rate:.0f} edits a second to {few:,} followers"
    over = ratios([one.delays[2] for one in ours], [one.delays[2] for one in floor])
    return [
        *_told(what, ours),
        *_told(f"floor: a bare server, {what}", floor),
        Measurement(NAME, f"{what}: p99 over that of the floor", "", tuple(over), Target("at most", _OVER_FLOOR_MAX)),
    ]


def _told(what: str, rounds: list[Round], target: Target | None = None) -> list[Outcome]:
    delays = [tuple(one.delays[place] * _MS for one in rounds) for place in range(len(_SHARES))]
    return [
        *(
            Measurement(NAME, f"{what}: due to delivered, {share}", "ms", samples, target if share == "p99" else None)
            for share, samples in zip(_SHARES, delays, strict=True)
        ),
        Measurement(
            NAME, f"{what}: processor time of the server, an edit", "ms", tuple(one.processor_s * _MS for one in rounds)
        ),
    ]


@contextmanager
def _relay(folder: Path, sizes: Sizes, followers: int, rate: float) -> Iterator[Go]:
    with ExitStack() as stack:
        relay, port = stack.enter_context(serving(folder / "relay"))
        load = prepared(
            "crdt_bench.load.steady:followed",
            port=port,
            wall_clock=time.time_ns() // 1000,
            followers=followers,
            rate=rate,
            updates=sizes.updates,
            records=sizes.records,
            rounds=sizes.rounds,
        )
        yield _rounds(relay, stack.enter_context(load), sizes.updates)


@contextmanager
def _bare(sizes: Sizes, followers: int, rate: float) -> Iterator[Go]:
    with ExitStack() as stack:
        server, port = start_broadcaster()
        stack.enter_context(server)
        load = prepared(
            "crdt_bench.load.steady:broadcast",
            port=port,
            followers=followers,
            rate=rate,
            updates=sizes.updates,
            rounds=sizes.rounds,
            frame_bytes=_FRAME_BYTES,
        )
        yield _rounds(server, stack.enter_context(load), sizes.updates)


def _rounds(server: Child, load: Child, updates: int) -> Go:
    def go() -> Round:
        before = server.usage().processor_s
        delays = tuple(load.ask("go"))
        return Round(delays, (server.usage().processor_s - before) / updates)

    return go
