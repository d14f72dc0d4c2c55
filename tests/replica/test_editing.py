"""Making, opening and editing: durable when the block ends, nothing when it raises."""

from dataclasses import replace

import pytest

from crdt_sync import Replica, bundled_schema
from crdt_sync.errors import (
    EditEnded,
    InvalidRecordId,
    InvalidTransition,
    InvalidValue,
    RecordDeleted,
    RecordTooLarge,
    StoreClosed,
    StoreExists,
    StoreInUse,
    StoreMissing,
    UnknownCollection,
    UnknownField,
    UnknownRecord,
    UsageError,
)
from crdt_sync.records import parse_schema
from crdt_sync.replica import Event

US = "customers/us"


def named(replica, name="Müller GmbH", **values):
    with replica.edit("customers") as customer:
        customer["name"] = name
        customer.update(values)
    return customer.record


# --- on disk -------------------------------------------------------------------------------------------------


def test_a_replica_is_found_again_as_it_was_left(tmp_path):
    with Replica.create(tmp_path / "anna", "anna-phone", [bundled_schema("customers")]) as replica:
        record, identity = named(replica), replica.id
    with Replica.open(tmp_path / "anna") as replica:
        assert (replica.name, replica.id, replica.count()) == ("anna-phone", identity, 1)
        assert replica.schemas == {"customers": bundled_schema("customers")}
        assert dict(replica.get(record)) == {"name": "Müller GmbH"}


def test_a_second_replica_in_the_same_place_is_refused(tmp_path):
    Replica.create(tmp_path / "anna", "anna").close()
    with pytest.raises(StoreExists):
        Replica.create(tmp_path / "anna", "bob")
    with Replica.open(tmp_path / "anna") as replica:
        assert replica.name == "anna"


def test_a_replica_that_is_not_there_is_not_made_by_opening_it(tmp_path):
    with pytest.raises(StoreMissing):
        Replica.open(tmp_path / "anna")
    assert not (tmp_path / "anna").exists()


def test_a_replica_is_open_once(tmp_path):
    with Replica.create(tmp_path / "anna", "anna"), pytest.raises(StoreInUse):
        Replica.open(tmp_path / "anna")


@pytest.mark.parametrize("name", ["", "  ", "a" * 65, "line\nbreak"])
def test_a_name_that_cannot_sign_edits_is_refused(tmp_path, name):
    with pytest.raises(UsageError):
        Replica.create(tmp_path / "anna", name)
    assert not (tmp_path / "anna").exists()


def test_a_closed_replica_refuses_and_may_be_closed_again(replica):
    record = named(replica)
    replica.close()
    replica.close()
    with pytest.raises(StoreClosed):
        replica.get(record)
    with pytest.raises(StoreClosed):
        named(replica)


def test_a_program_opens_its_replica_or_makes_it(tmp_path, keyed_schema):
    for _ in range(2):
        with Replica.open_or_create(tmp_path / "anna", "anna", [bundled_schema("customers")]) as replica:
            named(replica)
    newer = replace(bundled_schema("customers"), version=99)
    with Replica.open_or_create(tmp_path / "anna", "bob", [newer, keyed_schema]) as replica:
        assert (replica.name, replica.count()) == ("anna", 2)
        assert replica.schemas == {"customers": newer, "guests": keyed_schema}
    with Replica.open_or_create(tmp_path / "anna", "anna", [bundled_schema("customers")]) as replica:
        assert replica.schemas["customers"].version == 99


def test_the_directory_may_be_named_from_the_users_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    Replica.create("~/anna", "anna").close()
    assert (tmp_path / "anna").is_dir()
    with Replica.open("~/anna") as one:
        assert one.name == "anna"
    with Replica.open_or_create("~/anna", "bob") as one:
        assert one.name == "anna"
    with Replica.open_to_repair("~/anna") as one:
        assert one.name == "anna"


# --- one record ----------------------------------------------------------------------------------------------


def test_a_new_record_gets_an_id_of_its_collection(replica):
    one, other = named(replica), named(replica)
    assert one.startswith("customers/")
    assert one != other
    assert replica.count() == 2


def test_an_edit_changes_the_fields_it_names_and_no_other(replica):
    record = named(replica, city="Berlin")
    with replica.edit(record) as customer:
        assert customer["city"] == "Berlin"
        customer["phone"] = "030 1"
    assert dict(replica.get(record)) == {"name": "Müller GmbH", "phone": "030 1", "city": "Berlin"}


def test_an_unknown_record_is_edited_only_where_that_is_asked_for(replica):
    with pytest.raises(UnknownRecord), replica.edit(US):
        pass
    with replica.edit(US, create=True) as customer:
        customer["name"] = "Us"
    with replica.edit(US, create=True) as customer:
        assert customer["name"] == "Us"
    assert replica.count() == 1


@pytest.mark.parametrize("target", ["suppliers", "suppliers/us"])
def test_a_collection_without_a_schema_cannot_be_edited(replica, target):
    with pytest.raises(UnknownCollection) as raised, replica.edit(target, create=True):
        pass
    assert "customers" in raised.value.hint


@pytest.mark.parametrize("target", ["customers/", "customers/a b", "Customers/a", "/a", "customers/" + "a" * 80])
def test_what_is_no_record_id_is_refused(replica, target):
    with pytest.raises(InvalidRecordId), replica.edit(target, create=True):
        pass


def test_a_new_record_without_a_required_field_is_refused_whole(replica):
    with pytest.raises(InvalidValue) as raised, replica.edit("customers") as customer:
        customer["city"] = "Berlin"
    assert raised.value.field == "name"
    assert replica.count() == 0


def test_a_record_in_which_nothing_is_written_is_not_made(replica):
    with replica.edit(US, create=True):
        pass
    assert replica.count() == 0
    assert replica.store.head() == 0


def test_an_edit_that_changes_nothing_writes_nothing(replica):
    record = named(replica)
    head = replica.store.head()
    with replica.edit(record) as customer:
        customer["name"] = "Müller GmbH"
    assert replica.store.head() == head


@pytest.mark.parametrize(
    ("field", "value", "error"),
    [("cty", "Berlin", UnknownField), ("employees", "many", InvalidValue), ("stage", "sold", InvalidValue)],
)
def test_a_block_that_raises_leaves_the_record_as_it_was(replica, field, value, error):
    record = named(replica)
    with pytest.raises(error), replica.edit(record) as customer:  # noqa: PT012 - the block is what is tested
        customer["name"] = "Other"
        customer[field] = value
    assert replica.get(record)["name"] == "Müller GmbH"
    with replica.edit(record) as customer:
        customer["name"] = "Third"
    assert replica.get(record)["name"] == "Third"


def test_a_stage_moves_only_where_the_schema_lets_it(replica):
    record = named(replica, stage="lead")
    with pytest.raises(InvalidTransition), replica.edit(record) as customer:
        customer["stage"] = "won"
    assert replica.get(record)["stage"] == "lead"


def test_one_record_is_edited_by_one_block_at_a_time(replica):
    record = named(replica)
    with replica.edit(record) as customer:
        customer["city"] = "Berlin"
        with pytest.raises(UsageError), replica.edit(record):
            pass
        with pytest.raises(UsageError):
            replica.delete(record)
        other = named(replica, "Other")
    assert replica.get(record)["city"] == "Berlin"
    assert replica.get(other)["name"] == "Other"
    with replica.edit(record) as customer:
        customer["city"] = "Bonn"
    assert replica.get(record)["city"] == "Bonn"


# --- what can no longer be written ---------------------------------------------------------------------------


def test_writing_after_the_block_is_refused(replica):
    with replica.edit("customers") as customer:
        customer["name"] = "A"
        notes = customer.text("notes")
        notes.insert(0, "kept")
    for late in (
        lambda: customer.__setitem__("phone", "lost"),
        lambda: customer.add("tags", "x"),
        lambda: customer.remove("tags", "x"),
        lambda: customer.increment("visits"),
        lambda: customer.append("timeline", "x"),
        lambda: customer.clear("city"),
        lambda: customer.resolve("phone", "x"),
        lambda: customer.resolve("_deleted", True),
        lambda: notes.insert(0, "x"),
        lambda: notes.delete(0, 1),
        lambda: notes.replace("x"),
        customer.delete,
        customer.restore,
    ):
        with pytest.raises(EditEnded):
            late()
    assert dict(replica.get(customer.record)) == {"name": "A", "notes": "kept"}
    with pytest.raises(RuntimeError), replica.edit(customer.record) as broken:
        raise RuntimeError
    with pytest.raises(EditEnded):
        broken["phone"] = "lost"


def test_a_text_that_was_taken_before_a_delete_does_not_bring_the_record_back(replica):
    record = named(replica)
    with replica.edit(record) as customer:
        notes = customer.text("notes")
        customer.delete()
        with pytest.raises(RecordDeleted):
            notes.insert(0, "x")
    assert replica.get(record).deleted


REQUIRED = """
collection = "people"
version = 1
[fields.name]
required = true
[fields.phone]
kind = "review"
required = true
[fields.letter]
kind = "text"
required = true
"""


@pytest.fixture
def people(make_replica):
    replica = make_replica("anna", parse_schema(REQUIRED, "test"))
    with replica.edit("people/a", create=True) as person:
        person.update({"name": "A", "phone": "1", "letter": "Dear A"})
    return replica


@pytest.mark.parametrize("field", ["name", "phone", "letter"])
@pytest.mark.parametrize("blank", [None, "", " \n\t", "\u3000"])
def test_a_required_field_cannot_be_emptied(people, field, blank):
    before = dict(people.get("people/a"))

    def by_hand(person):
        letter = person.text("letter")
        letter.delete(0, len(letter))
        letter.insert(0, blank or "")

    ways = [
        lambda person: person.__setitem__(field, blank),
        lambda person: person.update({field: blank}),
        lambda person: person.clear(field),
        lambda person: person.__delitem__(field),
        by_hand,
        lambda person: person.text("letter").replace(blank or ""),
    ]
    for way in ways:
        with pytest.raises(InvalidValue) as raised, people.edit("people/a") as person:
            way(person)
        assert raised.value.field in (field, "letter")
        assert dict(people.get("people/a")) == before
    with pytest.raises(InvalidValue):
        people.resolve("people/a", field, blank)
    with pytest.raises(InvalidValue), people.edit("people") as person:
        person.update({"name": "B", "phone": "2", "letter": "Dear B", field: blank})
    assert people.count() == 1


def test_a_required_text_may_be_written_anew_in_steps(people):
    with people.edit("people/a") as person:
        letter = person.text("letter")
        letter.delete(0, len(letter))
        letter.insert(0, "Dear B")
    assert people.get("people/a")["letter"] == "Dear B"


def test_a_field_that_became_required_later_hinders_no_other_edit(make_replica):
    replica = make_replica("anna", parse_schema(REQUIRED.replace("required = true", ""), "test"))
    with replica.edit("people/a", create=True) as person:
        person["name"] = "A"
    replica.add_schema(parse_schema(REQUIRED.replace("version = 1", "version = 2"), "test"), stricter=True)
    with replica.edit("people/a") as person:
        person["name"] = "B"
    assert dict(replica.get("people/a")) == {"name": "B"}


# --- deleting ------------------------------------------------------------------------------------------------


def test_a_deleted_record_is_read_but_not_listed_and_not_edited(replica):
    record = named(replica)
    replica.delete(record)
    assert replica.get(record).deleted
    assert [view.record for view in replica.list("customers")] == []
    assert [view.record for view in replica.list("customers", deleted=True)] == [record]
    with pytest.raises(RecordDeleted), replica.edit(record) as customer:
        customer["city"] = "Berlin"
    assert replica.count() == 1


def test_restoring_brings_back_what_was_there(replica):
    record = named(replica, city="Berlin")
    replica.delete(record)
    replica.restore(record)
    assert not replica.get(record).deleted
    assert replica.get(record)["city"] == "Berlin"
    assert replica.conflicts() == ()


def test_deleting_twice_and_restoring_what_lives_write_nothing(replica):
    record = named(replica)
    replica.restore(record)
    head = replica.store.head()
    replica.delete(record)
    replica.delete(record)
    assert replica.store.head() == head + 1


def test_an_unknown_record_cannot_be_deleted(replica):
    with pytest.raises(UnknownRecord):
        replica.delete(US)


# --- size ----------------------------------------------------------------------------------------------------


def test_a_record_may_grow_to_half_of_what_partners_take(replica):
    record = named(replica)
    for month in range(15):
        with replica.edit(record) as customer:
            customer.append("timeline", "x" * 65_000 + str(month))
    with pytest.raises(RecordTooLarge), replica.edit(record) as customer:  # noqa: PT012
        customer.append("timeline", "x" * 65_000)
        customer.append("timeline", "y" * 65_000)
    assert len(replica.get(record)["timeline"]) == 15
    with replica.edit(record) as customer:
        customer["city"] = "Berlin"
    assert replica.get(record)["city"] == "Berlin"


def test_many_edits_are_read_through_snapshots(replica):
    record = named(replica)
    for count in range(100):
        with replica.edit(record) as customer:
            customer.increment("visits")
            customer["city"] = f"Berlin {count}"
    assert replica.get(record)["visits"] == 100
    assert dict(replica.get(record)) == {"name": "Müller GmbH", "city": "Berlin 99", "visits": 100}
    assert replica.store.record_head(record).tail <= 33


# --- batches -------------------------------------------------------------------------------------------------


def test_a_batch_becomes_durable_as_a_whole(replica):
    commits = []
    replica.subscribe(lambda events: commits.append([event.record for event in events]))
    with replica.batch():
        one, other = named(replica, "One"), named(replica, "Other")
        assert replica.count() == 0
    assert commits == [[one, other]]
    assert replica.count() == 2


def test_inside_a_batch_edits_are_read(replica):
    with replica.batch():
        record = named(replica, "One", city="Berlin")
        assert replica.get(record)["city"] == "Berlin"
        with replica.edit(record) as customer:
            assert customer["city"] == "Berlin"
            customer["city"] = "Bonn"
        assert replica.get(record)["city"] == "Bonn"
    assert replica.get(record)["city"] == "Bonn"
    assert replica.store.head() == 1


def test_a_batch_that_raises_keeps_nothing(replica):
    record = named(replica, "Before")
    with pytest.raises(RuntimeError), replica.batch():  # noqa: PT012
        named(replica, "One")
        with replica.edit(record) as customer:
            customer["name"] = "After"
        raise RuntimeError
    assert replica.count() == 1
    assert replica.get(record)["name"] == "Before"
    with replica.edit(record) as customer:
        customer["city"] = "Bonn"
    assert dict(replica.get(record)) == {"name": "Before", "city": "Bonn"}


def test_an_edit_that_raises_in_a_batch_takes_back_itself_only(replica):
    with replica.batch():
        record = named(replica, "One")
        with pytest.raises(InvalidValue), replica.edit(record) as customer:  # noqa: PT012
            customer["name"] = "Two"
            customer["employees"] = "many"
        with replica.edit(record) as customer:
            customer["city"] = "Bonn"
    assert dict(replica.get(record)) == {"name": "One", "city": "Bonn"}


def test_batches_do_not_nest(replica):
    with replica.batch():
        with pytest.raises(UsageError), replica.batch():
            pass
        record = named(replica)
    assert replica.get(record)["name"] == "Müller GmbH"


# --- events --------------------------------------------------------------------------------------------------


def test_listeners_hear_of_commits_until_they_end_it(replica):
    heard = []
    unsubscribe = replica.subscribe(heard.extend)
    record = named(replica)
    with pytest.raises(InvalidValue), replica.edit(record) as customer:
        customer["employees"] = "many"
    replica.delete(record)
    unsubscribe()
    replica.restore(record)
    assert heard == [Event("edited", record), Event("edited", record)]


def test_a_listener_may_read_what_it_hears_of(replica):
    names = []
    replica.subscribe(lambda events: names.extend(replica.get(event.record)["name"] for event in events))
    named(replica, "One")
    assert names == ["One"]
