"""Histories under faults: every promise is kept."""

import pytest

from benchmarks.simulator.campaign import run_seed

SEEDS = 160
GROUP = 20


@pytest.mark.parametrize("first", range(0, SEEDS, GROUP))
def test_histories_under_faults_keep_every_promise(first: int) -> None:
    failures = [str(outcome.failure) for outcome in map(run_seed, range(first, first + GROUP)) if outcome.failure]
    assert failures == []
