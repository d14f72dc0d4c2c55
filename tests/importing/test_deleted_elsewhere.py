"""A record that is deleted on one device while a table with it is imported on another."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crdt_sync.ids import natural_record
from crdt_sync.records import deleted
from crdt_sync.records.deleted import is_deleted
from crdt_sync.records.roots import MEMORY_ROOTS
from tests.importing.conftest import FIELDS, PEOPLE, Device, meet
from tests.importing.test_importing_again import ROW

NEWS = ("1", "Anna", "Ulm", *ROW[3:])


@pytest.fixture
def pair(devices):
    anna, bert = devices("anna", "bert")
    anna.take(FIELDS, ROW)
    return anna, bert


def delete(device):
    assert device.replica.delete(device.record)


def shown(*devices):
    """Whether all show the record, and the conflicts that they list."""
    for device in devices:
        device.restart()
    states = {
        (
            device.replica.get(device.record).deleted,
            is_deleted(device.replica.document(device.record)),
            tuple(conflict.field for _, conflict in device.replica.conflicts()),
        )
        for device in devices
    }
    ((deleted, alike, conflicts),) = states
    assert deleted == alike
    return not deleted, conflicts


def test_the_same_table_on_a_device_that_never_had_the_record(pair):
    anna, bert = pair
    delete(anna)
    bert.take(FIELDS, ROW)
    meet(anna, bert)
    assert shown(anna, bert) == (False, ())
    assert bert.take(FIELDS, ROW).deleted == 1


def test_the_same_table_on_a_device_that_has_the_record(pair):
    anna, bert = pair
    meet(anna, bert)
    delete(anna)
    assert bert.take(FIELDS, ROW).unchanged == 1
    meet(anna, bert)
    assert shown(anna, bert) == (False, ())


def test_the_same_rows_under_another_name(pair):
    anna, bert = pair
    meet(anna, bert)
    delete(anna)
    bert.take(FIELDS, ROW, file="other")
    meet(anna, bert)
    assert shown(anna, bert) == (False, ())


@pytest.mark.parametrize("known", [False, True])
def test_news_bring_it_back_as_a_conflict(pair, known):
    anna, bert = pair
    if known:
        meet(anna, bert)
    delete(anna)
    bert.take(FIELDS, NEWS)
    meet(anna, bert)
    assert shown(anna, bert) == (True, ("_deleted",))
    anna.replica.resolve(anna.record, "_deleted", True)
    meet(anna, bert)
    assert shown(anna, bert) == (False, ())


def test_an_edit_beside_the_table_brings_it_back(pair):
    anna, bert = pair
    delete(anna)
    bert.take(FIELDS, ROW)
    with bert.replica.edit(bert.record) as person:
        person["city"] = "Bonn"
    meet(anna, bert)
    assert shown(anna, bert) == (True, ("_deleted",))


def test_what_was_counted_meanwhile_is_there_when_it_is_restored(pair):
    anna, bert = pair
    meet(anna, bert)
    delete(anna)
    bert.take(["visits"], ("1", "7"))
    meet(anna, bert)
    assert shown(anna, bert) == (False, ())
    assert anna.replica.restore(anna.record)
    meet(anna, bert)
    assert shown(anna, bert) == (True, ())
    assert bert.shows("visits") == 7


TYPED = {
    "name": "Anna",
    "city": "Kiel",
    "phone": "+49 431 22",
    "stage": "lead",
    "tags": ["vip"],
    "visits": 2,
    "notes": "m\u00e9t in May",
}
SPELLED = {"phone": "+49 (431) 22", "tags": "vip", "visits": "2", "notes": "me\u0301t in May"}
OTHERWISE = dict(zip(FIELDS, ROW[1:], strict=True)) | {"city": "Ulm", "notes": "met in June", "tags": "vip"}


def run_typed(fields, *, spelled=False, said_before=False):
    """A record that was typed in, of which a table says the same as people do, in other words before."""
    now = [1_700_000_000_000_000]
    anna, bert = Device("anna", now, PEOPLE), Device("bert", now, PEOPLE)
    record = natural_record("people", ["1"])
    with anna.replica.edit(record, create=True) as person:
        person.update(TYPED)
        person.append("timeline", "called")
    if said_before:
        anna.take(fields, ("1", *(OTHERWISE[field] for field in fields)))
        with anna.replica.edit(record) as person:
            person.update({field: TYPED[field] for field in fields if field in ("name", "city", "stage", "notes")})
    meet(anna, bert)
    delete(anna)
    said = {**TYPED, "tags": "vip", "visits": "2", "timeline": "called", **(SPELLED if spelled else {})}
    report = bert.take(fields, ("1", *(str(said[field]) for field in fields)))
    assert (report.cells_written, report.cells_both_changed) == (0, 0)
    meet(anna, bert)
    assert shown(anna, bert)[0] is False
    head = bert.log_length()
    assert bert.take(fields, ("1", *(str(said[field]) for field in fields))).deleted == 1
    assert bert.log_length() == head


@pytest.mark.parametrize("spelled", [False, True])
@pytest.mark.parametrize("field", FIELDS)
def test_a_table_that_says_what_people_typed_does_not_bring_it_back(field, spelled):
    run_typed([field], spelled=spelled)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.sampled_from(FIELDS), unique=True, min_size=1), st.booleans())
def test_nor_one_whose_source_said_something_else_before(fields, spelled):
    run_typed(fields, spelled=spelled, said_before=True)


def test_a_text_of_a_source_that_counts_as_an_edit_is_noticed(monkeypatch):
    monkeypatch.setattr(deleted, "is_memory", lambda root: root in MEMORY_ROOTS)
    with pytest.raises(AssertionError):
        run_typed(["notes"])


def run(imports, deleted_after):
    now = [1_700_000_000_000_000]
    devices = [Device(name, now, PEOPLE) for name in ("anna", "bert", "cleo")]
    devices[0].take(FIELDS, ROW)
    for number, (which, met) in enumerate(imports):
        if number == deleted_after:
            delete(devices[0])
        if met:
            meet(devices[1], devices[2])
        devices[which].take(FIELDS, ROW)
    if not devices[0].replica.get(devices[0].record).deleted:
        delete(devices[0])
    meet(*devices)
    assert shown(*devices) == (False, ())


IMPORTS = st.lists(st.tuples(st.integers(1, 2), st.booleans()), min_size=1, max_size=4)


@settings(max_examples=40, deadline=None)
@given(IMPORTS, st.integers(0, 4))
def test_a_table_without_news_never_brings_it_back(imports, deleted_after):
    run(imports, deleted_after)


def test_a_planted_bug_is_noticed(monkeypatch):
    monkeypatch.setattr(deleted, "_only_remembered", lambda *_: False)
    with pytest.raises(AssertionError):
        run([(1, False)], 0)
