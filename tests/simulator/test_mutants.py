"""Each planted bug is noticed within its stated number of seeds."""

import pytest

from crdt_bench.simulator.campaign import MUTANTS, hunt
from crdt_bench.simulator.mutants import Mutant


def test_there_are_at_least_twenty_five_mutants() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) >= 25


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_planted_bug_is_noticed(mutant: Mutant) -> None:
    assert hunt(mutant) is not None, f"{mutant.name} survived {mutant.seeds_max} seeds: {mutant.promise}"


def test_a_mutant_leaves_no_trace_of_itself() -> None:
    before = [where.__dict__[name] for mutant in MUTANTS for where, name, _ in mutant.patches]
    for mutant in MUTANTS:
        with mutant.planted():
            pass
    assert [where.__dict__[name] for mutant in MUTANTS for where, name, _ in mutant.patches] == before
