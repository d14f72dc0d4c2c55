"""The same customer, entered by hand on two devices that know nothing of each other, is entered once."""

import pytest

from crdt_sync.exchange import import_table
from crdt_sync.records import parse_schema
from tests.importing.conftest import Lines, meet

GUESTS = parse_schema(
    """
    collection = "guests"
    version = 1
    natural_key = ["email"]
    [fields.email]
    [fields.name]
    [fields.phone]
    kind = "review"
    [fields.visits]
    kind = "counter"
    [fields.tags]
    kind = "set"
    [fields.notes]
    kind = "text"
    [fields.timeline]
    kind = "log"
    """,
    "test",
)


@pytest.fixture
def pair(devices):
    return devices("anna", "bert", schema=GUESTS)


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
