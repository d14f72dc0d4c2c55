"""Histories under faults, in groups: every promise is kept in each of them."""

from collections.abc import Iterable

from crdt_bench.simulator.campaign import run_seed
from crdt_bench.simulator.scenario import draw

GROUP = 20  # some seconds: at the end of a run no processor waits long for another
_LONG_STEPS = 60  # one history in six is longer, and they take two thirds of the time: most are cut short here
_CUT_STEPS = 24
_WHOLE_ONE_IN = 12


def check_group(first: int) -> None:
    """Run `GROUP` seeds from `first` on."""
    check(range(first, first + GROUP))


def check(seeds: Iterable[int]) -> None:
    """Run these seeds."""
    outcomes = [run_seed(seed, steps_of(seed)) for seed in seeds]
    failed = [outcome for outcome in outcomes if outcome.failure]
    assert [f"--seed {each.scenario.seed} --steps {each.scenario.steps}: {each.failure}" for each in failed] == []


def steps_of(seed: int) -> int | None:
    """None: as many as the seed draws."""
    return _CUT_STEPS if seed % _WHOLE_ONE_IN and is_long(seed) else None


def is_long(seed: int) -> bool:
    """Whether the seed draws a long history."""
    return draw(seed).steps > _LONG_STEPS


def long_ones(seeds: range) -> list[int]:
    """Which of these seeds run as a long history."""
    return [seed for seed in seeds if is_long(seed) and steps_of(seed) is None]
