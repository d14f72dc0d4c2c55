"""Schemas travel as records: the newest version is used everywhere, and those that do not fit are shown."""

import random
from dataclasses import replace
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crdt_sync.errors import IncompatibleSchema, StoreCorrupt, StoreFull, UsageError
from crdt_sync.ids import schema_record
from crdt_sync.limits import SCHEMA_BYTES_MAX, SCHEMAS_TAKEN_MAX
from crdt_sync.policy.in_force import InForce
from crdt_sync.policy.reading import parse_policy
from crdt_sync.protocol.messages import UpdatesEntry
from crdt_sync.records import Document, bundled_schema, parse_schema, values_of
from crdt_sync.records.definition import FIELD, read, written
from crdt_sync.replica import Replica
from crdt_sync.storage.memory import MemoryStore
from tests.policies import keeps_schemas
from tests.replica.wire import MemoryRelay, exchange

RECORD = "shops/a"
DEFINITION = schema_record("shops")


def shops(version, **fields):
    """A schema of shops; each field is its kind, and type where that is not a string."""
    lines = ['collection = "shops"', f"version = {version}", "[fields.name]"]
    for name, settings_of in fields.items():
        kind, _, of = settings_of.partition(" ")
        lines += [f"[fields.{name}]", f'kind = "{kind}"', *([f'type = "{of}"'] if of else [])]
    return parse_schema("\n".join(lines) + "\n", f"version {version}")


COUNTED = shops(1, visits="counter integer")
WIDER = shops(2, visits="counter integer", city="review")
VALUE = shops(2, visits="value integer")


@pytest.fixture
def device(make_replica):
    return make_replica


def share(*replicas, relay):
    for replica in (*replicas, *replicas, replicas[0]):
        assert exchange(replica, relay).settled
    assert len({replica.receipt().root for replica in replicas}) == 1


def write(replica, **values):
    with replica.edit(RECORD, create=True) as shop:
        shop.update(values)


def opened_again(replica):
    again = Replica.over(replica.store, replica.wall_clock, random.Random(7))
    again.shared_schemas.open()
    return again


def hostile(replica, text, record=DEFINITION):
    """Somebody else's record of a definition, put into a relay's feed as an update of a stranger."""
    document = Document(writer=random.Random(text).randrange(1 << 53))
    with document.transaction() as transaction:
        document.array(transaction, f"c.{FIELD}").insert(transaction, 0, [text, 1, "stranger"])
    replica.integrate([UpdatesEntry(record, document.diff(), document.state_vector())], b"s" * 16, (), None)


def test_who_receives_records_gets_their_schema(device, relay):
    ann, bob = device("ann"), device("bob")
    ann.add_schema(COUNTED)
    write(ann, name="A", visits=4)
    share(ann, bob, relay=relay)
    assert bob.schemas["shops"] == COUNTED
    assert bob.schemaless() == ()
    with bob.edit(RECORD) as shop:
        shop.increment("visits")
    share(ann, bob, relay=relay)
    assert ann.get(RECORD)["visits"] == bob.get(RECORD)["visits"] == 5
    assert opened_again(bob).schemas["shops"] == COUNTED


def test_a_newer_version_is_used_everywhere(device, relay):
    ann, bob = device("ann"), device("bob")
    ann.add_schema(COUNTED)
    write(ann, name="A")
    share(ann, bob, relay=relay)
    bob.add_schema(WIDER)
    write(bob, city="Bonn")
    share(ann, bob, relay=relay)
    assert ann.schemas["shops"] == WIDER
    assert ann.get(RECORD)["city"] == "Bonn"
    assert ann.disputed_schemas() == {}


def test_a_change_of_kind_is_refused_on_every_device(device, relay):
    """`kind_change.sh`: it made devices differ for ever. Bob never had the version in which `visits` was."""
    ann, bob = device("ann"), device("bob")
    ann.add_schema(COUNTED)
    write(ann, name="A", visits=4)
    ann.add_schema(shops(2))
    share(ann, bob, relay=relay)
    assert "visits" not in bob.schemas["shops"].fields
    for replica in (ann, bob):
        with pytest.raises(IncompatibleSchema, match="visits"):
            replica.add_schema(shops(3, visits="value integer"))
    bob.add_schema(shops(3, visits="counter integer"))
    share(ann, bob, relay=relay)
    assert ann.get(RECORD)["visits"] == bob.get(RECORD)["visits"] == 4


def test_the_same_schema_added_on_two_devices_is_one_operation(device, relay):
    ann, bob = device("ann"), device("bob")
    for replica in (ann, bob):
        replica.add_schema(COUNTED)
    assert ann.document(DEFINITION).diff() == bob.document(DEFINITION).diff()
    share(ann, bob, relay=relay)
    assert len(ann.document(DEFINITION).contents()[f"c.{FIELD}"]) == 1
    assert ann.conflicts() == ()


def test_versions_that_fit_and_were_made_apart_ask_nothing(device, relay):
    ann, bob = device("ann"), device("bob")
    ann.add_schema(COUNTED)
    bob.add_schema(WIDER)
    share(ann, bob, relay=relay)
    assert ann.schemas == bob.schemas
    assert ann.schemas["shops"] == WIDER
    assert ann.disputed_schemas() == {}


def disputing(device, relay):
    ann, bob = device("ann"), device("bob")
    ann.add_schema(COUNTED)
    bob.add_schema(VALUE)
    write(ann, name="A", visits=4)
    write(bob, name="A", visits=9)
    share(ann, bob, relay=relay)
    return ann, bob


def test_two_definitions_that_do_not_fit_are_shown_and_read_alike(device, relay):
    ann, bob = disputing(device, relay)
    for replica in (ann, bob):
        assert replica.schemas["shops"] == VALUE
        assert replica.disputed_schemas() == {"shops": [VALUE, COUNTED]}
        assert replica.get(RECORD)["visits"] == 9


@pytest.mark.parametrize(("number", "shown"), [(1, 9), (2, 4)])
def test_either_can_be_decided_for_on_any_device(device, relay, number, shown):
    ann, bob = disputing(device, relay)
    chosen = ann.resolve_schema("shops", number)
    late = device("late")  # has the definition that was decided against, and never saw the other
    late.add_schema(COUNTED if number == 1 else VALUE)
    share(ann, bob, relay=relay)
    for replica in (ann, bob):
        assert replica.schemas["shops"] == chosen
        assert replica.get(RECORD)["visits"] == shown
        assert replica.disputed_schemas() == {}
    with pytest.raises(UsageError, match="nothing is to be decided"):
        bob.resolve_schema("shops", 1)
    bob.add_schema(replace(chosen, version=9))


TAX = replace(COUNTED.fields["name"], required=True)
STRICT = {
    "required": replace(COUNTED, version=2, fields={**COUNTED.fields, "tax": TAX}),
    "key": replace(COUNTED, version=2, natural_key=("name",)),
}


@pytest.mark.parametrize("strict", STRICT.values(), ids=STRICT)
def test_a_version_that_takes_less_is_refused_or_shown_unless_it_is_meant(device, relay, strict):
    ann, bob = device("ann"), device("bob")
    ann.add_schema(COUNTED)
    share(ann, bob, relay=relay)
    with pytest.raises(IncompatibleSchema, match="refused on every device"):
        ann.add_schema(strict)
    hostile(bob, written(strict, {}, {}))
    share(ann, bob, relay=relay)
    for replica in (ann, bob):
        assert replica.disputed_schemas() == {"shops": [strict, COUNTED]}
    open_again = ann.resolve_schema("shops", 2)
    share(ann, bob, relay=relay)
    write(bob, visits=1)
    assert bob.schemas["shops"] == open_again
    bob.add_schema(replace(strict, version=9), stricter=True)
    share(ann, bob, relay=relay)
    for replica in (ann, bob):
        assert replica.schemas["shops"].version == 9
        assert replica.disputed_schemas() == {}


def test_three_devices_converge_in_whatever_order_they_meet(make_replica, time):
    used = set()
    for order in permutations(range(3)):
        relay = MemoryRelay(time)
        devices = [make_replica(f"d{number}") for number in range(3)]
        for replica, schema in zip(devices, (COUNTED, VALUE, shops(2, visits="set integer")), strict=True):
            replica.add_schema(schema)
        for number in (*order, *order, *order):
            exchange(devices[number], relay)
        assert len({replica.receipt().root for replica in devices}) == 1
        used |= {replica.schemas["shops"].to_toml() for replica in devices}
        assert {len(replica.disputed_schemas()["shops"]) for replica in devices} == {3}
    assert len(used) == 1


def test_a_bundled_schema_need_not_travel(device, relay):
    ann, bob = device("ann"), device("bob")
    assert ann.store.records("", 9) == []
    write_customer(ann)
    share(ann, bob, relay=relay)
    assert bob.store.records("", 9, "crdt-sync-schemas/") == []


def write_customer(replica):
    with replica.edit("customers") as customer:
        customer["name"] = "Ann"


def test_a_device_without_a_bundled_schema_takes_it_with_the_records(make_replica, relay):
    ann, bob = make_replica("ann"), make_replica("bob", COUNTED)
    write_customer(ann)
    share(ann, bob, relay=relay)
    assert bob.schemas["customers"] == bundled_schema("customers")


def test_another_schema_by_the_name_of_a_bundled_one_is_disputed(make_replica, relay):
    own = parse_schema('collection = "customers"\nversion = 1\n[fields.name]\nkind = "text"\n', "own")
    ann, bob = make_replica("ann"), make_replica("bob", COUNTED)
    bob.add_schema(own)
    share(ann, bob, relay=relay)
    assert ann.schemas["customers"] == bob.schemas["customers"]
    assert len(ann.disputed_schemas()["customers"]) == len(bob.disputed_schemas()["customers"]) == 2


IN_SECTIONS = parse_schema(
    'collection = "customers"\nversion = 1\n[fields.name]\n[fields.phone]\nkind = "review"\nsection = "details"\n',
    "own",
)
KEEPER = """
[[role.lead.grant]]
collection = "customers"
read = ["*", "a"]
write = ["*", "a"]
operations = ["create", "edit"]

[user.chen]
role = "lead"
""" + keeps_schemas("lead")


def lead(make_replica):
    """A device with the schema that came with the release, by now of somebody who keeps the schemas of a space."""
    replica = make_replica("chen", bundled_schema("customers"))
    ruled = InForce(1, parse_policy(KEEPER, "a test"))
    replica.go_by(lambda: ruled, "chen")
    return replica


def test_where_a_policy_is_in_force_a_bundled_schema_that_nothing_is_read_by_gives_way(make_replica):
    replica = lead(make_replica)
    replica.add_schema(IN_SECTIONS)
    assert replica.schemas["customers"] == IN_SECTIONS
    (only,) = replica.shared_schemas.definitions("customers")
    assert only.schema == IN_SECTIONS
    assert "company" not in only.forms


def test_a_bundled_schema_by_which_records_are_read_stays_as_it_is(make_replica):
    replica = lead(make_replica)
    write_customer(replica)
    with pytest.raises(IncompatibleSchema):
        replica.add_schema(IN_SECTIONS)
    without = make_replica("ann", bundled_schema("customers"))
    with pytest.raises(IncompatibleSchema):
        without.add_schema(IN_SECTIONS)


def test_an_old_store_shares_its_schemas_when_it_is_opened(make_replica, relay):
    """It overwrites nothing: another device has a newer version already."""
    old, new = make_replica("old", COUNTED), make_replica("new")
    new.add_schema(WIDER)
    old = opened_again(old)
    assert read(values_of(old.document(DEFINITION))[FIELD]).schema == COUNTED
    share(old, new, relay=relay)
    assert old.schemas["shops"] == new.schemas["shops"] == WIDER
    assert old.disputed_schemas() == {}


def test_opening_writes_nothing_twice(make_replica):
    replica = opened_again(make_replica("old", COUNTED))
    head = replica.store.head()
    assert opened_again(replica).store.head() == head


def test_what_was_cut_between_the_record_and_its_use_is_made_up_for_at_the_next_opening(device, relay, monkeypatch):
    ann, bob = device("ann"), device("bob")
    ann.add_schema(COUNTED)
    monkeypatch.setattr(bob.shared_schemas, "received", lambda _records: None)
    share(ann, bob, relay=relay)
    assert "shops" not in bob.schemas
    assert opened_again(bob).schemas["shops"] == COUNTED


HOSTILE = [
    "",
    "{",
    "[" * 10_000,
    "null",
    "x" * (SCHEMA_BYTES_MAX + 1),
    '{"collection":"shops","version":1e400,"fields":[["a",{}]]}',
    '{"collection":"shops","version":9,"fields":[["a",{"kind":"unknown"}]]}',
    '{"collection":"shops","version":9,"fields":[["a",{}],["a",{"kind":"set"}]]}',
    '{"collection":"shops","version":9,"fields":[["_a",{}]]}',
    '{"collection":"shops","version":9,"fields":[]}',
    '{"collection":"others","version":9,"fields":[["a",{}]]}',
    '{"collection":"shops","version":9,"fields":[["a",{}]],"more":1}',
    '{"collection":"shops","version":9,"fields":[["a",{}]],"settled":[' + ",".join(['"a"'] * 65) + "]}",
    '{"collection":"crdt-sync-schemas","version":9,"fields":[["a",{}]]}',
]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_what_is_no_definition_of_the_collection_changes_nothing(device, text):
    ann = device("ann")
    ann.add_schema(COUNTED)
    hostile(ann, text)
    hostile(ann, text, schema_record("others"))
    assert ann.schemas["shops"] == COUNTED
    assert ann.disputed_schemas() == {}
    ann.add_schema(WIDER)  # leaves what it cannot read: a newer release may
    assert ann.schemas["shops"] == WIDER
    if read(text) is None:
        assert text in [entry[0] for entry in ann.document(DEFINITION).contents()[f"c.{FIELD}"]]


@given(st.text(max_size=40) | st.recursive(st.none() | st.integers() | st.text(max_size=5), st.lists).map(str))
@settings(max_examples=50)
def test_reading_any_text_raises_nothing(text):
    read(text)


def test_a_version_that_changes_a_kind_over_ours_is_shown_beside_it(device):
    """No device writes that; whoever does cannot do it unseen."""
    ann = device("ann")
    ann.add_schema(COUNTED)
    document = ann.document(DEFINITION)
    hostile(ann, '{"collection":"shops","version":1000000,"fields":[["visits",{"type":"integer"}]]}')
    assert ann.schemas["shops"].version == 1_000_000
    assert [each.version for each in ann.disputed_schemas()["shops"]] == [1_000_000, 1]
    assert ann.resolve_schema("shops", 2).fields == COUNTED.fields
    assert ann.disputed_schemas() == {}
    assert document.digest() != ann.document(DEFINITION).digest()


def test_no_more_collections_are_taken_than_the_limit(device):
    ann = device("ann")
    for number in range(SCHEMAS_TAKEN_MAX + 5):
        text = f'{{"collection":"c{number}","version":1,"fields":[["a",{{}}]]}}'
        hostile(ann, text, schema_record(f"c{number}"))
    assert len(ann.schemas) == SCHEMAS_TAKEN_MAX


def test_definitions_are_no_records_of_people(device):
    ann = device("ann")
    ann.add_schema(COUNTED)
    write(ann, name="A")
    assert ann.count() == 1
    assert [view.record for view in ann.list()] == [RECORD]
    assert ann.schemaless() == ()
    for target in (DEFINITION, "crdt-sync-schemas"):
        with pytest.raises(UsageError, match="defines a collection"), ann.edit(target, create=True):
            pass
    with pytest.raises(UsageError, match="reserved"):
        ann.add_schema(parse_schema('collection = "crdt-sync-schemas"\nversion = 1\n[fields.a]\n', "x"))


def test_the_order_of_fields_and_all_settings_travel(device, relay):
    rich = replace(bundled_schema("customers"), collection="shops")
    ann, bob = device("ann"), device("bob")
    ann.add_schema(rich)
    share(ann, bob, relay=relay)
    assert bob.schemas["shops"].to_toml() == rich.to_toml()


def test_a_store_whose_disk_refuses_is_read_all_the_same(make_replica, monkeypatch):
    old = make_replica("old", COUNTED)

    def full(_batches):
        raise StoreFull("no room", "")

    monkeypatch.setattr(MemoryStore, "commit", lambda _self, batches: full(batches))
    assert opened_again(old).schemas["shops"] == COUNTED


def test_a_definition_that_the_disk_refuses_to_use_is_named_and_used_later(make_replica, monkeypatch):
    ann, bob = make_replica("ann"), make_replica("bob")
    ann.add_schema(COUNTED)
    copy = ann.document(DEFINITION)
    keep = bob.shared_schemas._keep

    def full(*_arguments):
        raise StoreFull("no room", "")

    monkeypatch.setattr(bob.shared_schemas, "_keep", full)
    bob.integrate([UpdatesEntry(DEFINITION, copy.diff(), copy.state_vector())], ann.id, (), None)
    assert ("shops" in bob.schemas, bob.shared_schemas.behind) == (False, ("shops",))
    monkeypatch.setattr(bob.shared_schemas, "_keep", keep)
    write_customer(ann)
    other = ann.document(next(iter(ann.list("customers"))).record)
    bob.integrate([UpdatesEntry("customers/x", other.diff(), other.state_vector())], ann.id, (), None)
    assert (bob.schemas["shops"], bob.shared_schemas.behind) == (COUNTED, ())


def test_a_damaged_definition_stops_no_reading(device, monkeypatch):
    ann = device("ann")
    ann.add_schema(COUNTED)
    load = ann.store.load

    def damaged(record):
        if record == DEFINITION:
            raise StoreCorrupt("it fails its checksum", "")
        return load(record)

    monkeypatch.setattr(ann.store, "load", damaged)
    assert ann.disputed_schemas() == {}
    assert opened_again(ann).schemas["shops"] == COUNTED
