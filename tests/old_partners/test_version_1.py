"""Devices and relays of version 1 go on with those of today, both ways, for ever."""

import asyncio

from crdt_sync import Address, Replica, bundled_schema, sync_once
from crdt_sync.records import parse_schema
from crdt_sync.records.definition import FIELD
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


SITES = parse_schema('collection = "sites"\nversion = 1\n[fields.name]\n[fields.floors]\nkind = "counter"\n', "sites")
DEFINITION = "crdt-sync-schemas/sites"


def test_schemas_travel_through_a_relay_of_version_1(tmp_path):
    relay = OldRelay()

    async def scenario() -> None:
        async with relay.serving() as url:
            with Replica.create(tmp_path / "ann", "ann") as ann, Replica.create(tmp_path / "bob", "bob") as bob:
                for replica in (bob, ann):
                    await sync_once(replica, Address(url))
                ann.add_schema(SITES)
                with ann.edit("sites") as site:
                    site.update({"name": "North", "floors": 3})
                await sync_once(ann, Address(url))
                await sync_once(bob, Address(url))
                assert bob.schemas["sites"] == SITES
                with bob.edit(site.record) as again:
                    again.increment("floors")
                await sync_once(bob, Address(url))
                await sync_once(ann, Address(url))
                assert dict(ann.get(site.record)) == dict(bob.get(site.record)) == {"name": "North", "floors": 4}
                assert ann.receipt().root == bob.receipt().root
                assert ann.disputed_schemas() == bob.disputed_schemas() == {}

    asyncio.run(scenario())
    assert relay.broken == []
    assert {record for record, _ in relay.log} >= {DEFINITION}


def test_a_device_of_version_1_gets_records_whose_schema_travels_and_passes_both_on(tmp_path):
    old = OldDevice("old")

    async def scenario() -> None:
        async with running(tmp_path / "relay") as relay:
            with Replica.create(tmp_path / "ann", "ann", [SITES]) as ann:
                with ann.edit("sites") as site:
                    site["name"] = "North"
                await sync_once(ann, Address(relay.url))
                await old.sync(relay.url)
                assert old.shown(site.record, "name") == ["North"]
                assert "sites" in old.shown(DEFINITION, FIELD)[0]  # a record like any other
                old.write("sites/old", "name", "South")
                await old.sync(relay.url)
                await sync_once(ann, Address(relay.url))
                assert (ann.get("sites/old")["name"], ann.schemas["sites"]) == ("South", SITES)
                # What the old device holds makes a new relay and a new device what the first ones were.
                held = [(record, document.get_update()) for record, document in old.documents.items()]
                root = ann.receipt().root
        async with running(tmp_path / "other") as relay:
            carrier = OldDevice("carrier")
            carrier._outbox = held
            await carrier.sync(relay.url)
            with Replica.create(tmp_path / "bob", "bob") as bob:
                await sync_once(bob, Address(relay.url))
                assert (bob.schemas["sites"], bob.disputed_schemas()) == (SITES, {})
                assert sorted(view["name"] for view in bob.list("sites")) == ["North", "South"]
                assert bob.receipt().root == root

    asyncio.run(scenario())
