"""A device that meets a quota is told so, keeps what it holds, and brings it once it may; others notice nothing."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from crdt_sync import Address, Replica, bundled_schema, keep_syncing, sync_once
from crdt_sync.protocol.messages import Ack, VerdictCode
from crdt_sync.protocol.quotas import Allowance, Bounds

from .devices import PATIENCE_S, Device, running, update

pytestmark = pytest.mark.usefixtures("local_workers")


def device(path: Path) -> Replica:
    return Replica.create(path, "anna", [bundled_schema("customers")], share=False)


def entered(replica: Replica, number: int) -> str:
    with replica.edit("customers") as customer:
        customer["name"] = f"Customer {number}"
    return customer.record


def test_what_is_beyond_a_quota_is_refused_and_counted(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path, quota_device_records=1) as relay:
            async with await Device.join(relay.url, follow=False) as device:
                assert await device.store(("customers/a", update(1))) == [VerdictCode.ACCEPTED]
                mixed = await device.store(("customers/b", update(2)), ("customers/a", update(3)))
                assert mixed == [VerdictCode.QUOTA, VerdictCode.ACCEPTED]
            async with await Device.join(relay.url, follow=False) as other:
                assert await other.store(("customers/b", update(2))) == [VerdictCode.ACCEPTED]
            assert relay.default.read().updates["quota"] == 1

    asyncio.run(scenario())


def test_a_device_keeps_what_was_refused_says_why_and_brings_it_once_it_may(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path / "relay", quota_device_records=2) as relay:
            with device(tmp_path / "anna") as replica:
                made = [entered(replica, number) for number in range(5)]
                address = Address(relay.url)
                assert (await sync_once(replica, address)).refused == 3
                waiting = [record for record in made if replica.record_status(record).state == "refused"]
                assert "2 new records a day" in replica.record_status(waiting[0]).reason
                (partner,) = replica.partners()
                assert partner.put_off is not None
                assert not partner.put_off.all, "records that the relay has go on"
                assert (await sync_once(replica, address)).refused == 0, "not offered before its time"
                assert relay.default.read().updates["quota"] == 3
                relay.engine.allow(Bounds(device=Allowance(records=1_000)))
                assert (await sync_once(replica, replace(address, insist=True))).refused == 0
                assert all(replica.record_status(record).state == "stored" for record in made)
                assert replica.partners()[0].put_off is None

    asyncio.run(scenario())


def test_a_device_pushes_nothing_at_all_until_the_day_of_its_bytes_is_over(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path / "relay", quota_device_bytes=1) as relay:
            with device(tmp_path / "anna") as replica:
                record = entered(replica, 1)
                address = Address(relay.url)
                assert (await sync_once(replica, address)).pushed == 0
                assert replica.record_status(record).state == "pending", "it waits, and is not refused for good"
                assert "1 bytes a day" in replica.record_status(record).pending_at[relay.url]
                (partner,) = replica.partners()
                assert partner.put_off is not None
                assert partner.put_off.all
                refused = relay.default.read().updates["quota"]
                entered(replica, 2)
                await sync_once(replica, address)
                assert relay.default.read().updates["quota"] == refused, "nothing was pushed"

    asyncio.run(scenario())


def test_a_raise_reaches_a_device_that_is_connected_at_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path / "relay", quota_device_bytes=1) as relay:
            with device(tmp_path / "anna") as replica, keep_syncing(replica, Address(relay.url)) as syncing:
                record = entered(replica, 1)
                async with asyncio.timeout(PATIENCE_S):
                    while not any(partner.put_off for partner in replica.partners()):
                        await asyncio.sleep(0.01)
                relay.engine.allow(Bounds())
                await asyncio.to_thread(syncing.wait_stored, record, PATIENCE_S)
                assert replica.partners()[0].put_off is None

    asyncio.run(scenario())


def test_a_rate_slows_a_device_that_goes_on_by_itself(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path / "relay", rate_device_updates=20, rate_burst=1) as relay:
            with device(tmp_path / "anna") as replica:
                made = [entered(replica, number) for number in range(30)]
                assert (await sync_once(replica, Address(relay.url))).refused == 0
                assert all(replica.record_status(record).state == "stored" for record in made)
                assert relay.default.read().updates["rate_limited"] > 0

    asyncio.run(scenario())


def test_a_device_of_an_earlier_release_is_told_to_come_back_a_little_later(tmp_path: Path) -> None:
    async def scenario() -> None:
        of_each: dict[str, Any] = {"rate_device_updates": 1, "rate_burst": 1, "quota_device_growth": 1_000}
        async with running(tmp_path, **of_each) as relay, await Device.join(relay.url, follow=False) as old:
            verdicts = await old.store(
                ("customers/a", update(1, 2_000)), ("customers/a", update(1)), ("customers/b", update(2))
            )
            assert verdicts == [VerdictCode.QUOTA, VerdictCode.ACCEPTED, VerdictCode.RETRY]
            acks = [each for each in old.received if isinstance(each, Ack)]
            assert all(verdict.retry_after is None for ack in acks for verdict in ack.verdicts)

    asyncio.run(scenario())


def test_a_restart_gives_nobody_another_day(tmp_path: Path) -> None:
    async def scenario() -> None:
        for stored in (VerdictCode.ACCEPTED, VerdictCode.QUOTA):
            async with running(tmp_path, quota_space_records=1) as relay, await Device.join(relay.url) as any_device:
                assert await any_device.store((f"customers/{stored}", update(1))) == [stored]

    asyncio.run(scenario())


def test_a_store_that_is_as_large_as_it_may_be_is_not_ready(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path, store_bytes_max=1) as relay:
            async with await Device.join(relay.url, follow=False) as any_device:
                assert await any_device.store(("customers/a", update(1))) == [VerdictCode.QUOTA]
            assert "may have 1 bytes" in str(relay.engine.unready())
            assert not relay.default.read().ready
            relay.engine.allow(Bounds(store_bytes=1 << 30))
            assert relay.engine.unready() is None
            async with await Device.join(relay.url, follow=False) as any_device:
                assert await any_device.store(("customers/a", update(1))) == [VerdictCode.ACCEPTED]

    asyncio.run(scenario())
