"""What the touches of an update say is the difference between what the record holds before it and after."""

import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdt_sync.records import Document, scan
from crdt_sync.records.gate import touches
from crdt_sync.records.gate.touches import touches_between, touches_of
from crdt_sync.records.lineages.renewal import renewed
from crdt_sync.records.updates import state_vector as vectors
from crdt_sync.records.updates.lists import Lists
from tests.records import raw_updates as raw

SCRIPTS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 11), st.integers(0, 5)), max_size=40)


def told(document, update):
    """The touches of an update that the document is to take."""
    found, vector = scan(update), vectors.decode(document.state_vector())
    fresh = [item for item in found.items if item.clock >= vector.get(item.writer, 0)]
    lists = Lists(scan(document.diff()).items)
    lists.add(fresh)
    return touches_of(update, found, fresh, lists, document.deletes())


def taken(document, update):
    after = Document.load((document.diff(),))
    after.apply(update)
    return after


def told_of(values):
    return Counter(json.dumps(value, sort_keys=True) for value in values)


def check(document, update):
    """What is told against what both documents hold; nothing of the program's own tells the difference here."""
    before, after = document.contents(), taken(document, update).contents()
    touched = told(document, update)
    differing = {
        root for root in before.keys() | after.keys() if (before.get(root) or None) != (after.get(root) or None)
    }
    assert differing <= touched.keys()
    for root, touch in touched.items():
        old, new = before.get(root) or [], after.get(root) or []
        assert touch.items or touch.removed
        if root.startswith(("c.", "l.")):
            assert told_of(new) - told_of(old) <= told_of(touch.values)
            assert (told_of(old) + told_of(touch.values) - told_of(new)).total() == touch.removed
        elif root.startswith(("n.", "s.")):
            changed = {key for key in new if key not in old or old[key] != new[key]} if new else set()
            assert changed <= set(touch.keys)
            assert touch.removed == len([key for key in old if key not in (new or ()) or key in touch.keys])
        elif not touch.removed:
            assert len(new) >= len(old)


@given(SCRIPTS)
def test_touches_are_the_difference_of_what_the_record_holds(office, script):
    people = office.play(script)
    for one in people:
        for other in people:
            if one is not other:
                check(one.document, other.document.diff(one.document.state_vector()))
                check(Document(), other.document.diff())


@given(SCRIPTS)
def test_single_edits_touch_what_they_change(office, script):
    document = Document()
    for update in office.play(script, people_count=1)[0].sent:
        check(document, update)
        document.apply(update)


@given(SCRIPTS)
def test_between_two_documents_the_same_is_told(office, script):
    people = office.play(script)
    before = people[0].document
    after = taken(before, people[1].document.diff(before.state_vector()))
    between = touches_between(before.contents(), after.contents())
    assert between.keys() <= told(before, people[1].document.diff(before.state_vector())).keys()
    for root, touch in between.items():
        assert (before.contents().get(root) or None) != (after.contents().get(root) or None), root
        if root.startswith(("c.", "l.")):
            old, new = before.contents().get(root) or [], after.contents().get(root) or []
            assert told_of(touch.values) == told_of(new) - told_of(old)
            assert touch.removed == (told_of(old) - told_of(new)).total()


@given(SCRIPTS)
def test_to_write_a_record_anew_touches_nothing(office, script):
    person = office.play(script, people_count=1)[0]
    if person.document.state_vector() != vectors.EMPTY:
        assert touches_between(person.document.contents(), renewed(person.document).contents()) == {}


def test_with_a_bug_planted_the_checks_notice(office, monkeypatch):
    people = office.play([(0, 4, 0), (1, 0, 0), (1, 4, 1)])
    before, update = people[0].document, people[1].document.diff(people[0].document.state_vector())
    check(before, update)
    monkeypatch.setattr(touches, "without", lambda *_: {})  # deletions are overlooked
    with pytest.raises(AssertionError):
        check(before, update)


@pytest.fixture
def record(office):
    person = office.person(3)
    person.edit(lambda editor: editor.update({"company": "Ann", "phone": "1", "notes": "one two"}))
    return person


def test_deletions_alone_touch_the_fields_of_what_they_name(record):
    erased = {root for root, content in record.document.contents().items() if content}
    everything = b"\x00" + b"\x01\x03\x01\x00" + raw.uint(vectors.decode(record.document.state_vector())[3])
    touched = told(record.document, everything)
    assert touched.keys() == erased
    assert all(touch.removed and not touch.items for touch in touched.values())


def test_what_is_deleted_already_is_not_deleted_again(record):
    record.edit(lambda editor: editor.update({"phone": "2"}))
    again = b"\x00" + b"\x01\x03\x01" + b"".join(raw.uint(each) for each in record.document.deletes()[3][0])
    assert told(record.document, again) == {}


def test_what_is_written_and_deleted_again_is_told(record):
    other = Document.load((record.document.diff(),), 9)
    before = other.state_vector()
    with other.transaction() as transaction:
        array = other.array(transaction, "c.email")
        array.insert(transaction, 0, [["a", 1, "eve"]])
        array.remove_range(transaction, 0, 1)
    touched = told(record.document, other.diff(before))
    assert touched.keys() == {"c.email"}
    assert (touched["c.email"].items, touched["c.email"].values) == (1, [])


def test_an_item_that_names_no_root_is_told_by_its_neighbour(record):
    item = next(entry for entry in scan(record.document.diff()).items if entry.root == "c.phone")
    spliced = (
        b"\x01\x01\x09\x00\x88" + raw.uint(item.writer) + raw.uint(item.clock) + b"\x01" + raw.value("x") + b"\x00"
    )
    assert told(record.document, spliced).keys() == {"c.phone"}
