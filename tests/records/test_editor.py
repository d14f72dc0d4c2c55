from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdt_sync.clock import HybridClock
from crdt_sync.errors import InvalidTransition, InvalidValue, RecordDeleted, UnknownCollection, UnknownField
from crdt_sync.limits import ACTOR_LENGTH_MAX
from crdt_sync.records import Document, Editor, conflicts_of, parse_schema, values_of
from crdt_sync.records.deleted import is_deleted


@pytest.fixture
def ann(office):
    return office.person(1, actor="ann")


def test_typed_values_are_written_and_read(ann):
    given_values = {
        "name": "Ann",
        "amount": Decimal("12.50"),
        "birthday": date(1990, 2, 28),
        "last_contact": datetime(2026, 3, 1, 9, 30, tzinfo=UTC),
        "newsletter": False,
        "employees": 2**60,
        "language": "de",
        "parent": "customers/abc",
        "tags": ["a", "b"],
        "notes": "née 😀",
    }
    ann.editor.update(given_values)
    assert {field: ann.editor[field] for field in given_values} == given_values
    assert ann.editor.changed


def test_fields_without_content_read_as_nothing(ann):
    nothing = {field: ann.editor[field] for field in ("name", "tags", "timeline", "visits", "notes")}
    assert nothing == {"name": None, "tags": [], "timeline": [], "visits": 0, "notes": ""}
    assert not ann.editor.changed


def test_writing_what_is_shown_already_changes_nothing(ann):
    ann.editor.update({"name": "Ann", "tags": ["a"], "notes": "x", "visits": 2, "stage": "lead"})
    before = ann.document.digest()
    again = Editor(ann.document, ann.editor._schema, ann.clock, "ann", "customers")
    again.update({"name": "Ann", "tags": ["a"], "notes": "x", "visits": 2, "stage": "lead"})
    again.clear("company")
    again.remove("tags", "not there")
    assert not again.changed
    assert ann.document.digest() == before


def test_an_overwritten_field_leaves_one_entry_and_a_small_record(ann):
    for number in range(2000):
        ann.editor["phone"] = str(number)
    assert conflicts_of(ann.document, None, all_kinds=True) == []
    assert ann.document.size < 100


def test_a_field_is_cleared_and_a_required_one_is_not(ann):
    ann.editor.update({"name": "Ann", "phone": "1", "tags": ["a"], "notes": "x", "visits": 2})
    ann.editor.append("timeline", "called")
    for field in ("phone", "tags", "notes", "visits", "timeline"):
        del ann.editor[field]
    assert values_of(ann.document) == {"name": "Ann", "phone": None, "visits": 0}
    with pytest.raises(InvalidValue, match="'name'"):
        del ann.editor["name"]


def test_an_unknown_field_is_refused_with_close_names(ann):
    with pytest.raises(UnknownField) as caught:
        ann.editor["phon"] = "1"
    assert "phone" in caught.value.hint
    with pytest.raises(UnknownField):
        ann.editor["_deleted"] = True


def test_without_a_schema_or_a_writer_nothing_is_edited(ann, schema):
    with pytest.raises(UnknownCollection):
        Editor(Document(1), None, ann.clock, "ann", "orders")
    with pytest.raises(ValueError, match="writer"):
        Editor(Document(), schema, ann.clock, "ann", "customers")


@pytest.mark.parametrize(
    ("actor", "valid"),
    [("张", True), ("a" * ACTOR_LENGTH_MAX, True)]
    + [(name, False) for name in ("", "a" * (ACTOR_LENGTH_MAX + 1), "a\nb", "\ud800")],
    ids=ascii,
)
def test_the_name_of_an_actor_is_short_and_printable(ann, schema, actor, valid):
    if valid:
        Editor(Document(1), schema, ann.clock, actor, "customers")
    else:
        with pytest.raises(InvalidValue, match="actor"):
            Editor(Document(1), schema, ann.clock, actor, "customers")


def test_a_stage_moves_along_its_transitions_only(ann):
    ann.editor["stage"] = "lead"
    ann.editor["stage"] = "qualified"
    with pytest.raises(InvalidTransition, match="qualified cannot become won") as caught:
        ann.editor["stage"] = "won"
    assert "proposal" in caught.value.hint
    with pytest.raises(InvalidValue):
        ann.editor["stage"] = None
    assert ann.editor["stage"] == "qualified"


def test_a_final_state_says_so(ann):
    text = 'collection="c"\nversion=1\n[fields.s]\nkind="stage"\nstates=["a","b"]\ntransitions={a=["b"]}'
    editor = Editor(Document(1), parse_schema(text, "x"), ann.clock, "ann", "c")
    editor["s"] = "b"
    with pytest.raises(InvalidTransition) as caught:
        editor["s"] = "a"
    assert "final" in caught.value.hint


def test_a_conflict_of_stages_is_resolved_to_any_of_them(office):
    base = office.person(1)
    base.editor["stage"] = "proposal"
    one, other = (office.person(writer, [base.document.diff()]) for writer in (2, 3))
    one.editor["stage"], other.editor["stage"] = "won", "qualified"
    office.meet(one, other)
    other.editor.resolve("stage", "qualified")
    assert conflicts_of(other.document, office.schema) == []
    assert other.editor["stage"] == "qualified"


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(-5, 5)), max_size=15))
def test_concurrent_increments_add_up(office, steps):
    people = [office.person(writer) for writer in (1, 2, 3)]
    for who, amount in steps:
        people[who].editor.increment("visits", amount)
        if amount == 0:
            people[who].receive(people[(who + 1) % 3])
    office.meet(*people)
    assert {person.editor["visits"] for person in people} == {sum(amount for _, amount in steps)}


def test_counters_of_decimals_and_of_huge_numbers_are_exact(ann):
    text = 'collection="c"\nversion=1\n[fields.paid]\nkind="counter"\ntype="decimal"\n[fields.seen]\nkind="counter"'
    editor = Editor(ann.document, parse_schema(text, "x"), ann.clock, "ann", "c")
    for _ in range(10):
        editor.increment("paid", "0.1")
    editor.increment("paid", 10**30)
    assert editor["paid"] == Decimal(10**30 + 1)
    editor.increment("seen", 2**53 - 1)
    editor.increment("seen")
    assert editor["seen"] == 2**53
    editor["seen"] = 5
    assert editor["seen"] == 5


def test_adding_wins_over_a_concurrent_removal_even_when_the_member_was_there(office):
    base = office.person(1)
    base.editor.add("tags", "vip")
    adder, remover = (office.person(writer, [base.document.diff()]) for writer in (2, 3))
    adder.editor.add("tags", "vip")
    remover.editor.remove("tags", "vip")
    office.meet(adder, remover)
    assert adder.editor["tags"] == remover.editor["tags"] == ["vip"]


def test_members_of_different_types_stay_apart(ann):
    text = 'collection="c"\nversion=1\n[fields.s]\nkind="set"\ntype="json"'
    editor = Editor(ann.document, parse_schema(text, "x"), ann.clock, "ann", "c")
    editor["s"] = [1, "1", True, "null", {"b": 1, "a": 2}]
    editor.add("s", {"a": 2, "b": 1})
    assert sorted(map(repr, editor["s"])) == sorted(map(repr, [1, "1", True, "null", {"a": 2, "b": 1}]))
    with pytest.raises(InvalidValue, match="list"):
        editor["s"] = "text"


def test_a_log_keeps_what_everybody_appended_in_order_of_time(office):
    one, other = office.person(1, time=2_000), office.person(2, time=1_000)
    one.editor.append("timeline", "second")
    other.editor.append("timeline", "first")
    office.meet(one, other)
    assert [entry["value"] for entry in one.editor["timeline"]] == ["first", "second"]
    assert one.editor["timeline"] == other.editor["timeline"]
    with pytest.raises(InvalidValue, match="grows"):
        one.editor["timeline"] = []


def test_resolving_supersedes_every_value_that_was_seen_and_no_other(office):
    people = [office.person(writer) for writer in (1, 2, 3)]
    for person in people:
        person.editor["phone"] = f"tel {person.document.writer}"
    one, other, third = people
    one.receive(other)
    one.editor.resolve("phone", "tel 2")
    assert conflicts_of(one.document, office.schema) == []
    office.meet(one, other, third)
    (conflict,) = conflicts_of(one.document, office.schema)
    assert {entry.value for entry in conflict.entries} == {"tel 2", "tel 3"}
    with pytest.raises(InvalidValue, match="nothing to decide"):
        one.editor.resolve("tags", ["x"])


def test_a_deleted_record_is_edited_only_after_it_was_restored(ann):
    ann.editor["name"] = "Ann"
    ann.editor.delete()
    for edit in (
        lambda: ann.editor.update({"name": "Anna"}),
        lambda: ann.editor.add("tags", "x"),
        lambda: ann.editor.increment("visits"),
        lambda: ann.editor.append("timeline", 1),
        lambda: ann.editor.text("notes"),
        lambda: ann.editor.resolve("phone", "1"),
    ):
        with pytest.raises(RecordDeleted):
            edit()
    assert ann.editor["name"] == "Ann"
    ann.editor.restore()
    ann.editor["name"] = "Anna"
    assert not is_deleted(ann.document)
    assert conflicts_of(ann.document, None) == []


@pytest.mark.parametrize("decision", [True, False])
def test_a_delete_beside_an_edit_is_decided_either_way(office, decision):
    one = office.person(1)
    one.editor["name"] = "Ann"
    other = office.person(2, [one.document.diff()])
    one.editor.delete()
    other.editor["name"] = "Anna"
    office.meet(one, other)
    other.editor.resolve("_deleted", decision)
    office.meet(one, other)
    for person in (one, other):
        assert is_deleted(person.document) is decision
        assert conflicts_of(person.document, office.schema) == []


def test_required_fields_that_hold_nothing_are_named(ann):
    assert ann.editor.missing_required() == ["name"]
    ann.editor["name"] = "Ann"
    assert ann.editor.missing_required() == []


def test_a_kind_is_written_by_its_own_means_only(ann):
    for edit in (
        lambda: ann.editor.add("name", "x"),
        lambda: ann.editor.increment("name"),
        lambda: ann.editor.append("tags", "x"),
        lambda: ann.editor.text("name"),
    ):
        with pytest.raises(InvalidValue):
            edit()


def test_stamps_rise_with_every_entry_even_when_the_wall_clock_stands_still(schema):
    document = Document(1)
    editor = Editor(document, schema, HybridClock(lambda: 1000), "ann", "customers")
    for number in range(3):
        editor.append("timeline", number)
    assert [entry["at"] for entry in editor["timeline"]] == [1000, 1001, 1002]


def test_a_null_is_a_value_of_its_own_but_clearing_a_field_that_holds_nothing_is_none(ann):
    ann.editor["company"] = None
    assert values_of(ann.document) == {"company": None}
    ann.editor.clear("website")
    assert "website" not in values_of(ann.document)


def test_a_write_is_stamped_after_everything_that_it_supersedes(ann):
    ahead = ann.clock.now() + 1_000_000
    with ann.document.transaction() as transaction:
        ann.document.array(transaction, "c.company").insert(transaction, 0, ["Acme", ahead, "bob"])
    ann.editor["company"] = "Acme Ltd"
    assert ann.clock.last == ahead + 1
