"""Histories with people: nobody is told of what they may not hold, all that they may comes, and nothing is lost."""

import pytest

from crdt_bench.simulator.scenario import draw, with_people
from crdt_bench.simulator.world import simulate

_OFTEN = 0.08  # that an operator acts, per step
FOUND = {
    "what was not sent of a record that went twice was kept once": 80,
    "what somebody lacked who had dropped the record meanwhile made an empty one": 113,
    "what did not show beside what the relay held was lost with what it forbade": 291,
    "and so it was of a long history": 410,
    "a record that is about to go counted as held": 639,
    "what was pushed and dropped at once did not come back": 522,
}


@pytest.mark.parametrize("first", [0, 20, 40])
def test_histories_with_people_keep_every_promise(first: int) -> None:
    outcomes = [simulate(with_people(draw(seed, 24), _OFTEN)) for seed in range(first, first + 20)]
    assert [str(each.failure) for each in outcomes if each.failure] == []


def test_nobody_has_more_of_a_value_than_its_mask_shows_and_that_is_of_the_newest() -> None:
    outcomes = [simulate(with_people(draw(seed, 40), _OFTEN, masks=True)) for seed in range(8)]
    assert [str(each.failure) for each in outcomes if each.failure] == []


@pytest.mark.parametrize("defect", FOUND)
def test_a_defect_that_a_history_found_does_not_come_back(defect: str) -> None:
    assert simulate(with_people(draw(FOUND[defect]), _OFTEN)).failure is None


def test_a_seed_is_one_run() -> None:
    scenario = with_people(draw(5), _OFTEN)
    assert simulate(scenario).trace == simulate(scenario).trace
