"""Our relay beside two servers of Yjs documents that others built: the same edits in the same run, in turn.

What a figure promises differs. Ours counts what is on disk; they count what reached another client, before anything
is stored; what was lost by a kill is what that comes to.
"""

import os
import signal
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from crdt_bench.experiments.sides import Fan, Flood, Ours, Peer, Side
from crdt_bench.peers import missing
from crdt_bench.results import Measurement, Outcome, Skipped
from crdt_bench.statistics import ratios
from crdt_bench.workspace import workspace

NAME = "peers"
_MS = 1000.0
_SINGLE = Flood(writers=50, frames=200, edits=1, window=32, rounds=0)
_TEN = Flood(writers=50, frames=40, edits=10, window=32, rounds=0)
_HOT = Flood(writers=1, frames=4000, edits=1, window=32, rounds=0)
_FAN = Fan(followers=200, updates=2000, window=256, rounds=0)
_KILLED = Flood(writers=50, frames=12, edits=1, window=32, rounds=1)


@dataclass(frozen=True, slots=True)
class Sizes:
    """Three floods and a fan-out in each round; records that are filled, fetched and weighed; a flood before a kill.

    What a peer has not sent after `patience_s` counts as lost.
    """

    rounds: int = 5
    single: Flood = _SINGLE
    ten: Flood = _TEN
    hot: Flood = _HOT
    fan: Fan = _FAN
    records: int = 10_000
    killed: Flood = _KILLED
    patience_s: float = 10.0


SMALL = Sizes(
    rounds=2,
    single=Flood(writers=3, frames=8, edits=1, window=4, rounds=0),
    ten=Flood(writers=2, frames=3, edits=10, window=2, rounds=0),
    hot=Flood(writers=1, frames=20, edits=1, window=4, rounds=0),
    fan=Fan(followers=3, updates=15, window=8, rounds=0),
    records=30,
    killed=Flood(writers=2, frames=5, edits=1, window=4, rounds=1),
    patience_s=1.0,
)


def run(sizes: Sizes) -> list[Outcome]:
    """Skipped where the others are not installed."""
    if reason := missing():
        return [Skipped(NAME, reason)]
    sides = [
        Ours(),
        Peer("hocuspocus", "Hocuspocus and SQLite", sizes.patience_s),
        Peer("y_websocket", "y-websocket-server and LevelDB", sizes.patience_s),
    ]
    outcomes: list[Outcome] = []
    for what, flood in (
        (f"{sizes.single.writers} writers, one edit a frame", sizes.single),
        (f"{sizes.ten.writers} writers, {sizes.ten.edits} edits of a record in a frame, merged", sizes.ten),
        ("one writer, one edit a frame, one record", sizes.hot),
    ):
        outcomes += _flooded(sides, what, replace(flood, rounds=sizes.rounds), fetched=flood is sizes.hot)
    outcomes += _fanned_out(sides, replace(sizes.fan, rounds=sizes.rounds))
    outcomes += _fetched(sides, sizes)
    return outcomes + _killed(sides, sizes.killed)


def _flooded(sides: Sequence[Side], what: str, flood: Flood, fetched: bool) -> list[Outcome]:
    edits = flood.writers * flood.frames * flood.edits
    rates: list[list[float]] = [[] for _ in sides]
    costs: list[list[float]] = [[] for _ in sides]
    opened: list[list[float]] = [[] for _ in sides]
    with workspace() as folder, ExitStack() as stack:
        servers = [stack.enter_context(side.serving(folder / str(n))) for n, side in enumerate(sides)]
        with ExitStack() as loads:
            load = [
                loads.enter_context(side.flood(port, flood)) for side, (_, port) in zip(sides, servers, strict=True)
            ]
            for _ in range(flood.rounds):
                for number, (server, _) in enumerate(servers):
                    before = server.usage().processor_s
                    rates[number].append(edits / load[number].ask("go"))
                    costs[number].append((server.usage().processor_s - before) / edits * 1e6)
        for turn in range(flood.rounds if fetched else 0):
            for number, (side, (_, port)) in enumerate(zip(sides, servers, strict=True)):
                seconds, _ = side.fetch(port, folder / f"client-{number}-{turn}", None)
                opened[number].append(seconds * _MS)
    outcomes = [
        *_compared(sides, what, "edits/s", rates),
        *_compared(sides, f"{what}: processor time of the server, an edit", "µs", costs),
    ]
    if fetched:
        total = f"that record, after {edits * flood.rounds:,} edits, to an empty client"
        outcomes += _compared(sides, total, "ms", opened)
    return outcomes


def _fanned_out(sides: Sequence[Side], fan: Fan) -> list[Outcome]:
    deliveries = fan.followers * fan.updates
    rates: list[list[float]] = [[] for _ in sides]
    costs: list[list[float]] = [[] for _ in sides]
    with workspace() as folder, ExitStack() as stack:
        servers = [stack.enter_context(side.serving(folder / str(n))) for n, side in enumerate(sides)]
        load = [stack.enter_context(side.fan(port, fan)) for side, (_, port) in zip(sides, servers, strict=True)]
        for _ in range(fan.rounds):
            for number, (server, _) in enumerate(servers):
                before = server.usage().processor_s
                seconds, _ = load[number].ask("go")
                rates[number].append(deliveries / seconds)
                costs[number].append((server.usage().processor_s - before) / deliveries * 1e6)
    what = f"one writer to {fan.followers}"
    return [
        *_compared(sides, what, "deliveries/s", rates),
        *_compared(sides, f"{what}: processor time of the server, each", "µs", costs),
    ]


def _fetched(sides: Sequence[Side], sizes: Sizes) -> list[Outcome]:
    taken: list[list[float]] = [[] for _ in sides]
    bytes_each: list[list[float]] = []
    with workspace() as folder, ExitStack() as stack:
        servers = [stack.enter_context(side.serving(folder / str(n))) for n, side in enumerate(sides)]
        for number, (side, (_, port)) in enumerate(zip(sides, servers, strict=True)):
            side.fill(port, folder / f"filled-{number}", sizes.records)
        for turn in range(sizes.rounds):
            for number, (side, (_, port)) in enumerate(zip(sides, servers, strict=True)):
                seconds, came = side.fetch(port, folder / f"empty-{number}-{turn}", sizes.records)
                if came != sizes.records:
                    raise AssertionError(f"{came} of {sizes.records} records came from {side.name}")
                taken[number].append(seconds)
        stack.close()
        bytes_each = [[_bytes(folder / str(number)) / sizes.records] for number in range(len(sides))]
    return [
        *_compared(sides, f"{sizes.records:,} records to an empty client", "s", taken),
        *_compared(sides, "disk of the server, a record that came whole", "B", bytes_each),
    ]


def _killed(sides: Sequence[Side], flood: Flood) -> list[Outcome]:
    """Each server is killed while its clients are connected, at once when they have been told of all edits."""
    edits = flood.writers * flood.frames
    lost: list[float] = []
    for side in sides:
        with workspace() as folder:
            with side.serving(folder / "server") as (server, port), side.flood(port, flood) as load:
                load.ask("go")
                os.kill(server.pid, signal.SIGKILL)
            with side.serving(folder / "server") as (_, port):
                lost.append(edits - side.kept(port, folder / "server", flood))
    what = f"of {edits} edits seen by another, or acknowledged, lost by a kill"
    return [Measurement(NAME, f"{what}: {side.name}", "", (one,)) for side, one in zip(sides, lost, strict=True)]


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _compared(sides: Sequence[Side], what: str, unit: str, samples: Sequence[Sequence[float]]) -> list[Outcome]:
    """What each came to, and ours over theirs, round by round."""
    ours, *theirs = samples
    return [
        *(
            Measurement(NAME, f"{what}: {side.name}", unit, tuple(one))
            for side, one in zip(sides, samples, strict=True)
        ),
        *(
            Measurement(NAME, f"{what}: {sides[0].name} over {side.name}", "", tuple(ratios(ours, one)))
            for side, one in zip(sides[1:], theirs, strict=True)
            if all(one)  # processor time is counted in hundredths of a second
        ),
    ]
