"""Many seeds, one after the other or in several processes."""

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context

from benchmarks.simulator.mutants import Mutant
from benchmarks.simulator.scenario import draw
from benchmarks.simulator.world import Outcome, simulate

_CHUNK = 8


def run_seed(seed: int, steps: int | None = None, devices: int | None = None) -> Outcome:
    """One seed, without its trace."""
    outcome = simulate(draw(seed, steps, devices))
    if outcome.failure is not None:
        outcome.failure.__cause__ = None  # a traceback does not travel between processes
    return outcome


def run_seeds(first: int, count: int, jobs: int, steps: int | None, devices: int | None) -> Iterator[Outcome]:
    """The outcomes of `count` seeds, in order of the seeds, as they come in."""
    seeds = range(first, first + count)
    if jobs <= 1:
        for seed in seeds:
            yield run_seed(seed, steps, devices)
        return
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        yield from pool.map(run_seed, seeds, [steps] * count, [devices] * count, chunksize=_CHUNK)


def hunt(mutant: Mutant) -> Outcome | None:
    """The first outcome in which the mutant is noticed, and only because of it; None when it survives.

    A scenario that fails without the mutant as well proves nothing about it, and is an error of its own.
    """
    for seed in range(mutant.seeds_max):
        scenario = mutant.scenario(seed)
        with mutant.planted():
            outcome = simulate(scenario)
        if outcome.failure is not None:
            healthy = simulate(scenario)
            if healthy.failure is not None:
                raise healthy.failure
            return replace(outcome, lines=())
    return None
