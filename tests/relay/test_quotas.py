"""A device that meets a quota is told so, keeps what it holds, and brings it once it may; others notice nothing."""

import asyncio
from pathlib import Path

import pytest

from crdt_sync import Address, Replica, bundled_schema, sync_once
from crdt_sync.protocol.messages import VerdictCode
from crdt_sync.protocol.quotas import Allowance

from .devices import Device, running, update

pytestmark = pytest.mark.usefixtures("local_workers")


def test_what_is_beyond_a_quota_is_refused_and_counted(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path, quota_day_records=1) as relay:
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
        async with running(tmp_path / "relay", quota_day_records=2) as relay:
            with Replica.create(tmp_path / "anna", "anna", [bundled_schema("customers")], share=False) as replica:
                made = []
                for number in range(5):
                    with replica.edit("customers") as customer:
                        customer["name"] = f"Customer {number}"
                    made.append(customer.record)
                address = Address(relay.url)
                assert (await sync_once(replica, address)).refused > 0
                waiting = [record for record in made if replica.record_status(record).state == "refused"]
                assert waiting
                assert "2 new records in one day" in replica.record_status(waiting[0]).reason
                assert (await sync_once(replica, address)).refused == len(waiting), "offered again, and refused again"
                relay.engine.quotas.day = Allowance(records=1_000)
                assert (await sync_once(replica, address)).refused == 0
                assert all(replica.record_status(record).state == "stored" for record in made)

    asyncio.run(scenario())
