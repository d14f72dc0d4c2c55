"""What a policy does not allow is said at once, before anything is stored, and no more of it is stored than that."""

from dataclasses import replace

import pytest

from crdt_sync import ids
from crdt_sync.errors import EditForbidden
from crdt_sync.policy.in_force import Heard
from crdt_sync.records import bundled_schema, parse_schema
from crdt_sync.records.imported import ImportedChange
from tests.policies import keeps_schemas
from tests.replica.people import SCHEMA, WIDE, RuledRelay, device, policy
from tests.replica.wire import exchange

BUNDLED = bundled_schema("customers")


@pytest.fixture
def relay(time):
    return RuledRelay(time)


@pytest.fixture
def anna(make_replica, relay):
    replica = device(make_replica, relay, "anna", "anna's phone", policy(WIDE))
    with replica.edit("people") as person:
        person.update({"name": "A", "region": "North", "iban": "DE1"})
    replica.record = person.record
    replica.go_by(policy, "anna")
    return replica


def forbidden(raised):
    return raised.value.field, raised.value.rule


def test_what_is_not_allowed_is_refused_with_field_and_rule_and_nothing_is_stored(anna):
    head = anna.store.head()
    with pytest.raises(EditForbidden) as raised, anna.edit(anna.record) as person:
        person.update({"name": "B", "iban": "DE2"})
    assert forbidden(raised) == ("iban", "'anna' may not write this field")
    assert raised.value.record == anna.record
    assert raised.value.hint == "Ask who may, as chen, or whoever keeps the policy of this space."
    assert "DE2" not in str(raised.value)
    assert anna.store.head() == head
    assert anna.get(anna.record)["name"] == "A"


def test_what_is_allowed_is_stored_and_signed_by_the_user(anna):
    with anna.edit(anna.record) as person:
        person["name"] = "B"
    document = anna.context.store.load(anna.record)
    assert anna.get(anna.record)["name"] == "B"
    assert b"anna's phone" not in b"".join(document.updates)


def test_operations_and_new_records_are_judged_too(anna):
    with pytest.raises(EditForbidden) as raised, anna.edit(anna.record) as person:
        person.delete()
    assert forbidden(raised) == ("", "'anna' may not delete here")
    with pytest.raises(EditForbidden) as raised, anna.edit("people") as person:
        person.update({"name": "S", "region": "South"})
    assert forbidden(raised) == ("", "'anna' may not write into this record")


def test_each_edit_of_a_batch_is_judged_and_what_was_allowed_before_is_stored(anna):
    with anna.batch():
        with anna.edit(anna.record) as person:
            person["phone"] = "1"
        with pytest.raises(EditForbidden), anna.edit(anna.record) as person:
            person["iban"] = "DE2"
        with anna.edit(anna.record) as person:
            person["phone"] = "2"
    assert (anna.get(anna.record)["phone"], anna.get(anna.record)["iban"]) == ("2", "DE1")


def test_an_import_is_refused_where_none_is_granted(anna):
    change = ImportedChange("write", "name", "C")
    with pytest.raises(EditForbidden) as raised:
        anna.bring(anna.record, "crm.csv", [change], {"name": "C"})
    assert raised.value.rule == "'anna' may not import here"


def test_a_schema_is_shared_by_whom_the_policy_allows_it(anna, make_replica, relay):
    opened = SCHEMA.to_toml().replace("version = 1", "version = 2")
    with pytest.raises(EditForbidden):
        anna.add_schema(parse_schema(opened, "a test"))
    assert anna.schemas["people"].version == 1
    assert anna.store.record_head(ids.schema_record("people")) is None


DEFINES = keeps_schemas("lead")


@pytest.fixture
def counted(make_replica, relay):
    """A schema that does not fit the one that others have, and is on the relay."""
    chen = device(make_replica, relay, "chen", "", policy(WIDE + DEFINES))
    schema = parse_schema(
        SCHEMA.to_toml().replace('[fields.phone]\nkind = "value"', '[fields.phone]\nkind = "log"'), "a test"
    )
    found = replace(schema, version=2)
    chen.shared_schemas._share(found, {}, {})
    assert exchange(chen, relay).settled
    return found


def test_who_may_define_nothing_goes_by_what_was_defined_whatever_the_own_schema_is(anna, relay, counted):
    assert exchange(anna, relay).settled
    assert anna.schemas["people"] == counted
    assert anna.shared_schemas.behind == ()
    assert anna.disputed_schemas() == {}


def test_who_may_define_writes_the_own_schema_beside_it(make_replica, relay, counted):
    other = device(make_replica, relay, "chen", "another", policy(WIDE + DEFINES))
    assert exchange(other, relay).settled
    assert other.schemas["people"] == counted
    assert [each.version for each in other.disputed_schemas()["people"]] == [2, 1]


@pytest.mark.parametrize(("written", "definitions"), [(False, 0), (True, 2)])
def test_a_bundled_schema_gives_way_where_nothing_is_read_by_it(make_replica, relay, written, definitions):
    defined = parse_schema('collection = "customers"\nversion = 1\n[fields.name]\nkind = "counter"\n', "a test")
    keeper, other = (make_replica(name, schema) for name, schema in (("keeper", defined), ("other", BUNDLED)))
    keeper.shared_schemas._share(defined, {}, {})
    assert exchange(keeper, relay).settled
    if written:
        with other.edit("customers") as customer:
            customer["name"] = "A"
    other.go_by(lambda: policy(WIDE + DEFINES), "chen")
    assert exchange(other, relay).settled
    assert len(other.disputed_schemas().get("customers", ())) == definitions
    assert written or other.schemas["customers"] == defined


def test_without_a_policy_nothing_is_asked(anna):
    anna.go_by(lambda: None, "")
    with anna.edit(anna.record) as person:
        person["iban"] = "DE2"
    assert anna.get(anna.record)["iban"] == "DE2"


def test_under_a_policy_that_cannot_be_read_here_nothing_is_edited(anna):
    held = Heard()
    anna.go_by(lambda: held.of(2, "[a_later_form]\n"), "anna")
    with pytest.raises(EditForbidden, match="update it") as raised, anna.edit(anna.record) as person:
        person["name"] = "B"
    assert raised.value.field == ""
    assert anna.get(anna.record)["name"] == "A"
