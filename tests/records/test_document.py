import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdt_sync.errors import UpdateRefused
from crdt_sync.records import Document, conflicts_of, digest_of, reading_of, values_of
from crdt_sync.records.deleted import is_deleted

SCRIPTS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 11), st.integers(0, 5)), max_size=30)


@given(SCRIPTS)
def test_replicas_that_hold_the_same_show_the_same_and_have_one_digest(office, script):
    people = office.play(script)
    office.meet(*people)
    first = people[0].document
    for person in people[1:]:
        assert reading_of(person.document, office.schema, all_kinds=True) == reading_of(
            first, office.schema, all_kinds=True
        )
        assert person.document.digest() == first.digest()
        assert person.document.content_digest() == first.content_digest()
        assert person.document.state_vector() == first.state_vector()


@given(SCRIPTS)
def test_a_reloaded_record_is_the_same_in_every_respect(office, script):
    for person in office.play(script):
        document = person.document
        reloaded = Document.load([document.diff()])
        assert reading_of(reloaded, office.schema, all_kinds=True) == reading_of(
            document, office.schema, all_kinds=True
        )
        assert digest_of([document.diff()]) == (document.state_vector(), document.digest())
        assert reloaded.content_digest() == document.content_digest()


@given(SCRIPTS)
def test_the_digests_differ_until_everything_was_exchanged(office, script):
    one, other, *_ = office.play(script)
    same = one.document.state_vector() == other.document.state_vector() and (
        one.document.deletes() == other.document.deletes()
    )
    assert (one.document.digest() == other.document.digest()) == same
    before = one.document.digest()
    one.editor.restore()
    one.edit(lambda editor: editor.add("tags", "new"))
    assert one.document.digest() != before


def test_a_delete_alone_changes_the_digest_although_the_state_vector_stays(office):
    one = office.person(1)
    one.editor.add("tags", "vip")
    other = office.person(2, [one.document.diff()])
    assert one.document.digest() == other.document.digest()
    other.editor.remove("tags", "vip")
    assert one.document.state_vector() == other.document.state_vector()
    assert one.document.digest() != other.document.digest()


def test_the_content_digest_sees_forged_content_that_the_state_digest_cannot(office):
    one, other = office.person(1), office.person(1)
    one.editor["company"], other.editor["company"] = "Ann", "Bob"
    assert one.document.digest() == other.document.digest()
    assert one.document.content_digest() != other.document.content_digest()


def test_values_are_sorted_carriers_and_leave_out_what_was_never_written_or_is_empty(office):
    person = office.person(1)
    editor = person.editor
    editor.update({"name": "Ann", "amount": "12.50", "newsletter": True, "tags": ["b", "a"], "notes": "née"})
    editor.increment("visits", 3)
    editor.append("timeline", {"note": "called"})
    editor["company"] = "Ann & Co"
    editor["company"] = None
    editor.add("emails", "x@example.com")
    editor.remove("emails", "x@example.com")
    timeline: Any = values_of(person.document)["timeline"]
    stamp = timeline[0]["at"]
    assert list(values_of(person.document).items()) == [
        ("amount", "12.5"),
        ("company", None),
        ("name", "Ann"),
        ("newsletter", True),
        ("notes", "née"),
        ("tags", ["a", "b"]),
        ("timeline", [{"value": '{"note":"called"}', "at": stamp, "by": "actor1"}]),
        ("visits", 3),
    ]


def test_fields_that_no_schema_knows_are_shown_and_passed_on(office):
    newer = Document(1)
    with newer.transaction() as transaction:
        newer.array(transaction, "c.loyalty").insert(transaction, 0, ["gold", 5, "ann", "more"])
        newer.array(transaction, "x.layout_to_come").insert(transaction, 0, [1])
    older = Document.load([newer.diff()])
    assert values_of(older, office.schema) == {"loyalty": "gold"}
    assert older.diff() == newer.diff()


def test_entries_that_no_program_of_ours_wrote_are_not_shown():
    document = Document(1)
    with document.transaction() as transaction:
        array = document.array(transaction, "c.x")
        for odd in ("text", 5, ["short", 1], ["no stamp", "1", "ann"], ["fraction", 1.5, "ann"], ["no actor", 1, None]):
            array.insert(transaction, 0, odd)
        document.map(transaction, "n.visits").insert(transaction, "7", "not a number")
        document.map(transaction, "n.visits").insert(transaction, "8", "1e999999999")
        document.map(transaction, "n.visits").insert(transaction, "9", 4)
    assert values_of(document) == {"visits": "4"}


def test_a_field_that_changed_its_kind_is_read_as_the_schema_says(office):
    document = Document(1)
    with document.transaction() as transaction:
        document.array(transaction, "c.tags").insert(transaction, 0, ["old", 5, "ann"])
        document.map(transaction, "s.tags").insert(transaction, '"new"', "new")
    assert values_of(document, office.schema) == {"tags": ["new"]}
    assert values_of(document) == {"tags": "old"}


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_all_concurrent_values_are_kept_and_one_is_shown_whatever_the_order_of_arrival(office, order):
    base = office.person(1)
    base.editor["name"] = "Ann"
    people = [office.person(10 + number, [base.document.diff()], time=base.clock.last + number) for number in range(3)]
    updates = [person.edit(lambda editor, n=n: editor.update({"phone": f"tel {n}"})) for n, person in enumerate(people)]
    document = Document.load([base.document.diff(), *(updates[number] for number in order)])
    assert values_of(document)["phone"] == "tel 2"
    (conflict,) = conflicts_of(document, office.schema)
    assert (conflict.field, conflict.kind) == ("phone", "review")
    assert [entry.value for entry in conflict.entries] == ["tel 2", "tel 1", "tel 0"]
    assert [entry.actor for entry in conflict.entries] == ["actor12", "actor11", "actor10"]
    assert [entry.shown for entry in conflict.entries] == [True, False, False]


def test_equal_stamps_are_decided_by_actor_and_then_value(office):
    people = [office.person(writer, actor=actor) for writer, actor in ((1, "zoe"), (2, "ann"), (3, "zoe"))]
    for person, value in zip(people, ("a", "c", "b"), strict=True):
        person.editor["phone"] = value
    office.meet(*people)
    (conflict,) = conflicts_of(people[0].document, office.schema)
    assert len({entry.stamp for entry in conflict.entries}) == 1
    assert [entry.value for entry in conflict.entries] == ["b", "a", "c"]


def test_concurrent_equal_values_are_no_conflict_and_plain_values_only_on_request(office):
    one, other = office.person(1), office.person(2)
    one.editor.update({"phone": "same", "company": "A"})
    other.editor.update({"phone": "same", "company": "B"})
    office.meet(one, other)
    assert conflicts_of(one.document, office.schema) == []
    assert [found.field for found in conflicts_of(one.document, office.schema, all_kinds=True)] == ["company"]
    assert [found.field for found in conflicts_of(one.document, None, all_kinds=True)] == ["company"]


def test_of_concurrent_stages_the_one_further_along_is_shown_whatever_the_time(office):
    base = office.person(1)
    base.editor["stage"] = "proposal"
    one, other = (office.person(writer, [base.document.diff()], time=time) for writer, time in ((2, 2**50), (3, 2**51)))
    one.editor["stage"], other.editor["stage"] = "won", "lost"
    office.meet(one, other)
    assert values_of(one.document, office.schema)["stage"] == values_of(other.document, office.schema)["stage"] == "won"
    (conflict,) = conflicts_of(one.document, office.schema)
    assert (conflict.kind, [entry.value for entry in conflict.entries]) == ("stage", ["won", "lost"])


def test_a_delete_that_saw_everything_deletes_and_a_concurrent_edit_wins(office):
    one = office.person(1)
    one.editor["name"] = "Ann"
    other = office.person(2, [one.document.diff()])
    one.editor.delete()
    assert is_deleted(one.document)
    assert conflicts_of(one.document, office.schema) == []
    other.editor["name"] = "Anna"
    office.meet(one, other)
    for person in (one, other):
        assert not is_deleted(person.document)
        (conflict,) = conflicts_of(person.document, office.schema)
        assert (conflict.field, conflict.kind) == ("_deleted", "deleted")
        assert [(entry.value, entry.actor, entry.shown) for entry in conflict.entries] == [(True, "actor1", False)]
    assert values_of(one.document)["name"] == "Anna"


def test_two_deletes_that_saw_different_edits_delete_together(office):
    base = office.person(1)
    base.editor["name"] = "Ann"
    one, other = (office.person(writer, [base.document.diff()]) for writer in (2, 3))
    one.editor["phone"], other.editor["email"] = "1", "a@example.com"
    one.editor.delete()
    other.editor.delete()
    office.meet(one, other)
    assert is_deleted(one.document)
    assert is_deleted(other.document)


@pytest.mark.parametrize("text", ["", "!!!!", "AAAA", "gICAgAEBAQ"])
def test_a_deletion_that_cannot_be_read_deletes_nothing(text):
    document = Document(1)
    with document.transaction() as transaction:
        document.array(transaction, "c._deleted").insert(transaction, 0, [text, 5, "ann"])
    assert not is_deleted(document)


def test_a_hostile_state_vector_is_refused_before_yrs_sees_it(office):
    person = office.person(1)
    person.editor["name"] = "Ann"
    with pytest.raises(UpdateRefused):
        person.document.diff(bytes.fromhex("80808080010101"))
    assert person.document.size == len(person.document.diff())
