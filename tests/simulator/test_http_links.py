"""Histories whose sessions go over HTTP: they outlive cut connections, and run the same each time."""

from dataclasses import replace

import pytest

from crdt_bench.simulator.http_links import HttpLink
from crdt_bench.simulator.scenario import Scenario, draw
from crdt_bench.simulator.world import simulate
from crdt_sync.runtime.transports.http import dialed


def over_http(seed: int) -> Scenario:
    return replace(draw(seed, steps=30), http=1.0, faults={"cut": 0.3, "device_crash": 0.05, "relay_crash": 0.05})


def test_sessions_go_on_after_their_connections_were_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[HttpLink] = []
    cuts: list[HttpLink] = []
    open_channel, cut = HttpLink.open_channel, HttpLink.cut

    async def counted(self: HttpLink) -> object:
        opened.append(self)
        return await open_channel(self)

    def broken(self: HttpLink) -> None:
        cuts.append(self)
        cut(self)

    monkeypatch.setattr(HttpLink, "open_channel", counted)
    monkeypatch.setattr(HttpLink, "cut", broken)
    scenario = replace(over_http(3), faults={"cut": 0.3})
    outcome = simulate(scenario)
    assert outcome.failure is None
    assert len(cuts) > 2
    assert len(opened) == scenario.devices, "one session for each, to the end"


def test_the_same_seed_is_the_same_history() -> None:
    assert simulate(over_http(1)).trace == simulate(over_http(1)).trace != simulate(over_http(2)).trace


def test_a_crash_leaves_nothing_in_the_shipped_module() -> None:
    simulate(over_http(4))
    assert not dialed._goodbyes


def test_some_histories_have_sessions_over_http() -> None:
    drawn = [draw(seed).http for seed in range(400)]
    assert 40 < sum(likely > 0 for likely in drawn) < 120
