"""Syncing where websockets do not pass: HTTP is found by itself, remembered, and left again."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import h11
import pytest

from crdt_relay.server import Relay
from crdt_sync import Address, Replica, bundled_schema, keep_syncing_forever, limits, sync_once
from crdt_sync.errors import CrdtSyncError, Unauthorized, Unreachable, UsageError
from crdt_sync.runtime import link
from crdt_sync.runtime.transports import channel, ways
from crdt_sync.runtime.transports.http import dialed
from tests.proxy import Habits, Proxy
from tests.relay.devices import eventually, make_certificate, running

pytestmark = pytest.mark.usefixtures("local_workers")

TOKEN = "a-token-that-nobody-guesses"
_PATIENCE_S = 60.0


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "_OPEN_TIMEOUT_S", 0.3)
    monkeypatch.setattr(limits, "HTTP_PROBE_S", 0.3)
    monkeypatch.setattr(dialed, "_AGAIN_S", 0.01)
    monkeypatch.setattr(ways, "_found", {})


@asynccontextmanager
async def behind(folder: Path, habits: Habits | None = None) -> AsyncIterator[tuple[Relay, Proxy]]:
    async with running(folder / "relay", token=TOKEN) as relay, Proxy(relay.port, habits or Habits()) as proxy:
        yield relay, proxy


@asynccontextmanager
async def devices(folder: Path) -> AsyncIterator[tuple[Replica, Replica]]:
    schema = bundled_schema("customers")
    with (
        Replica.create(folder / "ann", "ann", [schema]) as ann,
        Replica.create(folder / "bob", "bob", [schema]) as bob,
    ):
        yield ann, bob


def add(replica: Replica, name: str) -> str:
    with replica.edit("customers") as customer:
        customer["name"] = name
    return customer.record


def names(replica: Replica) -> set[object]:
    return {view["name"] for view in replica.list()}


def address(port: int, transport: str = "auto", memory: Path | None = None) -> Address:
    return Address(f"ws://127.0.0.1:{port}/crm", TOKEN, transport=transport, memory=memory)


def run(story: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(_PATIENCE_S):
            await story()

    asyncio.run(bounded())


def websockets(proxy: Proxy) -> int:
    return sum(1 for seen in proxy.seen if "crdt-sync=" not in seen)


async def exchange(folder: Path, way: Address) -> None:
    """Two devices exchange what each has."""
    async with devices(folder) as (ann, bob):
        add(ann, "Muster AG")
        add(bob, "Beispiel GmbH")
        for device in (ann, bob, ann):
            await sync_once(device, way)
        assert names(ann) == names(bob) == {"Muster AG", "Beispiel GmbH"}


def test_http_is_found_where_a_proxy_breaks_websockets_and_remembered(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path / "relay", token=TOKEN) as relay, devices(tmp_path) as (ann, bob):
            for habit in (400, 403, 404, 426, 501, 502, "drop", "hang", "mute"):
                async with Proxy(relay.port, Habits(upgrades=habit)) as proxy:
                    for here, there in ((ann, bob), (bob, ann)):
                        name = f"{here.name} in spite of {habit}"
                        add(here, name)
                        await sync_once(here, address(proxy.port))
                        await sync_once(there, address(proxy.port))
                        assert name in names(there)
                    assert websockets(proxy) == 1, habit
                await eventually("no session is left", lambda: len(relay.engine.hub) == 0)

    run(story)


def test_a_websocket_is_used_where_it_passes(tmp_path: Path) -> None:
    async def story() -> None:
        async with behind(tmp_path) as (relay, _):
            await exchange(tmp_path, address(relay.port))
            way = ways.known(address(relay.port))
            assert way is not None
            assert way.transport == "websocket"

    run(story)


def test_what_is_chosen_is_used_alone(tmp_path: Path) -> None:
    async def story() -> None:
        async with behind(tmp_path) as (relay, proxy), devices(tmp_path) as (ann, _):
            with pytest.raises(Unreachable, match="HTTP 403"):
                await sync_once(ann, address(proxy.port, "websocket"))
            assert websockets(proxy) == len(proxy.seen) == 1
            await sync_once(ann, address(proxy.port, "http"))
            assert websockets(proxy) == 1
            with pytest.raises(UsageError):
                address(relay.port, "pigeon")
            with pytest.raises(UsageError):
                Address("wss://10.0.0.1", direct=True, transport="http")

    run(story)


def test_a_websocket_is_tried_again_later_and_memory_outlives_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = tmp_path / "transport.json"

    async def story() -> None:
        async with behind(tmp_path) as (_, proxy), devices(tmp_path) as (ann, _):
            way = address(proxy.port, memory=memory)
            await sync_once(ann, way)
            assert not ways._found
            assert websockets(proxy) == 1
            await sync_once(ann, way)
            assert websockets(proxy) == 1
            now = time.time()
            monkeypatch.setattr(time, "time", lambda: now + limits.TRANSPORT_REMEMBERED_S + 1)
            await sync_once(ann, way)
            assert websockets(proxy) == 2
            memory.write_text('{"ws://x": 3, "')
            await sync_once(ann, way)
            assert websockets(proxy) == 3

    run(story)


def test_what_was_remembered_and_is_not_true_any_more_ends_no_sync(tmp_path: Path) -> None:
    async def story() -> None:
        async with behind(tmp_path) as (relay, _), devices(tmp_path) as (ann, bob):
            add(ann, "Muster AG")
            async with Proxy(relay.port, Habits(upgrades=403)) as proxy:
                proxy.habits.cut = lambda _: "before"
                ways.http_passes(address(proxy.port), polls=False)
                with pytest.raises(Unreachable, match="HTTP 403"):
                    await sync_once(ann, address(proxy.port))
                assert ways.known(address(proxy.port)) is None
                proxy.habits.cut = lambda _: ""
                await sync_once(ann, address(proxy.port))
            await sync_once(bob, address(relay.port))
            assert names(bob) == {"Muster AG"}

    run(story)


@pytest.mark.parametrize("habits", [Habits(collects=True), Habits(trickles=True)], ids=["collects", "trickles"])
def test_answers_that_are_held_back_are_asked_for_as_a_whole(tmp_path: Path, habits: Habits) -> None:
    async def story() -> None:
        async with behind(tmp_path, habits) as (relay, proxy):
            await exchange(tmp_path, address(proxy.port))
            assert relay.store.count() == 2
            way = ways.known(address(proxy.port))
            assert way is not None
            assert (way.transport, way.polls) == ("http", True)
            seen = len(proxy.seen)
            async with devices(tmp_path / "others") as (ann, _):
                await sync_once(ann, address(proxy.port))
            assert not [asked for asked in proxy.seen[seen:] if asked.startswith("GET") and "wait=" not in asked]

    run(story)


@pytest.mark.parametrize("collects", [False, True])
@pytest.mark.parametrize("seed", range(2))
def test_requests_that_are_lost_on_the_way_are_made_again(tmp_path: Path, seed: int, collects: bool) -> None:
    rng = random.Random(seed)

    def cut(request: h11.Request) -> str:
        return rng.choice(["", "", "", "", "before", "after", "answer"]) if b"open" not in request.target else ""

    async def story() -> None:
        async with behind(tmp_path, Habits(cut=cut, collects=collects)) as (relay, proxy):
            ways.http_passes(address(proxy.port), polls=collects)
            async with devices(tmp_path) as (ann, bob):
                for number in range(30):
                    add(ann, f"Muster {number}")
                await sync_once(ann, address(proxy.port))
                await sync_once(bob, address(proxy.port))
                assert names(bob) == {f"Muster {number}" for number in range(30)}
                assert relay.store.count() == 30

    run(story)


def test_edits_come_while_both_stay(tmp_path: Path) -> None:
    async def story() -> None:
        async with behind(tmp_path) as (_, proxy), devices(tmp_path) as (ann, bob):
            staying = [asyncio.create_task(keep_syncing_forever(each, address(proxy.port))) for each in (ann, bob)]
            for here, there in ((ann, bob), (bob, ann)):
                name = f"written by {here.name}"
                add(here, name)
                await eventually(f"the other has what was {name}", lambda there=there, name=name: name in names(there))
            for task in staying:
                task.cancel()
            await asyncio.gather(*staying, return_exceptions=True)

    run(story)


def test_the_token_is_asked_for_as_ever(tmp_path: Path) -> None:
    async def story() -> None:
        async with behind(tmp_path) as (relay, _), devices(tmp_path) as (ann, _):
            with pytest.raises(Unauthorized):
                await sync_once(
                    ann, Address(f"ws://127.0.0.1:{relay.port}", "another-token-of-that-kind", transport="http")
                )

    run(story)


def test_it_goes_over_tls(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)

    async def story() -> None:
        async with running(tmp_path / "relay", tls_certificate=certificate, tls_key=key) as relay:
            url = f"wss://localhost:{relay.port}"
            async with devices(tmp_path) as (ann, bob):
                add(ann, "Muster AG")
                for device in (ann, bob):
                    await sync_once(device, Address(url, authorities=certificate, transport="http"))
                assert names(bob) == {"Muster AG"}
                with pytest.raises(Unreachable, match="no secure connection"):
                    await sync_once(ann, Address(url, transport="http"))

    run(story)


def test_a_relay_that_stops_says_bye_and_waits_for_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        async with behind(tmp_path) as (relay, _), devices(tmp_path) as (ann, _):
            heard: list[CrdtSyncError] = []
            up = asyncio.Event()
            way = address(relay.port, "http")
            staying = asyncio.create_task(
                keep_syncing_forever(
                    ann, way, lambda progress: up.set() if progress.caught_up else None, lambda e, _: heard.append(e)
                )
            )
            await up.wait()
            with monkeypatch.context() as patched:
                patched.setattr(channel, "CLOSE_TIMEOUT_S", 3600.0)
                patched.setattr(limits, "HTTP_RESUME_S", 1.0)
                await relay.stop()
            await eventually("it was told", lambda: bool(heard))
            assert "going_away" in heard[0].message
            staying.cancel()
            await asyncio.gather(staying, return_exceptions=True)

    run(story)
