"""A natural key gives one customer one record, whoever enters it, wherever, and however often."""

from contextlib import nullcontext
from dataclasses import replace

import pytest

from crdt_sync import ids, limits
from crdt_sync.errors import InvalidValue, KeyTaken, UnknownCollection, UsageError
from crdt_sync.records import parse_schema
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
    (record, conflict), (_, counted) = anna.conflicts()
    assert (record, conflict.field) == (one, "phone")
    assert (counted.field, {entry.value for entry in counted.entries}) == ("visits", {1, 2})
    assert {(entry.value, entry.actor) for entry in conflict.entries} == {("1", "anna"), ("2", "bob")}
    assert anna.receipt().root == bob.receipt().root


def test_entering_a_customer_again_on_the_same_device_is_an_edit(anna, bob, relay):
    record = enter(anna, "ann@example.com", name="Ann", phone="1", visits=1, tags=["a"], notes="met at the fair")
    assert enter(anna, "ANN@example.com", name="Ann B.", phone="2", visits=2, tags=["b"], notes="called") == record
    view = anna.get(record)
    assert (view["name"], view["phone"], view["visits"], view.conflicts) == ("Ann B.", "2", 3, ())
    assert (view["tags"], view["notes"]) == (["a", "b"], "met at the fair\ncalled")
    assert anna.count() == 1
    exchange(anna, relay)
    exchange(bob, relay)
    assert bob.get(record) == view


def test_whoever_enters_a_key_that_its_owner_leaves_meanwhile_is_in_conflict_with_that(anna, bob, relay):
    record = enter(anna, "ann@example.com", name="Ann", phone="1")
    exchange(anna, relay)
    exchange(bob, relay)
    with anna.edit(record) as guest:
        guest["email"] = "ann@example.org"
    assert enter(bob, "ann@example.com", name="Bob", phone="2") == record
    for replica in (anna, bob, anna):
        exchange(replica, relay)
    assert anna.get(record) == bob.get(record)
    (conflict,) = [conflict for _, conflict in anna.conflicts() if conflict.field == "email"]
    assert {entry.value for entry in conflict.entries} == {"ann@example.com", "ann@example.org"}


def test_entering_what_is_there_already_writes_nothing(anna):
    record = enter(anna, "ann@example.com", name="Ann", phone="1", notes="met at the fair")
    head = anna.store.head()
    with anna.edit("guests") as guest:
        guest.update({"email": "ann@example.com", "phone": "1", "notes": "met at the fair"})
    assert (guest.record, guest.changed, anna.store.head()) == (record, False, head)
    with anna.edit("guests") as guest:
        guest.update({"email": "ann@example.com", "phone": "2"})
    assert (guest.record, guest.changed) == (record, True)


def test_entering_a_customer_again_needs_no_more_than_the_key(make_replica, keyed_schema):
    name = replace(keyed_schema.fields["name"], required=True)
    anna = make_replica("anna", replace(keyed_schema, fields={**keyed_schema.fields, "name": name}))
    record = enter(anna, "ann@example.com", name="Ann")
    assert enter(anna, "ann@example.com", phone="1") == record
    with pytest.raises(InvalidValue):
        enter(anna, "ben@example.com", phone="1")
    with pytest.raises(InvalidValue):
        enter(anna, "ann@example.com", name=" ")
    assert dict(anna.get(record)) == {"email": "ann@example.com", "name": "Ann", "phone": "1"}


def test_entering_a_customer_twice_in_one_batch_is_an_edit(anna):
    with anna.batch():
        record = enter(anna, "ann@example.com", phone="1", visits=1)
        assert enter(anna, "ann@example.com", phone="2", visits=2) == record
        assert anna.get(record)["visits"] == 3
    assert dict(anna.get(record)) == {"email": "ann@example.com", "phone": "2", "visits": 3}
    assert anna.get(record).conflicts == ()


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


# --- keys that change ----------------------------------------------------------------------------------------


def rename(replica, record, email):
    with replica.edit(record) as guest:
        guest["email"] = email


def shown(replica):
    return sorted((view["email"], view.get("name")) for view in replica.list("guests"))


def test_whoever_enters_a_key_that_was_left_is_somebody_else(anna):
    ann = enter(anna, "ann@example.com", name="Ann", phone="1", notes="pays late")
    rename(anna, ann, "ann@home.example")
    berta = enter(anna, "ann@example.com", name="Berta", phone="2")
    assert berta != ann
    assert dict(anna.get(ann)) == {"email": "ann@home.example", "name": "Ann", "phone": "1", "notes": "pays late"}
    assert dict(anna.get(berta)) == {"email": "ann@example.com", "name": "Berta", "phone": "2"}
    assert enter(anna, "ann@example.com", visits=1) == berta
    assert anna.duplicates() == ()


def test_whoever_enters_a_key_to_which_another_record_came_is_told(anna):
    ann = enter(anna, "ann@example.com", name="Ann", phone="1")
    rename(anna, ann, "b@example.com")
    with pytest.raises(KeyTaken) as raised:
        enter(anna, "B@example.com", name="Berta", phone="2")
    assert raised.value.record == ann
    assert ann in raised.value.hint
    assert "b@example.com" in raised.value.message.lower()
    assert dict(anna.get(ann)) == {"email": "b@example.com", "name": "Ann", "phone": "1"}
    assert anna.count() == 1


@pytest.mark.parametrize("inside", [False, True])
def test_a_record_does_not_take_the_key_of_another(anna, inside):
    ann, ben = enter(anna, "ann@example.com", name="Ann"), enter(anna, "ben@example.com", name="Ben")
    with anna.batch() if inside else nullcontext():
        for way in (
            lambda: rename(anna, ben, "Ann@Example.com "),
            lambda: anna.resolve(ben, "email", "ann@example.com"),
            lambda: enter(anna, "x@example.com") and rename(anna, ben, "x@example.com"),
        ):
            with pytest.raises(UsageError):
                way()
        with pytest.raises(KeyTaken), anna.edit("guests/by-hand", create=True) as guest:
            guest["email"] = "ann@example.com"
        rename(anna, ann, "Ann@Example.com")  # its own, spelled otherwise
        rename(anna, ann, "c@example.com")
        rename(anna, ben, "ann@example.com")  # which is free now
    assert shown(anna)[:2] == [("ann@example.com", "Ben"), ("c@example.com", "Ann")]


def test_a_deleted_customer_stays_deleted_when_somebody_gets_the_key(anna, bob, relay):
    ann = enter(anna, "ann@example.com", name="Ann", phone="1", notes="pays late")
    anna.delete(ann)
    exchange(anna, relay)
    exchange(bob, relay)
    berta = enter(anna, "ann@example.com", name="Berta")
    assert anna.get(ann).deleted
    assert dict(anna.get(berta)) == {"email": "ann@example.com", "name": "Berta"}
    assert enter(bob, "ann@example.com", phone="2") == berta  # who has seen the same derives the same id
    for replica in (anna, bob, anna):
        exchange(replica, relay)
    assert anna.get(berta) == bob.get(berta)
    assert dict(bob.get(berta)) == {"email": "ann@example.com", "name": "Berta", "phone": "2"}
    assert anna.conflicts() == anna.duplicates() == ()
    anna.delete(berta)
    assert enter(anna, "ann@example.com", name="Clara") not in (ann, berta)


def test_a_deleted_customer_whose_key_was_given_away_is_not_restored_unseen(anna):
    ann = enter(anna, "ann@example.com", name="Ann")
    anna.delete(ann)
    berta = enter(anna, "ann@example.com", name="Berta")
    with pytest.raises(KeyTaken) as raised:
        anna.restore(ann)
    assert raised.value.record == berta
    with anna.edit(ann) as guest:
        guest.restore()
        guest["email"] = "ann@home.example"
    assert shown(anna) == [("ann@example.com", "Berta"), ("ann@home.example", "Ann")]


def test_keys_that_two_devices_gave_away_apart_are_listed(anna, bob, relay):
    ann = enter(anna, "ann@example.com", name="Ann")
    exchange(anna, relay)
    exchange(bob, relay)
    rename(anna, ann, "b@example.com")
    berta = enter(bob, "B@example.com", name="Berta")
    for replica in (anna, bob, anna):
        exchange(replica, relay)
    for replica in (anna, bob):
        assert replica.duplicates() == replica.duplicates("guests")
        (duplicate,) = replica.duplicates()
        assert (duplicate.collection, set(duplicate.records)) == ("guests", {ann, berta})
        assert duplicate.key["email"].lower() == "b@example.com"
    with bob.edit(berta) as guest:
        guest["phone"] = "2"  # a duplicate is edited like any other record
    rename(bob, berta, "berta@example.com")
    exchange(bob, relay)
    exchange(anna, relay)
    assert anna.duplicates() == bob.duplicates() == ()


def test_two_customers_in_one_record_are_a_conflict(anna, bob, relay):
    """Bob has never seen Ann's record when he enters the address that she has left."""
    ann = enter(anna, "ann@example.com", name="Ann")
    rename(anna, ann, "b@example.com")
    assert enter(bob, "ann@example.com", name="Berta") == ann
    for replica in (anna, bob, anna):
        exchange(replica, relay)
    for replica in (anna, bob):
        assert [(record, conflict.field) for record, conflict in replica.conflicts()] == [
            (ann, "email"),
            (ann, "name"),
        ]


def test_the_id_of_a_customer_of_an_earlier_release_is_the_same(anna):
    """Ids were made of the key without outer blanks and case; of phone numbers and the like too."""
    assert enter(anna, " Ann@Example.COM") == ids.natural_record("guests", ["ann@example.com"])
    old = ids.natural_record("guests", ["+49 30 901820"])
    with anna.edit(old, create=True) as guest:
        guest["email"] = "+49 30 901820"
    assert enter(anna, "0049 (0)30 901820", name="Ann") == old
    assert anna.get(old)["email"] == "0049 (0)30 901820"


def test_forms_of_one_key_are_one_customer_on_devices_apart(anna, bob):
    assert enter(anna, "Jose\u0301 @Example.com") == enter(bob, "ｊosé@example.com")


def test_a_key_of_several_fields_is_taken_as_a_whole(make_replica):
    schema = parse_schema(
        'collection = "rooms"\nversion = 1\nnatural_key = ["house", "number"]\n'
        '[fields.house]\n[fields.number]\ntype = "integer"\n[fields.name]\n',
        "test",
    )
    replica = make_replica("anna", schema)
    made = {}
    for house, number in (("A", 1), ("A", 2), ("B", 1)):
        with replica.edit("rooms") as room:
            room.update({"house": house, "number": number})
        made[house, number] = room.record
    assert len(set(made.values())) == 3
    with replica.edit(made["A", 1]) as room:
        room["number"] = 3
    with pytest.raises(KeyTaken), replica.edit(made["B", 1]) as room:
        room.update({"house": "a", "number": 3})
    with replica.edit(made["A", 1]) as room:
        room["number"] = None  # half a key is none
    with replica.edit(made["B", 1]) as room:
        room.update({"house": "a", "number": 3})


def test_what_became_of_a_key_can_be_asked(anna):
    ann = enter(anna, "ann@example.com", name="Ann")
    assert anna.key_standing("guests", {"email": "ANN@example.com"}).shown_by == (ann,)
    anna.delete(ann)
    standing = anna.key_standing("guests", {"email": "ANN@example.com"})
    assert (standing.shown_by, standing.own, standing.deleted) == ((), 0, (ann,))
    assert enter(anna, "ann@example.com") == standing.fresh
    with pytest.raises(InvalidValue):
        anna.key_standing("guests", {"email": " "})
    with pytest.raises(UnknownCollection):
        anna.key_standing("customers", {})


def test_keys_are_known_that_came_while_the_replica_was_open(anna, bob, relay):
    enter(bob, "ben@example.com")
    ann = enter(anna, "ann@example.com", name="Ann")
    rename(anna, ann, "b@example.com")
    exchange(anna, relay)
    exchange(bob, relay)
    with pytest.raises(KeyTaken):
        enter(bob, "b@example.com")


def test_the_lives_of_a_key_are_limited(anna, monkeypatch):
    monkeypatch.setattr(limits, "KEY_LIVES_MAX", 2)
    for _ in range(2):
        anna.delete(enter(anna, "ann@example.com"))
    with pytest.raises(UsageError, match=r"ann@example\.com"):
        enter(anna, "ann@example.com")
