"""What a relay forbids is put aside and lost to nobody; the record shows what is shared; all else goes through."""

from contextlib import suppress

import pytest

from crdt_sync.errors import StoreFull, UnknownRefusal
from crdt_sync.records import restore
from crdt_sync.records.reading import values_of
from crdt_sync.replica import refused
from crdt_sync.replica.loading import stored_document
from crdt_sync.replica.pushed import PushedUpdates
from crdt_sync.storage import Batch, Change
from tests.replica.people import POLICY, SCHEMA, WIDE, RuledRelay, device, policy
from tests.replica.wire import exchange


@pytest.fixture
def relay(time):
    made = RuledRelay(time)
    made.in_force = policy()
    return made


@pytest.fixture
def anna(make_replica, relay):
    return device(make_replica, relay, "anna")


@pytest.fixture
def chen(make_replica, relay):
    return device(make_replica, relay, "chen")


@pytest.fixture
def record(chen, anna, relay):
    """A customer that all have."""
    with chen.edit("people") as person:
        person.update({"name": "A", "region": "North", "iban": "DE1", "notes": "one", "visits": 2, "tags": ["x"]})
    settle(relay, chen, anna)
    return person.record


def settle(relay, *replicas):
    for _ in range(2):
        for replica in replicas:
            assert exchange(replica, relay).settled


def shown(replica, record):
    return dict(replica.get(record))


def aside(replica):
    return [(edit.field, edit.value, edit.author) for edit in refused.refused_edits(replica.store)]


def held(relay, record):
    return values_of(stored_document(relay.store, record), SCHEMA)


def test_what_is_forbidden_is_put_aside_and_the_rest_of_the_record_goes_through(relay, anna, chen, record):
    with anna.edit(record) as person:
        person.update({"iban": "DE2", "phone": "1", "notes": "one two", "visits": 5})
        person.add("tags", "y")
        person.append("calls", "rang")
    settle(relay, anna, chen)
    assert aside(anna) == [("iban", "DE2", "anna")]
    (edit,) = refused.refused_edits(anna.store)
    assert (edit.record, edit.reason, edit.number) == (record, "iban: 'anna' may not write this field", 1)
    for replica in (anna, chen):
        values = shown(replica, record)
        assert (values["iban"], values["phone"], values["notes"], values["visits"]) == ("DE1", "1", "one two", 5)
        assert values["tags"] == ["x", "y"]
        assert [line["value"] for line in values["calls"]] == ["rang"]
    assert anna.store.outbox_count(relay.store.replica) == (0, 0)
    assert anna.store.record_head(record).state_vector == relay.store.record_head(record).state_vector


def test_what_does_not_show_beside_what_the_relay_holds_is_put_aside_with_what_is_forbidden(relay, anna, chen, record):
    """Written again, it would be newer than what somebody else wrote after it."""
    with anna.edit(record) as person:
        person.update({"iban": "DE2", "name": "B", "phone": "1"})
    with chen.edit(record) as person:
        person["name"] = "C"
    settle(relay, chen, anna)
    assert sorted(aside(anna)) == [("iban", "DE2", "anna"), ("name", "B", "anna")]
    assert (held(relay, record)["name"], held(relay, record)["phone"]) == ("C", "1")
    assert shown(anna, record) == shown_as(relay, record)


def test_several_fields_are_put_aside_one_after_the_other(relay, anna, record):
    relay.in_force = policy(policy_without("phone", "notes"))
    with anna.edit(record) as person:
        person.update({"iban": "DE2", "phone": "1", "notes": "two", "name": "B"})
    settle(relay, anna)
    assert sorted(aside(anna)) == [("iban", "DE2", "anna"), ("notes", "two", "anna"), ("phone", "1", "anna")]
    assert held(relay, record)["name"] == "B"
    assert shown(anna, record) == shown_as(relay, record)


def policy_without(*fields):
    text = POLICY
    for field in fields:
        text = text.replace(f'"{field}", ', "").replace(f', "{field}"', "")
    return text


def shown_as(relay, record):
    return {field: restore(SCHEMA.fields[field], value) for field, value in held(relay, record).items()}


def test_a_delete_that_is_forbidden_is_put_aside_and_the_record_is_there_again(relay, anna, record):
    with anna.edit(record) as person:
        person.delete()
    settle(relay, anna)
    assert aside(anna) == [("_deleted", True, "anna")]
    assert shown(anna, record)["name"] == "A"


def test_other_records_go_through(relay, anna, record):
    with anna.edit(record) as person:
        person["iban"] = "DE2"
    with anna.edit("people") as other:
        other.update({"name": "B", "region": "North"})
    settle(relay, anna)
    assert held(relay, other.record) == {"name": "B", "region": "North"}


def test_a_new_record_that_is_forbidden_stays_here_and_is_said_to_be_refused(relay, anna):
    with anna.edit("people") as person:
        person.update({"name": "S", "region": "South"})
    settle(relay, anna)
    assert anna.store.outbox_count(relay.store.replica) == (1, 1)
    assert anna.record_status(person.record).reason == "forbidden: 'anna' may not write into this record"
    relay.in_force = policy(WIDE, 2)
    with anna.edit(person.record) as again:
        again["phone"] = "1"
    settle(relay, anna)
    assert held(relay, person.record)["name"] == "S"


def test_what_others_wrote_meanwhile_stays(relay, anna, chen, record):
    with chen.edit(record) as person:
        person.update({"phone": "9", "notes": "one, and more"})
    settle(relay, chen)
    with anna.edit(record) as person:
        person["iban"] = "DE2"
    settle(relay, anna, chen)
    assert (shown(anna, record)["phone"], shown(anna, record)["iban"]) == ("9", "DE1")
    assert aside(anna) == [("iban", "DE2", "anna")]


def test_nothing_is_written_under_a_writer_whose_operations_are_gone(relay, anna, chen, record):
    for number in range(3):
        with anna.edit(record) as person:
            person.update({"iban": f"X{number}", "phone": str(number)})
        settle(relay, anna, chen)
    assert shown(chen, record)["phone"] == "2"
    document = stored_document(anna.store, record)
    assert document.digest() == stored_document(chen.store, record).digest()
    assert [value for _, value, _ in aside(anna)] == ["X0", "X1", "X2"]


@pytest.mark.parametrize("frames", range(2, 16))
def test_wherever_the_session_ends_nothing_is_lost(relay, anna, record, frames):
    with anna.edit(record) as person:
        person.update({"iban": "DE2", "phone": "1"})
    exchange(anna, relay, frames)
    pending = shown(anna, record)["iban"] == "DE2"
    assert pending or aside(anna) == [("iban", "DE2", "anna")]
    settle(relay, anna)
    assert aside(anna) == [("iban", "DE2", "anna")]
    assert held(relay, record)["phone"] == "1"


@pytest.mark.parametrize("after", range(4))
def test_a_disk_that_refuses_loses_neither_the_edit_nor_the_record(relay, anna, record, after, monkeypatch):
    with anna.edit(record) as person:
        person.update({"iban": "DE2", "phone": "1"})
    commit, left = anna.store.commit, [after]

    def failing(batches):
        left[0] -= 1
        if left[0] < 0:
            raise StoreFull("the disk is full")
        return commit(batches)

    monkeypatch.setattr(anna.store, "commit", failing)
    with suppress(StoreFull):
        exchange(anna, relay)
    monkeypatch.setattr(anna.store, "commit", commit)
    assert shown(anna, record)["iban"] == "DE2" or aside(anna) == [("iban", "DE2", "anna")]
    settle(relay, anna)
    assert aside(anna) == [("iban", "DE2", "anna")]
    assert shown(anna, record)["iban"] == "DE1"


def test_where_there_is_no_room_nothing_is_put_aside_and_nothing_lost(relay, anna, record, monkeypatch):
    monkeypatch.setattr(refused, "REFUSED_EDITS_MAX", 0)
    with anna.edit(record) as person:
        person["iban"] = "DE2"
    settle(relay, anna)
    assert shown(anna, record)["iban"] == "DE2"
    assert anna.store.outbox_count(relay.store.replica) == (1, 1)


def test_refused_edits_are_dropped_by_their_numbers(relay, anna, record):
    for value in ("X", "Y"):
        with anna.edit(record) as person:
            person["iban"] = value
        settle(relay, anna)
    with pytest.raises(UnknownRefusal):
        refused.drop(anna, [1, 7])
    refused.drop(anna, [1])
    assert [(edit.number, edit.value) for edit in refused.refused_edits(anna.store)] == [(2, "Y")]


def grow(replica, record, lives, after=lambda: None):
    """Edit a record in so many lives."""
    for life in range(lives):
        replica.context.abandon_writer()
        with replica.edit(record) as person:
            person["phone"] = str(life)
        after()


def test_a_record_is_written_anew_once_the_relay_has_seen_all_of_it_and_nothing_is_put_aside(relay, anna, record):
    """A relay cannot tell what was overwritten in it, and somebody who may change a part might hide more."""
    anna.go_by(policy, "anna")
    grow(anna, record, 300)
    assert anna.store.record_head(record).lineage == 0
    settle(relay, anna)
    grow(anna, record, 40, lambda: settle(relay, anna))
    assert anna.store.record_head(record).lineage != 0
    assert anna.store.record_head(record).lineage == relay.store.record_head(record).lineage
    assert aside(anna) == []
    assert shown(anna, record)["phone"] == "39"


def test_what_was_written_anew_too_early_is_put_aside_and_not_lost(relay, anna, record):
    for phone in ("1", "2"):
        with anna.edit(record) as person:
            person["phone"] = phone
    assert anna.renew(record)
    settle(relay, anna)
    assert aside(anna) == [("phone", "2", "anna")]
    assert anna.store.record_head(record).lineage == 0


def test_of_a_field_that_is_forbidden_all_that_was_written_at_once_is_put_aside(relay, anna, make_replica, record):
    """Another device, which passed its own on to this one, may have taken it back already."""
    ben = device(make_replica, relay, "ben")
    settle(relay, ben)
    with anna.edit(record) as person:
        person["iban"] = "DE2"
    with ben.edit(record) as person:
        person["iban"] = "DE3"
    update, vector = stored_document(ben.store, record).diff(), ben.store.record_head(record).state_vector
    PushedUpdates(anna).commit([Batch(changes=(Change(record, (update,), ben.id, "ben", 1, vector),))])
    settle(relay, anna)
    assert sorted(aside(anna)) == [("iban", "DE2", "anna"), ("iban", "DE3", "ben")]
    assert shown(anna, record) == shown_as(relay, record)
