"""Full disks and a frozen device: what was acknowledged stays, others do not wait, and all recovers by itself."""

from crdt_bench.campaign import machines


def test_full_disks_and_a_frozen_device_lose_nothing():
    tally = machines.run(1, 1, frozen_s=0.5)
    assert tally.findings == []
    assert tally.outcomes["device frozen"] == 1
