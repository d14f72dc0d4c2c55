"""Many seeds, one after the other or in several processes."""

from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path

from crdt_bench.campaign.progress import Progress
from crdt_bench.campaign.tally import Tally
from crdt_bench.simulator.mutants import Mutant
from crdt_bench.simulator.mutants_device import DEVICE_MUTANTS
from crdt_bench.simulator.mutants_direct import DIRECT_MUTANTS
from crdt_bench.simulator.mutants_hosts import HOST_MUTANTS
from crdt_bench.simulator.mutants_http import HTTP_MUTANTS
from crdt_bench.simulator.mutants_imports import IMPORT_MUTANTS
from crdt_bench.simulator.mutants_people import PEOPLE_MUTANTS
from crdt_bench.simulator.mutants_quotas import QUOTA_MUTANTS
from crdt_bench.simulator.mutants_relay import RELAY_MUTANTS
from crdt_bench.simulator.mutants_renewal import RENEWAL_MUTANTS
from crdt_bench.simulator.scenario import draw
from crdt_bench.simulator.world import Outcome, simulate

_CHUNK = 8
_WINDOW = 4096
_NOTED_EVERY = 256
_PART = "simulated histories"

MUTANTS = (
    *RELAY_MUTANTS,
    *DEVICE_MUTANTS,
    *DIRECT_MUTANTS,
    *HOST_MUTANTS,
    *HTTP_MUTANTS,
    *IMPORT_MUTANTS,
    *RENEWAL_MUTANTS,
    *PEOPLE_MUTANTS,
    *QUOTA_MUTANTS,
)
"""Every planted bug."""


def run_seed(seed: int, steps: int | None = None, devices: int | None = None) -> Outcome:
    """One seed, without its trace."""
    outcome = simulate(draw(seed, steps, devices))
    if outcome.failure is not None:
        outcome.failure.__cause__ = None  # a traceback does not travel between processes
    return outcome


def run_seeds(first: int, count: int, jobs: int, steps: int | None, devices: int | None) -> Iterator[Outcome]:
    """The outcomes of `count` seeds, in order of the seeds, as they come in."""
    if jobs <= 1:
        for seed in range(first, first + count):
            yield run_seed(seed, steps, devices)
        return
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        # A window at a time: a million seeds are not all handed out at once.
        for start in range(first, first + count, _WINDOW):
            seeds = range(start, min(start + _WINDOW, first + count))
            yield from pool.map(run_seed, seeds, repeat(steps), repeat(devices), chunksize=_CHUNK)


def run_on(state: Path, first: int, count: int, outcomes: Callable[[int, int], Iterator[Outcome]]) -> Iterator[Outcome]:
    """The outcomes of those of `count` seeds that `state` does not know yet; it takes them in as they come.

    `outcomes` runs seeds, as `run_seeds` does. After an interruption, at most `_NOTED_EVERY` histories run again.
    """
    progress = Progress.load(state)
    begin = max(first, progress.next_seed(_PART))
    tally = Tally(_PART, "histories", begin)
    for outcome in outcomes(begin, first + count - begin):
        tally.ran += 1
        tally.outcomes["events"] += outcome.events
        tally.outcomes["edits"] += outcome.edits
        if outcome.failure is not None:
            tally.found(f"{outcome.scenario.seed}: {outcome.failure}")
        if tally.ran == _NOTED_EVERY:
            progress.add(_PART, tally, outcome.scenario.seed + 1)
            tally = Tally(_PART, "histories", outcome.scenario.seed + 1)
        yield outcome
    if tally.ran:
        progress.add(_PART, tally, first + count)


def hunt(mutant: Mutant) -> Outcome | None:
    """The first outcome in which the mutant is noticed, and only because of it; None when it survives.

    A scenario that fails without the mutant as well proves nothing about it, and is an error of its own; so is a
    mutant that calls what it replaces in a wrong way.
    """
    for seed in range(mutant.seeds_from, mutant.seeds_max):
        scenario = mutant.scenario(seed)
        with mutant.planted():
            outcome = simulate(scenario)
        if outcome.failure is not None:
            if "TypeError" in str(outcome.failure):  # it does not fit the code that it mutates any more
                raise outcome.failure
            healthy = simulate(scenario)
            if healthy.failure is not None:
                raise healthy.failure
            return replace(outcome, lines=())
    return None
