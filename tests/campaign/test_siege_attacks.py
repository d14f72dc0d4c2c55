"""Each attack that is named, in small, beside an honest device: that is served, and nothing is kept afterwards."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from crdt_bench.campaign.siege.attacker import _attack, _Attacker
from crdt_bench.campaign.siege.named import NAMED
from crdt_bench.campaign.siege.program import Attack, Open, Send, Wait
from crdt_sync.protocol.messages import VerdictCode
from tests.local_workers import use_local_workers
from tests.relay.devices import Device, eventually, running, update

_FEW = 12  # connections
_ATTACK_S = 0.4  # many rounds of each attack


def small(attack: Attack) -> Attack:
    """The same with few connections and without rests."""
    steps = tuple(
        replace(step, count=min(step.count, _FEW)) if isinstance(step, Open) else step
        for step in attack.steps
        if not isinstance(step, Wait)
    )
    return Attack(attack.name, (*steps, Wait(0.05)), attack.metrics)


@pytest.mark.parametrize("attack", NAMED, ids=lambda attack: attack.name)
def test_an_honest_device_is_served_beside_an_attack(
    attack: Attack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not any(isinstance(step, Send) and step.kind == "dear" for step in attack.steps):
        use_local_workers(monkeypatch)

    async def siege() -> None:
        async with running(tmp_path, metrics=attack.metrics, metrics_port=0) as relay:
            honest = await Device.join(relay.url, follow=False)
            port = int(str(relay.metrics_url).rpartition(":")[2]) if attack.metrics else relay.port
            attacker = _Attacker(port, 1)
            attacking = asyncio.create_task(_attack(small(attack), attacker, _ATTACK_S))
            for number in range(5):
                await asyncio.sleep(0)
                assert await honest.store((f"customers/{number}", update(number))) == [VerdictCode.ACCEPTED]
            await attacking
            assert attacker.counts["sessions"] > 0
            if Send("dear", 5) not in attack.steps:  # that takes a minute to be decided, and what was read is
                here = relay._port._places.taken
                await eventually("all attackers are gone", lambda: len(relay.engine.hub) == len(here) == 1)
                (websocket,) = here
                await eventually("nothing is kept", lambda: websocket.room.held + relay.engine.untaken.held == 0)
            assert await honest.store(("customers/last", update(9))) == [VerdictCode.ACCEPTED]
            await honest.close()

    asyncio.run(siege())
