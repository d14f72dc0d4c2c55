"""`crdt-bench campaign`: run parts of the fault campaign, chunk by chunk, and go on where it stopped."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import click
from rich.console import Console

from crdt_bench.campaign import (
    bit_flips,
    differential,
    guided,
    hostile,
    impostors,
    kills,
    machines,
    nth_calls,
    nth_frames,
    nth_syscalls,
    orders,
    owner_deaths,
    people,
    power_cuts,
    power_owner_cuts,
    short_writes,
    slow_links,
    spoiled_links,
    storm,
)
from crdt_bench.campaign.progress import Progress
from crdt_bench.campaign.siege import part as siege
from crdt_bench.campaign.siege.named import NAMED
from crdt_bench.campaign.tally import Tally
from crdt_sync.cli.options import PATH


@dataclass(frozen=True, slots=True)
class Part:
    """One part: `run(seed, count)` does a chunk of `chunk`; `goal` is how much the whole campaign asks for.

    `stride` is how far a chunk moves the seed on. `chunk_s` is how long one takes, where that is known.
    """

    run: Callable[[int, int], Tally]
    chunk: int
    goal: int
    stride: int = 1
    chunk_s: float | None = None

    def outlook(self, ran: int, seconds: float) -> str:
        """What is to be run in so many seconds, and how long that takes; nothing where that is not known."""
        if self.chunk_s is None or ran >= self.goal:
            return ""
        chunks = min(math.ceil((self.goal - ran) / self.chunk), math.floor(seconds / self.chunk_s) + 1)
        return f"{chunks * self.chunk:,} to be run, in about {chunks * self.chunk_s / 60:.0f} min"


PARTS: dict[str, Part] = {
    "kills": Part(kills.run, 50, 5_000),
    "power-cuts": Part(power_cuts.run, 300, 100_000),
    "power-cuts-owner": Part(power_owner_cuts.run, 200, 20_000),
    "owner-deaths": Part(owner_deaths.run, 500, 1_000_000, stride=500),
    "nth-calls": Part(nth_calls.run, 1, 7_008),
    "nth-syscalls": Part(nth_syscalls.run, 1, 452),
    "short-writes": Part(short_writes.run, 1, 900),
    "nth-frames": Part(nth_frames.run, 1, 200),
    "power-cuts-encrypted": Part(partial(power_cuts.run, encrypted=True), 100, 20_000),
    "bit-flips": Part(bit_flips.run, 1_000, 100_000),
    "bit-flips-encrypted": Part(partial(bit_flips.run, encrypted=True), 500, 20_000),
    "bit-flips-encrypted-repaired": Part(partial(bit_flips.run_repaired, encrypted=True), 100, 20_000),
    "bit-flips-repaired": Part(bit_flips.run_repaired, 200, 20_000),
    "bit-flips-anywhere": Part(bit_flips.run_anywhere, 200, 20_000),
    "hostile": Part(hostile.run, 20_000, 10_000_000, stride=20_000),
    "guided": Part(guided.run, 90_000, 1_000_000),
    "spoiled-links": Part(spoiled_links.run, 14, 10_000),
    "slow-links": Part(slow_links.run, slow_links.COUNT, slow_links.COUNT),
    "slow-links-http": Part(slow_links.run_over_http, slow_links.COUNT, slow_links.COUNT),
    "orders": Part(orders.run, 10_000, 10_000_000, stride=10_000),
    "differential": Part(differential.run, 500, 100_000, stride=500),
    "siege": Part(siege.run, 1, len(NAMED), chunk_s=siege.SIZES.whole_s),
    "siege-drawn": Part(siege.run_drawn, 1, 35, chunk_s=siege.SIZES.whole_s),
    "impostors": Part(impostors.run, 1, 3),
    "people": Part(people.run, 50, 100_000, stride=50),
    "storm": Part(storm.run, 1_000, 40_000),
    "frozen": Part(machines.run_frozen, 1, 10),
    "machines": Part(machines.run, 1, 300),
}


@click.command("campaign")
@click.argument("parts", nargs=-1, metavar="[PART]...", help=f"Of {', '.join(PARTS)}.")
@click.option("--state", type=PATH, default=Path("campaign.json"), metavar="FILE", help="Where progress is kept.")
@click.option(
    "--seconds",
    type=click.FloatRange(min=0),
    default=60.0,
    metavar="SECONDS",
    help="Begin no further chunk of a part after this long.",
)
def run(parts: Sequence[str], state: Path, seconds: float) -> None:
    """Break files, calls, links, disks and bytes, and see that every promise holds. Exit code 1: one did not.

    Each part runs until `--seconds` have passed or its goal is reached; run it again to go on.
    """
    console = Console(highlight=False)
    chosen = parts or list(PARTS)
    for name in chosen:
        if name not in PARTS:
            raise click.BadParameter(f"no part is called {name!r}; choose of {', '.join(PARTS)}")
    progress = Progress.load(state)
    for name in chosen:
        _run_part(name, PARTS[name], progress, seconds, console)
    found = sum(len(known["findings"]) for known in progress.parts.values())
    console.print(f"progress in {state}; {found} findings in all", markup=False)
    raise click.exceptions.Exit(1 if found else 0)


def _run_part(name: str, part: Part, progress: Progress, seconds: float, console: Console) -> None:
    until = time.monotonic() + seconds
    if outlook := part.outlook(progress.ran(name), seconds):
        console.print(f"{name}: {outlook}", markup=False, soft_wrap=True)
    while progress.ran(name) < part.goal:
        seed = progress.next_seed(name)
        tally = part.run(seed, part.chunk)
        for line in tally.lines():
            console.print(line, markup=False, soft_wrap=True)
        if tally.skipped:
            return
        progress.add(name, tally, seed + part.stride)
        if time.monotonic() >= until:
            break
    console.print(f"{name}: {progress.ran(name):,} of {part.goal:,} run so far", markup=False)
