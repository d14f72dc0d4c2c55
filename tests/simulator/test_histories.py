"""Three hundred histories; `crdt-bench simulate` runs as many more as there is time for.

As many as the rarest of the planted bugs needs to be noticed: see `tests/simulator/test_mutants.py`.
"""

import pytest

from crdt_bench.simulator.campaign import MUTANTS
from tests.simulator.histories import GROUP, check, check_group, long_ones

_FIRST = 300
_LONG = long_ones(range(_FIRST, 1_200))  # so that there are enough of them


@pytest.mark.parametrize("first", range(0, _FIRST, GROUP))
def test_histories_under_faults_keep_every_promise(first: int) -> None:
    check_group(first)


@pytest.mark.parametrize("seed", _LONG)
def test_long_histories_do_so_too(seed: int) -> None:
    check([seed])


def test_every_planted_bug_would_be_noticed_in_as_many() -> None:
    assert max(mutant.seeds_max for mutant in MUTANTS) <= _FIRST


def test_long_histories_are_among_them() -> None:
    assert len(long_ones(range(_FIRST)) + _LONG) >= 15
