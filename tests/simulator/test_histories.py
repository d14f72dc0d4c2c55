"""Histories under faults: every promise is kept."""

import pytest

from benchmarks.simulator.campaign import run_seed

SEEDS = 2_000
GROUP = 100


@pytest.mark.parametrize("first", range(0, SEEDS, GROUP))
def test_histories_under_faults_keep_every_promise(first: int) -> None:
    outcomes = [run_seed(seed) for seed in range(first, first + GROUP)]
    assert [f"seed {outcome.scenario.seed}: {outcome.failure}" for outcome in outcomes if outcome.failure] == []
    assert any(outcome.scenario.steps >= 80 for outcome in outcomes)
