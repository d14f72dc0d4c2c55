"""A natural key gives one customer one record, whoever enters it, wherever, and however often."""

import pytest

from crdt_sync.errors import InvalidValue, UsageError
from tests.replica.wire import exchange


@pytest.fixture
def anna(make_replica, keyed_schema):
    return make_replica("anna", keyed_schema)


@pytest.fixture
def bob(make_replica, keyed_schema):
    return make_replica("bob", keyed_schema)


def enter(replica, email, **values):
    with replica.edit("guests") as guest:
        guest["email"] = email
        guest.update(values)
    return guest.record


def test_two_devices_that_enter_one_customer_offline_end_with_one_record(anna, bob, relay):
    one = enter(anna, "Ann@Example.com ", name="Ann", phone="1", visits=1)
    other = enter(bob, "ann@example.com", name="Ann B.", phone="2", visits=2)
    assert one == other
    for replica in (anna, bob, anna):
        exchange(replica, relay)
    assert anna.count() == bob.count() == 1
    assert anna.get(one) == bob.get(one)
    assert (anna.get(one)["name"], anna.get(one)["visits"]) == ("Ann B.", 3)
    ((record, conflict),) = anna.conflicts()
    assert (record, conflict.field) == (one, "phone")
    assert {(entry.value, entry.actor) for entry in conflict.entries} == {("1", "anna"), ("2", "bob")}
    assert anna.receipt().root == bob.receipt().root


def test_entering_a_customer_again_on_the_same_device_loses_neither(anna, bob, relay):
    record = enter(anna, "ann@example.com", name="Ann", phone="1", visits=1)
    assert enter(anna, "ANN@example.com", name="Ann B.", phone="2", visits=2) == record
    view = anna.get(record)
    assert (view["name"], view["visits"], view.conflicts) == ("Ann B.", 3, ("phone",))
    assert anna.count() == 1
    exchange(anna, relay)
    exchange(bob, relay)
    assert bob.get(record) == view


def test_entering_a_customer_twice_in_one_batch_loses_neither(anna):
    with anna.batch():
        record = enter(anna, "ann@example.com", phone="1", visits=1)
        assert enter(anna, "ann@example.com", phone="2", visits=2) == record
        assert anna.get(record)["visits"] == 3
    assert anna.get(record)["visits"] == 3
    assert anna.get(record).conflicts == ("phone",)


def test_the_record_can_be_edited_on(anna):
    record = enter(anna, "ann@example.com", visits=1)
    with anna.edit(record) as guest:
        guest.increment("visits")
        guest["name"] = "Ann"
    assert dict(anna.get(record)) == {"email": "ann@example.com", "name": "Ann", "visits": 2}


def test_a_customer_without_the_key_is_refused(anna):
    with pytest.raises(InvalidValue) as raised, anna.edit("guests") as guest:
        guest["name"] = "Ann"
    assert raised.value.field == "email"
    assert anna.count() == 0


def test_a_customer_who_is_being_edited_is_not_entered_again_meanwhile(anna):
    record = enter(anna, "ann@example.com", visits=1)
    with anna.edit(record) as guest:
        guest.increment("visits")
        with pytest.raises(UsageError):
            enter(anna, "ann@example.com", visits=5)
    assert anna.get(record)["visits"] == 2


def test_entering_a_deleted_customer_brings_the_record_back_as_a_conflict(anna):
    record = enter(anna, "ann@example.com", visits=1)
    anna.delete(record)
    enter(anna, "ann@example.com", visits=2)
    assert not anna.get(record).deleted
    assert [conflict.field for _, conflict in anna.conflicts()] == ["_deleted"]
