"""The hosts of the simulator ask whose session it is, as the shipped ones do."""

import pytest

from crdt_bench.simulator import hosts
from crdt_bench.simulator.failure import Failure
from crdt_bench.simulator.scenario import Scenario, scaled
from crdt_bench.simulator.trace import Trace
from crdt_bench.simulator.world import World
from crdt_sync.protocol.principal import Principal
from crdt_sync.verdicts import VerdictCode


def test_where_all_may_only_read_nothing_is_stored_which_is_noticed(monkeypatch):
    monkeypatch.setattr(hosts, "everybody", lambda hello: Principal(hello.replica, grant="read"))
    scenario = Scenario(
        seed=7, devices=2, records=2, steps=8, pace=500_000, latency_max=300, documents_max=4, faults={}, scales={}
    )
    with scaled(scenario.scales):
        world = World(scenario, Trace(False))
        with pytest.raises(Failure):
            world.run()
    assert world.relay.disk.head() == 0
    assert set(world.relay.hub.verdicts) == {VerdictCode.FORBIDDEN}
    world.loop.close()
    world.beside.close()
