"""The same table on two devices that know nothing of each other is one import."""

import itertools

import pytest

from crdt_sync.records import conflicts_of
from tests.importing.conftest import FIELDS, meet
from tests.importing.test_importing_again import ROW


@pytest.fixture
def pair(devices):
    return devices("anna", "bert")


def same(*devices):
    first, *others = devices
    documents = [device.replica.document(device.record) for device in devices]
    assert len({document.digest() for document in documents}) == 1
    assert len({document.content_digest() for document in documents}) == 1
    assert all(device.values() == first.values() for device in others)


def test_the_same_file_offline_is_one_import(pair):
    anna, bert = pair
    anna.take(FIELDS, ROW)
    alone = anna.values()
    bert.take(FIELDS, ROW)
    meet(anna, bert)
    same(anna, bert)
    assert anna.values() == alone
    assert conflicts_of(anna.replica.document(anna.record), anna.schema, all_kinds=True) == []
    head = bert.log_length()
    bert.restart()
    assert bert.take(FIELDS, ROW).unchanged == 1
    assert bert.log_length() == head


def test_columns_may_be_moved(pair):
    anna, bert = pair
    anna.take(FIELDS, ROW)
    bert.take(FIELDS[::-1], (ROW[0], *ROW[:0:-1]))
    alone = anna.values()
    meet(anna, bert)
    assert anna.values() == alone


def test_an_edit_after_the_import_is_not_undone_by_the_same_import_elsewhere(pair):
    anna, bert = pair
    anna.take(FIELDS, ROW)
    with anna.replica.edit(anna.record) as person:
        person["phone"] = "222"
        person["city"] = None
        person.increment("visits", 3)
        person.text("notes").replace("met in May and June")
        person.remove("tags", "new")
        person.append("timeline", "visited")
    after = anna.values()
    bert.take(FIELDS, ROW)
    meet(anna, bert)
    same(anna, bert)
    assert bert.values() == after
    assert bert.conflict("phone") == []


def test_the_same_news_offline_is_written_once(pair):
    anna, bert = pair
    anna.take(FIELDS, ROW)
    meet(anna, bert)
    news = ("1", "Anna", "Ulm", "2", "won", "vip; old", "5", "met in early May", '["called", "mailed"]')
    anna.take(FIELDS, news)
    bert.take(FIELDS, news)
    alone = anna.values()
    meet(anna, bert)
    same(anna, bert)
    assert anna.values() == alone


def test_two_versions_of_a_file_end_as_the_newer_with_a_conflict_where_they_differ(pair):
    anna, bert = pair
    anna.take(FIELDS, ROW)
    newer = ("1", "Anna", "Kiel", "2", "lead", "vip; old", "6", "met in May", '["called", "mailed"]')
    bert.take(FIELDS, newer)
    meet(anna, bert)
    same(anna, bert)
    raw = anna.replica.get(anna.record).raw
    assert (raw["phone"], raw["visits"], raw["notes"], raw["city"]) == ("2", 6, "met in May", "Kiel")
    assert [entry["value"] for entry in raw["timeline"]] == ["called", "mailed"]
    assert anna.conflict("phone") == ["2", "1"]
    assert anna.conflict("city") == []


def test_the_newer_import_counts_whoever_made_it(devices):
    for order in itertools.permutations(("1", "2", "9")):
        trio = devices("anna", "bert", "cleo")
        for device, visits in zip(trio, order, strict=True):
            device.take(["phone", "visits"], ("1", visits, visits))
        meet(*trio)
        same(*trio)
        assert trio[0].shows("visits") == int(order[-1])
        assert trio[0].conflict("phone")[0] == order[-1]


def test_a_third_import_after_they_met_ends_the_conflict(pair):
    anna, bert = pair
    anna.take(["phone", "visits"], ("1", "1", "5"))
    bert.take(["phone", "visits"], ("1", "2", "6"))
    meet(anna, bert)
    anna.take(["phone", "visits"], ("1", "3", "7"))
    meet(anna, bert)
    same(anna, bert)
    assert (bert.shows("phone"), bert.shows("visits"), bert.conflict("phone")) == ("3", 7, [])


def test_a_colleague_elsewhere_keeps_a_newer_phone_when_last_weeks_file_is_imported_again(pair):
    anna, bert = pair
    anna.take(["name", "phone"], ("R3-7", "Anna", "1"))
    meet(anna, bert)
    with bert.replica.edit(bert.record) as person:
        person["phone"] = "222"
    meet(anna, bert)
    anna.restart()
    anna.take(["name", "phone"], ("R3-7", "Anna", "1"))
    meet(anna, bert)
    assert (anna.shows("phone"), bert.shows("phone"), bert.conflict("phone")) == ("222", "222", [])


def test_what_another_device_was_told_is_known_here(pair):
    anna, bert = pair
    anna.take(["city"], ("1", "Kiel"))
    meet(anna, bert)
    with anna.replica.edit(anna.record) as person:
        person["city"] = "Bonn"
    meet(anna, bert)
    assert bert.take(["city"], ("1", "Kiel")).unchanged == 1
    assert bert.shows("city") == "Bonn"


def test_a_stage_that_a_person_moved_is_kept_where_the_higher_one_of_an_import_is_shown(pair):
    anna, bert = pair
    anna.take(["stage"], ("1", "lead"))
    meet(anna, bert)
    with bert.replica.edit(bert.record) as person:
        person["stage"] = "qualified"
    anna.take(["stage"], ("1", "won"))
    meet(anna, bert)
    assert anna.shows("stage") == "won"
    anna.take(["stage"], ("1", "lead"))
    assert anna.conflict("stage") == ["qualified", "lead"]
    meet(anna, bert)
    assert bert.conflict("stage") == ["qualified", "lead"]
