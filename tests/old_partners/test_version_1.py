"""Devices and relays of version 1 go on with those of today, both ways, for ever."""

import asyncio

from crdt_sync import Address, Replica, bundled_schema, sync_once
from tests.old_partners.version_1 import OldDevice, OldRelay
from tests.relay.devices import running


def test_devices_of_today_sync_through_a_relay_of_version_1(tmp_path):
    relay = OldRelay()

    async def scenario() -> None:
        async with relay.serving() as url:
            with (
                Replica.create(tmp_path / "ann", "ann", [bundled_schema("customers")]) as ann,
                Replica.create(tmp_path / "bob", "bob", [bundled_schema("customers")]) as bob,
            ):
                for replica in (bob, ann):
                    await sync_once(replica, Address(url))
                with ann.edit("customers") as customer:
                    customer["name"] = "Müller"
                    customer["visits"] += 2
                await sync_once(ann, Address(url))
                await sync_once(bob, Address(url))
                (record,) = [view.record for view in bob.list("customers")]
                with bob.edit(record) as customer:
                    customer["city"] = "Bonn"
                await sync_once(bob, Address(url))
                await sync_once(ann, Address(url))
                assert dict(ann.get(record)) == dict(bob.get(record))
                assert (ann.get(record)["city"], ann.get(record)["visits"]) == ("Bonn", 2)
                assert not ann.store.space.joined

    asyncio.run(scenario())
    assert relay.broken == []


def test_a_device_of_version_1_syncs_through_a_relay_of_today(tmp_path):
    old, other = OldDevice("old"), OldDevice("other")

    async def scenario() -> None:
        async with running(tmp_path / "relay") as relay:
            old.write("customers/a", "name", "Müller")
            await old.sync(relay.url)
            with Replica.create(tmp_path / "ann", "ann", [bundled_schema("customers")]) as ann:
                await sync_once(ann, Address(relay.url))
                assert ann.get("customers/a")["name"] == "Müller"
                with ann.edit("customers/a") as customer:
                    customer["city"] = "Bonn"
                await sync_once(ann, Address(relay.url))
            for device in (old, other, old):
                await device.sync(relay.url)

    asyncio.run(scenario())
    for device in (old, other):
        assert (device.shown("customers/a", "name"), device.shown("customers/a", "city")) == (["Müller"], ["Bonn"])
