"""Whoever dies between any two messages of an owner and those that it serves, every promise holds."""

from itertools import islice

import pytest

from crdt_bench.campaign import owner_deaths
from crdt_bench.campaign.owner_deaths import LONG, SHORT, SYNCED, each_death, each_pair, planted
from crdt_bench.campaign.owner_machine import Broken
from crdt_bench.campaign.owner_story import tell

_EVERY = 31  # pair, in the ordinary run


def tell_with(script, each):
    """Tell it with each of these deaths; how many there were."""
    return sum(1 for deaths in each if tell(script, deaths).reached)


@pytest.mark.parametrize("script", [LONG, SYNCED])
def test_whoever_dies_between_any_two_messages_every_promise_holds(script):
    assert tell_with(script, each_death(script)) > 50


def test_two_that_die_one_after_the_other():
    assert tell_with(SHORT, islice(each_pair(SHORT), 0, None, _EVERY)) > 40


def test_drawn_stories():
    tally = owner_deaths.run(0, 25)
    assert tally.findings == []
    assert tally.ran == 25


@pytest.mark.parametrize("name", owner_deaths.PLANTED)
def test_an_owner_that_breaks_a_promise_is_noticed(name):
    with planted(name), pytest.raises(Broken):
        [tell_with(script, ({}, *each_death(script))) for script in (SYNCED, LONG)]
