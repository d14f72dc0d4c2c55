"""All devices lose the relay at one instant and come back: every one is served, and the relay does not grow."""

from crdt_bench.campaign import storm


def test_a_hundred_devices_come_back_after_their_links_were_cut_and_the_relay_was_killed():
    tally = storm.run(1, 100, ends=("relay killed",))
    assert tally.findings == []
    assert tally.outcomes == {"first connection": 100, "links cut": 100, "relay killed": 100}


def test_devices_that_are_never_served_are_noticed():
    tally = storm.run(1, 20, patience_s=1.5, sessions_max=15)
    assert any("5 of 20 devices are not live" in finding for finding in tally.findings)
