"""What devices that follow the rules get: pushes, the feed, live updates, presence, receipts."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from crdt_relay.server import Relay
from crdt_sync import Address, Replica, bundled_schema
from crdt_sync.protocol import codec
from crdt_sync.protocol.messages import (
    Ack,
    Changes,
    Hello,
    Ping,
    Pong,
    Presence,
    PresenceEntry,
    Push,
    PushEntry,
    Receipt,
    ReceiptRequest,
    Updates,
    VerdictCode,
)
from crdt_sync.protocol.versions import GREETING
from crdt_sync.runtime import compare_once, sync_once
from crdt_sync.runtime.transports.http.dialed import open_channel

from .devices import PATIENCE_S, Device, eventually, running, seen, update

pytestmark = pytest.mark.usefixtures("local_workers")

ANNA = PresenceEntry("customers/a", "anna")
BEN = PresenceEntry("customers/a", "ben")


def serve(scenario: Callable[[Relay], Awaitable[None]], data: Path) -> None:
    async def whole() -> None:
        async with running(data) as relay:
            await scenario(relay)

    asyncio.run(whole())


def unanswered(relay: Relay, hellos: int) -> int:
    """How many pushes of one update each were read from devices that do nothing else, and not decided on yet."""
    return relay.engine.metrics.frames_received - hellos - relay.engine.hub.verdicts.total()


def test_three_replicas_converge_and_the_receipts_agree(tmp_path: Path) -> None:
    async def scenario(relay: Relay) -> None:
        address = Address(relay.url)
        schema = bundled_schema("customers")
        replicas = [Replica.create(tmp_path / name, name, [schema]) for name in ("anna", "ben", "cem")]
        anna, ben, cem = replicas
        with anna.edit("customers") as customer:
            customer["name"], customer["phone"] = "Zoë GmbH", "1"
        record = customer.record
        for replica in replicas:
            await sync_once(replica, address)
        for number, replica in enumerate(replicas):
            with replica.edit(record) as customer:
                customer["phone"] = f"555-{number}"
                customer.increment("visits")
        for replica in (*replicas, *replicas):
            await sync_once(replica, address)
        assert [replica.get(record)["visits"] for replica in replicas] == [3, 3, 3]
        assert len({str(replica.conflicts()) for replica in replicas}) == 1
        assert len(cem.conflicts()[0][1].entries) == 3
        comparison = await compare_once(ben, address)
        assert comparison.equal
        assert comparison.theirs.count == 1
        for replica in replicas:
            replica.close()

    serve(scenario, tmp_path / "relay")


def test_live_updates_reach_everybody_but_their_sender(tmp_path: Path) -> None:
    async def scenario(relay: Relay) -> None:
        anna, ben = await Device.join(relay.url), await Device.join(relay.url)
        for device in (anna, ben):
            await device.expect(Changes)
        assert await anna.store(("customers/a", update("x"))) == [VerdictCode.ACCEPTED]
        came = await ben.expect(Updates)
        assert [entry.record for entry in came.entries] == ["customers/a"]
        await anna.send(Ping(5))
        await anna.expect(Pong)
        assert not any(isinstance(message, Updates) for message in anna.received)
        await anna.close()
        await ben.close()

    serve(scenario, tmp_path)


def test_presence_reaches_the_others_and_ends_with_the_session(tmp_path: Path) -> None:
    async def scenario(relay: Relay) -> None:
        anna, ben = await Device.join(relay.url), await Device.join(relay.url)
        await anna.send(Presence((ANNA,)))
        assert (await ben.expect(Presence)).entries == (ANNA,)
        await ben.send(Presence((BEN,)))
        assert (await anna.expect(Presence)).entries == (BEN,)
        cem = await Device.join(relay.url)
        assert (await cem.expect(Presence)).entries == (ANNA, BEN)
        await ben.send(Presence(()))
        assert (await anna.expect(Presence)).entries == ()
        await anna.close()
        assert (await ben.expect(Presence)).entries == ()
        await ben.close()
        await cem.close()

    serve(scenario, tmp_path)


def test_presence_that_changes_often_is_told_seldom(tmp_path: Path) -> None:
    async def scenario(relay: Relay) -> None:
        anna, ben = await Device.join(relay.url), await Device.join(relay.url)
        for number in range(200):
            await anna.send(Presence((PresenceEntry(f"customers/{number}", "anna"),)))
        told = 0
        while (await ben.expect(Presence)).entries != (PresenceEntry("customers/199", "anna"),):
            told += 1
        assert told < 100
        await anna.close()
        await ben.close()

    serve(scenario, tmp_path)


def test_a_receipt_counts_what_is_stored(tmp_path: Path) -> None:
    async def scenario(relay: Relay) -> None:
        async with await Device.join(relay.url) as device:
            await device.store(*((f"customers/{number}", update(number)) for number in range(5)))
            await device.send(ReceiptRequest(9))
            receipt = await device.expect(Receipt)
            assert (receipt.number, receipt.head, receipt.count) == (9, 5, 5)
            assert receipt.root != bytes(32)

    serve(scenario, tmp_path)


def test_a_device_that_asks_for_receipts_without_end_is_answered_a_few_at_a_time(tmp_path: Path) -> None:
    async def scenario(relay: Relay) -> None:
        async with await Device.join(relay.url) as device:
            for number in range(500):
                await device.send(ReceiptRequest(number))
            most = 0
            for number in range(500):
                assert (await device.expect(Receipt)).number == number
                most = max(most, len(relay.engine._tasks))
            assert most < 20

    serve(scenario, tmp_path)


def test_a_device_may_leave_right_after_its_push(tmp_path: Path) -> None:
    async def scenario(relay: Relay) -> None:
        for number in range(20):
            device = await Device.join(relay.url)
            await device.push((f"customers/{number}", update(number)))
            if number % 2:
                await device.drop()
            else:
                await device.close()
        await eventually("all sessions over", lambda: not len(relay.engine.hub) and relay.engine.hub.idle)
        async with await Device.join(relay.url) as device:
            assert await device.store(("customers/z", update("z"))) == [VerdictCode.ACCEPTED]
        await eventually("nobody left", lambda: not relay.engine._filling.seats)
        assert not any(f"customers/{number}" in relay.engine._uncommitted for number in range(20))

    serve(scenario, tmp_path)


def test_a_device_that_pushes_without_waiting_is_slowed_down_and_loses_nothing(tmp_path: Path) -> None:
    async def scenario(relay: Relay) -> None:
        greedy, modest = await Device.join(relay.url, follow=False), await Device.join(relay.url, follow=False)
        count = 1500

        async def pour() -> None:
            for number in range(count):
                await greedy.push(("customers/a", update(number)))

        pouring = asyncio.create_task(pour())
        reading = asyncio.create_task(_acknowledged(greedy, count))
        most = 0
        for number in range(10):
            assert await modest.store(("customers/b", update(number))) == [VerdictCode.ACCEPTED]
            most = max(most, unanswered(relay, hellos=2))
        await pouring
        assert await reading == [VerdictCode.ACCEPTED] * count
        assert 0 < most <= 64
        assert seen(relay.store.load("customers/a").updates) == set(range(count))
        await greedy.close()
        await modest.close()

    serve(scenario, tmp_path)


async def _acknowledged(device: Device, count: int) -> list[VerdictCode]:
    verdicts: list[VerdictCode] = []
    while len(verdicts) < count:
        verdicts += [verdict.code for verdict in (await device.expect(Ack)).verdicts]
    return verdicts


@pytest.mark.parametrize("transport", ["websocket", "http"])
def test_what_has_arrived_when_the_link_closes_is_stored(tmp_path: Path, transport: str) -> None:
    count = 300
    written = [update(number) for number in range(count)]

    async def scenario(relay: Relay) -> None:
        async with await Device.join(relay.url, follow=False) as listens:
            if transport == "websocket":
                # It reads no answer, and is to see the end all the same: by itself the library would stop reading.
                device = await Device.join(relay.url, follow=False, close_timeout=PATIENCE_S, max_queue=None)
                for number in range(count):
                    await device.push((f"customers/{number}", written[number]))
                await device.close()
            else:
                channel = await open_channel(relay.url, None)
                channel.send(codec.encode(Hello((GREETING,), bytes(16), "", 0, None, False, 0, "test")))
                for number in range(count):
                    entries = (PushEntry(f"customers/{number}", written[number]),)
                    channel.send(codec.encode(Push(number + 1, entries)))
                await channel.close()
            await eventually("its session is over", lambda: len(relay.engine.hub) == 1)
            await eventually("all is decided", lambda: relay.engine.hub.idle)
            assert await listens.store(("customers/last", update("last"))) == [VerdictCode.ACCEPTED]
        assert relay.engine.hub.taken == count + 1
        assert relay.store.count() == count + 1

    serve(scenario, tmp_path)
