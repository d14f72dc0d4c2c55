"""Whatever part of the unsynced writes survives a power cut, an owner's store holds what its clients were promised."""

import pytest

from crdt_bench.campaign import power_owner, power_owner_cuts
from crdt_bench.campaign.power_recording import missing

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing() or "strace is there")


def test_every_image_holds_what_clients_were_promised():
    tally = power_owner_cuts.run(1, 30)
    assert tally.findings == []
    assert tally.ran == 30
    assert tally.outcomes["with the commit under way"] > 0


@pytest.mark.parametrize("planted", power_owner.PLANTED)
def test_an_owner_that_breaks_a_promise_is_noticed(planted):
    assert power_owner_cuts.run(1, 20, planted=planted).findings
