"""A relay that sends more than a device confirms is noticed; the frames that wait are counted."""

from dataclasses import replace

import pytest

from crdt_bench.simulator.checkers import bounds
from crdt_bench.simulator.failure import Failure
from crdt_bench.simulator.scenario import draw
from crdt_bench.simulator.world import simulate
from crdt_sync import limits
from crdt_sync.protocol.serving import Serving

SMALL = {"UNCONFIRMED_BYTES_MAX": 2_000, "FRAME_BYTES_TARGET": 400}
SCENARIO = replace(draw(41, steps=60), records=30, latency_max=100_000, faults={"late_device": 0.1}, scales=SMALL)


@pytest.mark.parametrize("planted", [False, True])
def test_a_device_is_not_sent_more_than_it_can_store(planted: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if planted:
        monkeypatch.setattr(Serving, "_may_send", lambda self: True)
    failure = simulate(SCENARIO).failure
    assert (failure.rule if failure else None) == ("memory" if planted else None)


def test_frames_that_pile_up_at_the_relay_are_noticed() -> None:
    bounds.check_host("d0", limits.PUSHES_IN_FLIGHT_MAX)
    with pytest.raises(Failure, match="frames of d0 wait"):
        bounds.check_host("d0", 200)
