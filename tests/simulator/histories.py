"""Histories under faults, in groups: every promise is kept in each of them."""

from benchmarks.simulator.campaign import run_seed

GROUP = 100


def check_group(first: int) -> None:
    """Run `GROUP` seeds from `first` on. Among them are long ones."""
    outcomes = [run_seed(seed) for seed in range(first, first + GROUP)]
    assert [f"seed {outcome.scenario.seed}: {outcome.failure}" for outcome in outcomes if outcome.failure] == []
    assert any(outcome.scenario.steps >= 80 for outcome in outcomes)
