"""The same customer, entered by hand on two devices that know nothing of each other, is entered once."""

import pytest

from crdt_bench.people import GUESTS
from crdt_sync.exchange import import_table
from crdt_sync.records import parse_schema
from tests.importing.conftest import Lines, meet

BY_PHONE = parse_schema(
    'collection = "guests"\nversion = 1\nnatural_key = ["phone"]\n[fields.phone]\n[fields.name]\n[fields.visits]\n'
    'kind = "counter"\n',
    "test",
)


@pytest.fixture
def pair(devices):
    return devices("anna", "bert", schema=GUESTS)


def take(device, phone, name="Ann"):
    return import_table(device.replica, Lines(("Phone", "Name"), [(phone, name)]), "guests")


def enter(device, **changed):
    with device.replica.edit("guests") as guest:
        guest["email"] = "a@x.example"
        guest["phone"] = changed.get("phone", "1")
        guest.increment("visits", changed.get("visits", 5))
        guest.add("tags", "vip")
        guest.text("notes").replace(changed.get("notes", "Likes tea"))
        for entry in changed.get("timeline", ["called", "called"]):
            guest.append("timeline", entry)


def test_what_accumulates_is_not_doubled(pair):
    anna, bert = pair
    enter(anna)
    alone = anna.values()
    enter(bert)
    meet(anna, bert)
    assert anna.values() == bert.values() == alone
    assert {entry["by"] for entry in anna.shows("timeline")} == {"anna"}


def test_what_one_removes_and_adds_counts_for_both(pair):
    anna, bert = pair
    enter(anna)
    with anna.replica.edit(anna.record) as guest:
        guest.remove("tags", "vip")
        guest.increment("visits", 1)
        guest.text("notes").replace("Likes green tea")
        guest.append("timeline", "called")
    enter(bert)
    meet(anna, bert)
    assert (bert.shows("visits"), bert.shows("tags"), bert.shows("notes")) == (6, None, "Likes green tea")
    assert [entry["value"] for entry in bert.shows("timeline")] == ["called"] * 3


def test_what_differs_is_kept_from_both(pair):
    anna, bert = pair
    enter(anna, timeline=["called"])
    enter(bert, phone="2", timeline=["called", "visited"])
    meet(anna, bert)
    assert anna.values() == bert.values()
    assert anna.conflict("phone") == ["2", "1"]
    assert [entry["value"] for entry in anna.shows("timeline")] == ["called", "visited"]
    assert (anna.shows("visits"), anna.shows("notes")) == (5, "Likes tea")


@pytest.mark.parametrize("dry_run", [False, True])
def test_a_row_with_a_key_that_its_owner_has_left_goes_to_nobody_else(devices, dry_run):
    (anna,) = devices("anna", schema=GUESTS)
    enter(anna)
    with anna.replica.edit(anna.record) as guest:
        guest["email"] = "home@x.example"
    before = anna.values()
    table = Lines(("Email", "Name"), [("a@x.example", "Berta"), ("c@x.example", "Carl")])
    report = import_table(anna.replica, table, "guests", dry_run=dry_run)
    assert (report.created, [problem.code for problem in report.failed]) == (1, ["key_taken"])
    assert {record: anna.values()[record] for record in before} == before
    assert len(anna.values()) == (1 if dry_run else 2)


@pytest.mark.parametrize("typed", ["+49 30 1234567", "+49 (0)30 1234567", "0049-30-1234567"])
def test_a_row_goes_to_the_record_that_was_entered_by_hand(devices, typed):
    (anna,) = devices("anna", schema=BY_PHONE)
    with anna.replica.edit("guests") as guest:
        guest.update({"phone": "+49 30 1234567", "name": "Ann"})
    report = take(anna, typed)
    assert (report.created, report.failed, list(anna.values())) == (0, (), [guest.record])


def test_one_imports_and_the_other_enters_by_hand_what_is_one_customer(devices):
    anna, bert, carl = devices("anna", "bert", "carl", schema=BY_PHONE)
    with anna.replica.edit("guests") as guest:
        guest.update({"phone": "+49 30 1234567", "name": "Ann"})
    take(bert, "+49 30 1234567")
    take(carl, "+49 (0)30 1234567")
    meet(anna, bert, carl)
    assert list(anna.values()) == list(bert.values()) == list(carl.values()) == [guest.record]


def test_a_row_follows_a_customer_to_a_new_key(devices):
    (anna,) = devices("anna", schema=BY_PHONE)
    take(anna, "+49 30 1234567")
    (record,) = anna.values()
    with anna.replica.edit(record) as guest:
        guest["phone"] = "+49 30 7654321"
    report = take(anna, "+49 30 7654321", "Ann B.")
    assert (report.failed, list(anna.values()), anna.replica.get(record)["name"]) == ((), [record], "Ann B.")


def test_a_key_that_several_show_is_nobodys(devices):
    anna, bert = devices("anna", "bert", schema=BY_PHONE)
    take(anna, "1234567 a")
    take(bert, "1234567 b")
    for device in (anna, bert):
        (record,) = device.values()
        with device.replica.edit(record) as guest:
            guest["phone"] = "0301234567"
    meet(anna, bert)
    report = take(anna, "0301234567")
    assert [problem.code for problem in report.failed] == ["key_ambiguous"]


def test_a_row_of_another_source_is_not_whoever_left_the_key_that_a_source_brought(devices):
    (anna,) = devices("anna", schema=BY_PHONE)
    import_table(anna.replica, Lines(("Phone", "Name"), [("111", "Ann")], "crm"), "guests")
    (record,) = anna.values()
    with anna.replica.edit(record) as guest:
        guest["phone"] = "222"
    report = import_table(anna.replica, Lines(("Phone", "Name"), [("111", "Bert")], "shop"), "guests")
    assert [problem.code for problem in report.failed] == ["key_taken"]
    assert (list(anna.values()), anna.replica.get(record)["name"]) == ([record], "Ann")
    again = import_table(anna.replica, Lines(("Phone", "Name"), [("111", "Anne")], "crm"), "guests")
    assert (again.failed, anna.replica.get(record)["name"], anna.replica.get(record)["phone"]) == ((), "Anne", "222")


def test_rows_that_are_known_by_a_natural_key_are_known_by_it_next_time(devices):
    (anna,) = devices("anna", schema=BY_PHONE)
    assert take(anna, "1").key_lasts
    assert take(anna, "2", "Ben").key_lasts
