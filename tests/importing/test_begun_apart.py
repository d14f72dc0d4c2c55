"""Two people enter one customer by hand, offline, each with a note of their own: both are told what is joined."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crdt_bench.people import GUESTS
from crdt_sync.errors import NoConflict
from crdt_sync.exchange import import_table
from crdt_sync.limits import BEGINNINGS_MAX, SOURCE_TEXT_BYTES_MAX
from crdt_sync.records import Document, conflicts_of
from crdt_sync.records.lineages.renewal import renewed
from crdt_sync.records.memory import beginnings
from crdt_sync.records.roots import BEGUN_ROOT
from tests.importing.conftest import Device, Lines, meet


@pytest.fixture
def pair(devices):
    return devices("anna", "bert", schema=GUESTS)


def enter(device, **values):
    with device.replica.edit("guests") as guest:
        guest.update({"email": "a@x.example", **values})


def take(device, **cells):
    table = Lines(("email", *cells), [("a@x.example", *cells.values())])
    return import_table(device.replica, table, "guests")


def open_conflicts(device):
    return {
        conflict.field: sorted((entry.actor, entry.value) for entry in conflict.entries)
        for _, conflict in device.replica.conflicts()
    }


def test_two_first_notes_are_a_conflict_that_names_both(pair):
    anna, bert = pair
    enter(anna, notes="Likes tea.")
    enter(bert, notes="Owes 300 euros.")
    meet(*pair)
    for device in pair:
        assert open_conflicts(device) == {"notes": [("anna", "Likes tea."), ("bert", "Owes 300 euros.")]}
        assert device.shows("notes") in ("Likes tea.Owes 300 euros.", "Owes 300 euros.Likes tea.")
        (view,) = device.replica.list("guests")
        assert view.conflicts == ("notes",)
        ((_, conflict),) = device.replica.conflicts()
        assert (conflict.begun, conflict.kind, any(entry.shown for entry in conflict.entries)) == (True, "text", False)
    assert anna.values() == bert.values()


def test_two_first_counts_are_a_conflict_and_equal_ones_are_one(pair):
    anna, bert = pair
    enter(anna, visits=5)
    enter(bert, visits=6)
    meet(*pair)
    assert open_conflicts(anna) == open_conflicts(bert) == {"visits": [("anna", 5), ("bert", 6)]}


def test_what_both_began_alike_or_one_alone_is_no_conflict(pair):
    anna, bert = pair
    enter(anna, notes="Likes tea", visits=5, tags=["a"], city="Bonn")
    enter(bert, notes="Likes tea", tags=["b"])
    meet(*pair)
    assert open_conflicts(anna) == open_conflicts(bert) == {}
    assert (bert.shows("notes"), bert.shows("visits"), bert.shows("tags")) == ("Likes tea", 5, ["a", "b"])


def test_somebody_decides_and_everybody_has_it(pair):
    anna, bert = pair
    enter(anna, notes="Likes tea.", visits=5)
    enter(bert, notes="Owes 300 euros.", visits=6)
    meet(*pair)
    anna.replica.resolve(anna.record, "notes", "Likes tea. Owes 300 euros.")
    anna.replica.resolve(anna.record, "visits", 6)
    meet(*pair)
    for device in pair:
        assert open_conflicts(device) == {}
        assert (device.shows("notes"), device.shows("visits")) == ("Likes tea. Owes 300 euros.", 6)
    with pytest.raises(NoConflict):
        anna.replica.resolve(anna.record, "notes", "Likes coffee")


def test_what_is_shown_may_be_decided_for(pair):
    anna, bert = pair
    enter(anna, notes="Likes tea. ")
    enter(bert, notes="Owes 300 euros. ")
    meet(*pair)
    shown = anna.shows("notes")
    anna.replica.resolve(anna.record, "notes", shown)
    meet(*pair)
    assert (open_conflicts(bert), bert.shows("notes")) == ({}, shown)


def test_an_edit_before_they_meet_or_after_does_not_hide_what_was_begun(pair):
    anna, bert = pair
    enter(anna, notes="Likes tea.")
    with anna.replica.edit(anna.record) as guest:
        guest["notes"] = "Likes green tea."
    enter(bert, notes="Owes 300 euros.")
    meet(*pair)
    with bert.replica.edit(bert.record) as guest:
        guest.text("notes").insert(0, "! ")
    meet(*pair)
    assert (
        open_conflicts(anna) == open_conflicts(bert) == {"notes": [("anna", "Likes tea."), ("bert", "Owes 300 euros.")]}
    )
    assert "green" in anna.shows("notes")


def test_entering_again_with_knowledge_is_an_edit_and_no_conflict(pair):
    anna, bert = pair
    enter(anna, notes="Likes tea", visits=5)
    enter(anna, notes="Owes 300 euros", visits=6)
    meet(*pair)
    enter(bert, notes="Left town", visits=1)
    meet(*pair)
    assert open_conflicts(anna) == open_conflicts(bert) == {}
    assert (anna.shows("notes"), anna.shows("visits")) == ("Likes tea\nOwes 300 euros\nLeft town", 12)


def test_three_that_began_apart_are_named(devices):
    three = devices("anna", "bert", "carl", schema=GUESTS)
    for device, notes in zip(three, ("one", "two", "one"), strict=True):
        enter(device, notes=notes)
    meet(*three)
    meet(*three)
    for device in three:
        assert open_conflicts(device) == {"notes": [("anna", "one"), ("bert", "two")]}


def test_a_note_that_is_too_long_to_be_kept_twice_is_named_all_the_same(pair):
    anna, bert = pair
    enter(anna, notes="tea " * SOURCE_TEXT_BYTES_MAX)
    enter(bert, notes="Owes 300 euros")
    meet(*pair)
    assert open_conflicts(anna) == {"notes": [("anna", None), ("bert", "Owes 300 euros")]}


def test_it_stays_after_a_renewal(pair):
    anna, bert = pair
    enter(anna, notes="tea")
    enter(bert, notes="coffee")
    meet(*pair)
    document = anna.replica.document(anna.record)
    assert conflicts_of(renewed(document), GUESTS) == conflicts_of(document, GUESTS) != []


# --- one imports, the other types ----------------------------------------------------------------------------


def test_what_one_imports_and_the_other_begins_by_hand_is_a_conflict(pair):
    anna, bert = pair
    enter(anna, notes="Likes tea.", visits=5)
    take(bert, notes="Owes 300 euros.", visits="5")
    meet(*pair)
    for device in pair:
        assert open_conflicts(device) == {
            "notes": [("import customers", "Owes 300 euros."), ("people", "Likes tea.")],
            "visits": [("anna", 5), ("import customers", 5)],  # ten are shown
        }


def test_an_import_that_sees_what_was_begun_is_no_conflict_of_beginnings(pair):
    anna, bert = pair
    enter(anna, visits=5)
    with anna.replica.edit(anna.record) as guest:
        guest["notes"] = "Likes tea"
    take(anna, visits="5", notes="Likes tea")
    take(anna, visits="8", notes="Likes tea and cake")
    assert (anna.shows("visits"), anna.shows("notes")) == (8, "Likes tea and cake")
    meet(*pair)
    assert open_conflicts(anna) == open_conflicts(bert) == {}


def test_what_was_decided_stays_decided_when_an_import_sees_another_field_meanwhile(pair):
    anna, bert = pair
    enter(anna, notes="Likes tea.", visits=5)
    enter(bert, notes="Owes 300 euros.", visits=5)
    meet(*pair)
    anna.replica.resolve(anna.record, "notes", "Likes tea. Owes 300 euros.")
    take(bert, visits="5")
    meet(*pair)
    for device in pair:
        assert (open_conflicts(device), device.shows("notes")) == ({}, "Likes tea. Owes 300 euros.")


def test_an_import_that_changes_nothing_brings_no_deleted_record_back(pair):
    anna, bert = pair
    enter(anna, name="Anna", visits=5)
    meet(*pair)
    anna.replica.delete(anna.record)
    report = take(bert, name="Anna", visits="5")
    assert (report.updated, report.unchanged) == (0, 1)
    meet(*pair)
    for device in pair:
        assert device.replica.get(anna.record).deleted
        assert list(device.replica.conflicts()) == []


def test_devices_that_import_at_once_leave_one_beginning_each(pair):
    anna, bert = pair
    enter(anna, visits=5)
    meet(*pair)
    for device in pair:
        take(device, visits="5")
    meet(*pair)
    take(anna, visits="6")
    meet(*pair)
    assert len(bert.replica.document(bert.record).contents()[BEGUN_ROOT]) == 1
    assert open_conflicts(anna) == open_conflicts(bert) == {}


def test_a_note_that_one_imports_and_the_other_types_is_there_once(pair):
    anna, bert = pair
    enter(anna, notes="Likes tea. ")
    take(bert, notes="Likes tea. ")
    meet(*pair)
    assert open_conflicts(anna) == open_conflicts(bert) == {}
    assert anna.shows("notes") == bert.shows("notes") == "Likes tea. "


# --- always --------------------------------------------------------------------------------------------------

NOTES = st.text(alphabet="ab \n😀", max_size=4)


@settings(max_examples=60, deadline=None)
@given(NOTES, NOTES, st.integers(0, 3), st.integers(0, 3))
def test_what_differs_is_listed_and_nothing_is_lost(first, second, one, other):
    now = [1_700_000_000_000_000]
    pair = [Device(name, now, GUESTS) for name in ("anna", "bert")]
    anna, bert = pair
    enter(anna, notes=first, visits=one)
    enter(bert, notes=second, visits=other)
    meet(*pair)
    expected = {}
    if first and second and first != second:
        expected["notes"] = sorted([("anna", first), ("bert", second)])
    if one and other and one != other:
        expected["visits"] = sorted([("anna", one), ("bert", other)])
    assert open_conflicts(anna) == open_conflicts(bert) == expected
    assert (anna.shows("notes") or "") in ((first,) if first == second else (first + second, second + first))
    assert anna.values() == bert.values()


def hostile(*entries):
    document = Document(7)
    with document.transaction() as transaction:
        for entry in entries:
            document.array(transaction, BEGUN_ROOT).insert(transaction, 0, entry)
    return document


@pytest.mark.parametrize(
    "entry",
    [1, "x", [], ["x", 1, "a"], ["[1]", 1, "a"], ['{"notes": [[1]]}', 1, "a"], ['{"name": "x"}', 1, "a"], [3, 1, "a"]],
)
def test_what_anybody_wrote_there_does_not_harm(entry):
    document = hostile(entry, ['{"notes":{"text":"one"}}', 5, "anna"])
    assert conflicts_of(document, GUESTS) == []
    with document.transaction() as transaction:
        document.array(transaction, BEGUN_ROOT).insert(transaction, 0, ['{"notes":{"text":"two"}}', 6, "bert"])
    (conflict,) = conflicts_of(document, GUESTS)
    assert [entry.value for entry in conflict.entries] == ["two", "one"]


def test_many_beginnings_are_read_up_to_a_limit():
    many = [[f'{{"notes":{{"text":"{number}"}}}}', number, "anna"] for number in range(3 * BEGINNINGS_MAX)]
    (conflict,) = conflicts_of(hostile(*many), GUESTS)
    assert len(conflict.entries) == BEGINNINGS_MAX


def test_a_planted_bug_is_noticed(monkeypatch, pair):
    monkeypatch.setattr(beginnings, "text_said", lambda text: {"text": "note"})
    with pytest.raises(AssertionError):
        test_two_first_notes_are_a_conflict_that_names_both(pair)
