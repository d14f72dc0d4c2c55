"""Sessions over a link that carries little: what moves gets through, what stands still is given up.

Patience and rates are a fiftieth, and fifty times, of real ones, so that a test takes a second.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from crdt_bench.campaign.throttle import Throttle
from crdt_relay.server import Relay
from crdt_sync import Address, Replica, bundled_schema, limits, sync_once
from crdt_sync.errors import Timeout
from crdt_sync.runtime import conversation
from crdt_sync.runtime.transports import channel
from tests.relay.devices import PATIENCE_S, eventually, running

_SCALE = 50
_SILENCE_S = limits.SILENCE_US_MAX / 1e6 / _SCALE
_RATE = 10_000 * _SCALE
_NOTE = "0123456789" * 52_000  # 520 kB: 52 s at 10 kB/s, and the patience is 45 s


@pytest.fixture(autouse=True)
def scaled(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("KEEPALIVE_US", "SILENCE_US_MAX", "BURST_US_MAX", "ANSWER_US_MAX", "WORK_US_MAX", "ANSWER_US_TARGET"):
        monkeypatch.setattr(limits, name, getattr(limits, name) // _SCALE)
    monkeypatch.setattr(limits, "LINK_BYTES_PER_S_MIN", limits.LINK_BYTES_PER_S_MIN * _SCALE)
    monkeypatch.setattr(conversation, "_BYE_S", 0.01)
    monkeypatch.setattr(channel, "CLOSE_TIMEOUT_S", 0.01)


@asynccontextmanager
async def slow(folder: Path, rate: float) -> AsyncIterator[tuple[Relay, Throttle]]:
    """A relay, and a slow way to it."""
    async with running(folder / "relay") as relay, Throttle(relay.port, rate) as throttle:
        yield relay, throttle


def device(folder: Path, name: str, *notes: str) -> Replica:
    replica = Replica.create(folder / name, name, [bundled_schema("customers")])
    for note in notes:
        add(replica, note)
    return replica


def add(replica: Replica, note: str) -> None:
    with replica.edit("customers") as customer:
        customer["name"] = f"of {replica.name}"
        customer.text("notes").insert(0, note)


async def took(replica: Replica, throttle: Throttle, transport: str = "auto") -> float:
    """The seconds that a sync over the slow link needs."""
    begun = time.monotonic()
    await sync_once(replica, Address(f"ws://127.0.0.1:{throttle.port}", transport=transport))
    return time.monotonic() - begun


def test_a_frame_that_takes_longer_than_the_patience_is_sent(tmp_path: Path) -> None:
    async def scenario() -> None:
        with device(tmp_path, "ann", _NOTE) as ann:
            async with slow(tmp_path, _RATE) as (relay, throttle):
                assert await took(ann, throttle) > _SILENCE_S
                assert relay.store.count() == 1

    asyncio.run(scenario())


@pytest.mark.parametrize("notes", [[_NOTE], [_NOTE[:40_000]] * 20], ids=["in one frame", "in many"])
def test_a_download_that_takes_longer_than_the_patience_comes(tmp_path: Path, notes: list[str]) -> None:
    """In many frames, the device's own words must be heard meanwhile, although the relay has always more to send."""

    async def scenario() -> None:
        with device(tmp_path, "ann", *notes) as ann, device(tmp_path, "bob") as bob:
            async with slow(tmp_path, _RATE) as (relay, throttle):
                await sync_once(ann, Address(relay.url))
                assert await took(bob, throttle) > _SILENCE_S
                assert bob.count() == len(notes)

    asyncio.run(scenario())


def test_an_edit_does_not_wait_until_a_download_is_done(tmp_path: Path) -> None:
    async def scenario() -> None:
        with device(tmp_path, "ann") as ann, device(tmp_path, "bob", "the first") as bob:
            async with slow(tmp_path, _RATE) as (relay, throttle):
                await took(bob, throttle)  # so that the next session goes on, and compares nothing
                for _ in range(20):
                    add(ann, _NOTE[:40_000])
                await sync_once(ann, Address(relay.url))
                add(bob, "meanwhile")
                syncing = asyncio.create_task(took(bob, throttle))
                await eventually("bob's edit", lambda: relay.store.count() == 22)
                assert bob.count() < 12
                await syncing
                assert bob.count() == 22

    asyncio.run(scenario())


@pytest.mark.parametrize("way", ["up", "down"])
def test_a_link_on_which_nothing_moves_any_more_is_given_up_by_both(tmp_path: Path, way: str) -> None:
    async def scenario() -> None:
        with device(tmp_path, "ann", _NOTE) as ann, device(tmp_path, "bob") as bob:
            async with slow(tmp_path, 4 * _RATE) as (relay, throttle):
                if way == "down":
                    await sync_once(ann, Address(relay.url))
                syncing = asyncio.create_task(took(ann if way == "up" else bob, throttle))
                await eventually("half a frame", lambda: getattr(throttle, way) > len(_NOTE) // 2)
                throttle.rate = 0
                with pytest.raises(Timeout):
                    await asyncio.wait_for(syncing, PATIENCE_S)
                await eventually("the relay's end", lambda: len(relay.engine.hub) == 0)

    asyncio.run(scenario())


def test_over_http_a_frame_that_takes_longer_than_the_patience_comes_and_goes(tmp_path: Path) -> None:
    async def scenario() -> None:
        with device(tmp_path, "ann", _NOTE) as ann, device(tmp_path, "bob") as bob:
            async with slow(tmp_path, _RATE) as (relay, throttle):
                assert await took(ann, throttle, "http") > _SILENCE_S
                assert relay.store.count() == 1
                assert await took(bob, throttle, "http") > _SILENCE_S
                assert bob.count() == 1

    asyncio.run(scenario())


def test_over_http_a_link_that_stands_still_is_given_up(tmp_path: Path) -> None:
    async def scenario() -> None:
        with device(tmp_path, "ann", _NOTE) as ann:
            async with slow(tmp_path, _RATE) as (relay, throttle):
                sync = asyncio.create_task(took(ann, throttle, "http"))
                await eventually("some of it has gone", lambda: throttle.up > 100_000)
                throttle.rate = 0
                with pytest.raises(Timeout):
                    await sync
                await eventually("the relay has given up too", lambda: len(relay.engine.hub) == 0)

    asyncio.run(scenario())
