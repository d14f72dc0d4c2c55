"""Each line of the log that tells of harm names who did it, or was at it: replica, address and user."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

import pytest
import structlog

from crdt_relay.server import Relay
from crdt_sync.protocol.messages import VerdictCode
from crdt_sync.runtime.worker import process
from crdt_sync.runtime.worker.values import WorkedOn
from tests.runtime import planted
from tests.runtime.worker.conftest import ROGUE

from .devices import Device, running, update

Line = MutableMapping[str, Any]


def logged(scenario: Callable[[Relay], Awaitable[None]], data: Path, **settings: Any) -> list[Line]:
    """What the relay logs meanwhile."""

    async def whole() -> list[Line]:
        async with running(data, **settings) as relay:
            with structlog.testing.capture_logs() as lines:
                await scenario(relay)
            return lines

    return asyncio.run(whole())


def of(lines: list[Line], event: str) -> list[Line]:
    return [line for line in lines if line["event"] == event]


def names(line: Line) -> tuple[str, str, str]:
    return line["replica"], line["address"], line["user"]


def test_a_quota_that_is_reached_names_the_device(tmp_path: Path) -> None:
    told = []

    async def scenario(relay: Relay) -> None:
        async with await Device.join(relay.url) as device:
            verdicts = await device.store(("customers/a", update(1)), ("customers/b", update(2)))
            assert verdicts == [VerdictCode.ACCEPTED, VerdictCode.QUOTA]
            told.append(device.replica.hex())

    (line,) = of(logged(scenario, tmp_path, quota_device_records=1), "quota_reached")
    assert names(line) == (told[0], "127.0.0.1", "")
    assert (line["of"], line["limit"]) == ("device", "1 new records")


def test_a_worker_that_dies_of_an_update_names_its_sender_and_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "worker_command", lambda: [sys.executable, str(ROGUE)])
    told = []

    async def scenario(relay: Relay) -> None:
        async with await Device.join(relay.url) as good, await Device.join(relay.url) as bad:
            stored, poisoned = await asyncio.gather(
                good.store(*((f"customers/{number}", update(number)) for number in range(5))),
                bad.store(("customers/a", b"!crash")),
            )
            assert (stored, poisoned) == ([VerdictCode.ACCEPTED] * 5, [VerdictCode.POISON])
            told.append(bad.replica.hex())

    lines = of(logged(scenario, tmp_path), "worker_died")
    assert lines
    for line in lines:
        assert (line["record"], *names(line)) == ("customers/a", told[0], "127.0.0.1", "")


def test_a_worker_that_is_killed_while_it_rests_names_nobody(tmp_path: Path) -> None:
    async def scenario(relay: Relay) -> None:
        relay.engine.harm.worker_died("the process ended between two requests", WorkedOn())

    (line,) = of(logged(scenario, tmp_path), "worker_died")
    assert line.keys() == {"event", "log_level", "reason"}


def test_a_record_that_cannot_be_loaded_names_who_pushed_to_it(tmp_path: Path) -> None:
    told = []

    async def scenario(relay: Relay) -> None:
        async with await Device.join(relay.url) as device:
            assert await device.store(("customers/b", update(1))) == [VerdictCode.ACCEPTED]
        planted.nonsense(relay.store, "customers/b")
        relay.engine.pool.forget("customers/b")
        async with await Device.join(relay.url) as device:
            assert await device.store(("customers/b", update(2))) == [VerdictCode.RETRY]
            told.append(device.replica.hex())

    (line,) = of(logged(scenario, tmp_path), "unloadable_record")
    assert (line["record"], *names(line)) == ("customers/b", told[0], "127.0.0.1", "")
