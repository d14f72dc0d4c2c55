"""Devices with different versions of a schema, through a real relay: nobody's fields are lost, all get the newest."""

from crdt_sync import compare, sync
from crdt_sync.records import parse_schema

OLD = parse_schema(
    'collection = "shops"\nversion = 1\n[fields.name]\nrequired = true\n[fields.phone]\n'
    '[fields.visits]\nkind = "counter"\n',
    "old",
)
NEW = parse_schema(
    'collection = "shops"\nversion = 2\n[fields.name]\nrequired = true\n[fields.phone]\nkind = "review"\n'
    '[fields.visits]\nkind = "counter"\n[fields.rating]\ntype = "decimal"\n[fields.tags]\nkind = "set"\n'
    '[fields.notes]\nkind = "text"\n[fields.timeline]\nkind = "log"\ntype = "json"\n',
    "new",
)


def all_sync(devices, relay):
    for replica in [*devices, *devices]:
        assert sync(replica, relay).refused == 0
    roots = {compare(replica, relay).ours.root for replica in devices}
    assert len(roots) == 1


def test_two_versions_keep_each_others_fields(device, own_relay):
    old, new = device("old", OLD), device("new", NEW)
    with new.edit("shops") as shop:
        shop.update({"name": "A", "rating": "4.5", "tags": ["x"], "notes": "hello", "visits": 1})
        shop.append("timeline", {"call": 1})
    record = shop.record
    all_sync([new, old], own_relay)
    with old.edit(record) as shop:
        shop["name"] = "B"
        shop.increment("visits")
    assert old.schemas == new.schemas == {"shops": NEW}
    assert str(old.get(record)["rating"]) == "4.5"
    with new.edit(record) as shop:
        shop.text("notes").insert(0, "Oh, ")
    all_sync([new, old], own_relay)
    for replica in (old, new):
        view = replica.get(record)
        assert (view["name"], view["visits"], view["notes"], view["tags"]) == ("B", 2, "Oh, hello", ["x"])
        assert [entry["value"] for entry in view["timeline"]] == [{"call": 1}]
    old.delete(record)
    all_sync([new, old], own_relay)
    assert new.get(record).deleted
    new.restore(record)
    all_sync([new, old], own_relay)
    assert str(old.get(record)["rating"]) == str(new.get(record)["rating"]) == "4.5"


def test_half_of_the_devices_are_upgraded_in_the_middle_of_the_work(device, own_relay):
    devices = [device(f"device-{number}", OLD) for number in range(4)]
    with devices[0].edit("shops") as shop:
        shop.update({"name": "A", "phone": "first"})
    record = shop.record
    all_sync(devices, own_relay)
    for number, replica in enumerate(devices):
        with replica.edit(record) as shop:
            shop["phone"] = str(number)
            shop.increment("visits")
    for replica in devices[:2]:
        replica.add_schema(NEW)
        with replica.edit(record) as shop:
            shop.add("tags", replica.name)
    all_sync(devices, own_relay)
    for replica in devices:
        view = replica.get(record)
        assert (view["phone"], view["visits"], view["tags"]) == ("3", 4, ["device-0", "device-1"])
        assert view.conflicts == ("phone",)
    for replica in devices[2:]:
        assert replica.schemas == {"shops": NEW}
        ((where, conflict),) = replica.conflicts()
        assert (where, {entry.value for entry in conflict.entries}) == (record, {"0", "1", "2", "3"})
    devices[3].resolve(record, "phone", "1")
    all_sync(devices, own_relay)
    assert [replica.conflicts() for replica in devices] == [()] * 4
    assert {replica.get(record)["phone"] for replica in devices} == {"1"}
