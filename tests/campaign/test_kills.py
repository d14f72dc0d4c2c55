"""Relay, worker and devices are killed at any moment, and nothing that was acknowledged is missing afterwards."""

import pytest

from crdt_bench.campaign import kills


@pytest.mark.parametrize("seed", [1, 2])
def test_after_kills_at_any_moment_nothing_acknowledged_is_missing_and_all_agree(seed):
    tally = kills.run(seed, 2 * len(kills.VICTIMS))
    assert tally.findings == []
    assert tally.ran == 2 * len(kills.VICTIMS)
    victims = {outcome.partition(" ")[0] for outcome in tally.outcomes}
    assert victims == {"relay", "worker", "device", "owner", "client"}


def test_a_relay_that_acknowledges_before_it_commits_is_noticed():
    tally = kills.run(3, 6, victims=("relay", "anna"), early=True)
    assert any("the relay lacks" in finding for finding in tally.findings)


def test_an_owner_that_answers_before_it_commits_is_noticed():
    tally = kills.run(4, 1, victims=("owner",), early=True)
    assert any("carl lacks" in finding for finding in tally.findings)
