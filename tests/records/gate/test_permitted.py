"""What the gate lets in where a policy is in force: attacks by updates that no editor makes, and honest edits."""

import base64
from itertools import repeat

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crdt_sync.records import Document
from crdt_sync.records.gate.permitted import Rules, permitted, plainly_permitted
from crdt_sync.records.gate.touches import overwritten, touches_of
from crdt_sync.records.imported import ImportedChange, bring
from crdt_sync.records.lineages.renewal import renewed
from crdt_sync.records.memory.memories import remember
from crdt_sync.records.memory.sources import COLUMNS
from crdt_sync.records.updates import state_vector as vectors
from crdt_sync.records.updates.lists import Lists
from crdt_sync.records.updates.update import scan
from tests.records import raw_updates as raw
from tests.records.gate.permitting import BEGUN, Place

# --- fields and operations -----------------------------------------------------------------------------------


def test_what_may_be_written_is_let_in_and_what_may_not_names_field_and_rule(place):
    assert place.write("anna", name="Anne") == ""
    assert place.write("anna", iban="DE2") == "iban: 'anna' may not write this field"
    assert place.write("anna", name="Anna", iban="DE2") == "iban: 'anna' may not write this field"
    assert place.write("bea", iban="DE2") == ""


def test_what_is_masked_is_not_written_unseen(place):
    assert place.write("bea", phone="2") == "phone: 'bea' sees this field in part, and may not write it"


def test_a_record_outside_of_all_grants_is_not_written(place):
    place.write("chen", region="East")
    assert place.write("anna", name="Eve") == "'anna' may not write into this record"


def test_a_record_is_judged_by_what_it_shows_before(place):
    assert place.write("ben", region="South") == ""
    assert place.write("anna", region="North") == "'anna' may not write into this record"


def test_a_new_record_is_judged_by_what_it_begins_with():
    assert Place().write("anna", name="A", region="North", terms="x") == ""
    assert Place().write("anna", name="A", region="South", terms="x") == "'anna' may not write into this record"
    assert Place().write("bea", iban="A") == "iban: 'bea' may not create here"


def test_nobody_that_the_policy_names_and_who_is_disabled_may_nothing(place):
    for user in ("eve", "dora", ""):
        assert place.write(user or "chen", name="Eve", actor="chen") != "" if user else True
        assert place.told(user, place.person("chen").edit(lambda editor: editor.update({"name": "E"}))) != ""


def test_deleting_and_restoring_are_operations_of_their_own(place):
    assert place.edit("anna", lambda editor: editor.delete()) == "'anna' may not delete here"
    assert place.edit("chen", lambda editor: editor.delete()) == ""
    assert place.edit("anna", lambda editor: editor.restore()) == "'anna' may not restore here"
    assert place.told("anna", place.delete_of("c._deleted")) == "'anna' may not restore here"
    assert place.edit("chen", lambda editor: editor.restore()) == ""


def test_a_delete_that_deletes_nothing_takes_no_other_back(place):
    place.edit("chen", lambda editor: editor.delete())
    person = place.person("anna")
    before = person.document.state_vector()
    with person.document.transaction() as transaction:
        array = person.document.array(transaction, "c._deleted")
        array.remove_range(transaction, 0, 1)
        array.insert(transaction, 0, ["", 1, "anna"])
    assert place.told("anna", person.document.diff(before)) == "'anna' may not delete here"


def test_a_delete_has_seen_no_more_than_there_is(place):
    seen = vectors.encode({**vectors.decode(place.document.state_vector()), 5: 1 << 20})
    entry = [base64.urlsafe_b64encode(seen).decode().rstrip("="), 1, "chen"]
    assert place.raw("chen", raw.array("c._deleted", [entry])) == "a delete says that it has seen what is not here"


def test_a_conflict_is_decided_by_who_may_resolve(place):
    one, other = place.person("anna"), place.person("ben")
    assert place.told("anna", one.edit(lambda editor: editor.update({"phone": "2"}))) == ""
    assert place.told("ben", other.edit(lambda editor: editor.update({"phone": "3"}))) == ""
    assert place.edit("anna", lambda editor: editor.resolve("phone", "2")) == "phone: 'anna' may not resolve here"
    assert place.told("anna", place.delete_of("c.phone")) == "phone: 'anna' may not resolve here"
    assert place.edit("chen", lambda editor: editor.resolve("phone", "2")) == ""


# --- raw updates ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("root", ["c.iban"])
def test_deletes_of_others_fields_without_a_write_are_refused(place, root):
    assert place.told("anna", place.delete_of(root)) == "iban: 'anna' may not write this field"


def test_what_is_deleted_already_may_be_deleted_again(place):
    again = place.delete_of("c.iban")
    place.write("bea", iban="DE2")
    (verdict,) = place.push("anna", again).verdicts
    assert (verdict.code, verdict.new) == ("accepted", False)


@pytest.mark.parametrize("root", ["c._other", "l._deleted", "c.Iban", "t._x", "c.a.b"])
def test_roots_that_nobody_knows_are_refused(place, root):
    part = raw.text(root, "x") if root.startswith("t.") else raw.array(root, [["x", 1, "chen"]])
    assert "cannot be told" in place.raw("chen", part)


def test_what_a_source_holds_of_a_text_is_that_text(place):
    assert place.raw("anna", raw.text("t._@abcd.iban", "x")) == "iban: 'anna' may not write this field"
    assert place.raw("anna", raw.text("t._@abcd.notes", "x")) == ""


def test_what_is_written_and_deleted_again_is_refused_too(place):
    person = place.person("anna")
    before = person.document.state_vector()
    with person.document.transaction() as transaction:
        array = person.document.array(transaction, "c.iban")
        array.insert(transaction, 0, ["x", 1, "anna"])
        array.remove_range(transaction, 0, 1)
    assert place.told("anna", person.document.diff(before)) == "iban: 'anna' may not write this field"


def test_a_field_that_no_schema_knows_is_written_by_whom_the_policy_names_it(place):
    assert place.raw("anna", raw.array("c.other", [["x", 1, "anna"]])) == "other: 'anna' may not write this field"
    assert place.raw("chen", raw.array("c.other", [["x", 1, "chen"]])) == "other: 'chen' may not write this field"


@pytest.mark.parametrize(
    ("root", "entry"),
    [
        ("c.name", "Ann"),
        ("c.name", ["Ann"]),
        ("c.name", ["Ann", "now", "anna"]),
        ("c.name", [7, 1, "anna"]),
        ("c.name", [None, 1, "anna"]),
        ("c.name", ["  ", 1, "anna"]),
        ("c.name", [["a"], 1, "anna"]),
        ("c.born", ["yesterday", 1, "anna"]),
        ("c.born", [5, 1, "anna"]),
        ("c.amount", ["1e5000", 1, "anna"]),
        ("c.active", ["yes", 1, "anna"]),
        ("c.stage", ["won", 1, "anna"]),
        ("l.calls", [None, 1, "anna"]),
        ("l.calls", "called"),
    ],
)
def test_values_of_a_wrong_type_are_refused(place, root, entry):
    assert place.raw("anna", raw.array(root, [entry])) == f"{root[2:]}: this is no value of the field"


@pytest.mark.parametrize(
    ("root", "members"),
    [
        ("n.visits", {"900": "many"}),
        ("n.visits", {"900": True}),
        ("s.tags", {'"a"\n900': "b"}),
        ("s.tags", {"7\n900": 7}),
    ],
)
def test_members_and_counts_of_a_wrong_type_are_refused(place, root, members):
    assert place.raw("anna", raw.mapping(root, members)) == f"{root[2:]}: this is no value of the field"


def test_a_field_is_not_written_as_one_of_another_kind(place):
    assert place.raw("anna", raw.text("t.name", "x")) == "name: this field is of another kind"
    assert place.raw("anna", raw.array("l.notes", [["x", 1, "anna"]])) == "notes: this field is of another kind"


def test_a_required_field_is_not_emptied(place):
    assert place.told("anna", place.delete_of("c.name")) == "name: this field is required and cannot be emptied"
    assert place.told("anna", place.delete_of("t.terms")) == "terms: this field is required and cannot be emptied"
    assert place.edit("anna", lambda editor: editor.update({"terms": "net 10"})) == ""


def test_a_stage_moves_as_the_schema_lists(place):
    assert place.raw("anna", raw.array("c.stage", [["closed", 1, "anna"]])) == "stage: the stage may not become this"
    assert place.write("anna", stage="customer") == ""
    assert place.raw("anna", raw.array("c.stage", [["lead", 1, "anna"]])) == "stage: the stage may not become this"


def test_several_moves_that_come_together_are_each_allowed(place):
    person = place.person("anna")
    before = person.document.state_vector()
    for stage in ("customer", "lost", "lead", "customer"):
        person.editor["stage"] = stage
    assert place.told("anna", person.document.diff(before)) == ""
    assert place.rules.values(place.document) == {"region": "North"}


# --- who wrote it --------------------------------------------------------------------------------------------


def test_what_is_brought_for_another_user_is_allowed_to_both(place):
    assert place.write("ben", name="A", actor="anna") == ""
    place.write("ben", region="South")
    assert place.write("ben", name="B", actor="anna") == "name: 'anna' may not write this field"


def test_a_name_that_is_forged_gains_nothing(place):
    assert place.write("anna", iban="DE2", actor="bea") == "iban: 'anna' may not write this field"
    assert place.write("chen", iban="DE2", actor="anna") == "iban: 'anna' may not write this field"
    assert place.write("anna", name="E", actor="eve") == "name: an entry is signed by nobody that the policy names"
    assert place.write("anna", name="E", actor="dora") == "name: 'dora' may not write this field"
    assert place.edit("chen", lambda editor: editor.delete(), actor="anna") == "'anna' may not delete here"


def touched(place, user, change, actor=None):
    """The fields that an edit touches and whose it is, as the verdict tells."""
    (verdict,) = place.push(user, place.person(actor or user).edit(change)).verdicts
    return verdict.code.value, verdict.touched.fields, verdict.touched.authors


def test_a_verdict_tells_which_fields_an_update_touches_and_whose_entries_it_brings(place):
    assert touched(place, "anna", lambda editor: editor.update({"name": "B"})) == ("accepted", ("name",), ())
    brought = touched(place, "ben", lambda editor: editor.update({"name": "C"}), "anna")
    assert brought == ("accepted", ("name",), ("anna",))

    def much(editor):
        editor.update({"stage": "customer", "notes": "call", "visits": 2, "tags": ["vip"]})
        editor.append("calls", "rang")

    assert touched(place, "chen", much) == ("accepted", ("calls", "notes", "stage", "tags", "visits"), ())
    assert touched(place, "chen", lambda editor: editor.delete()) == ("accepted", ("_deleted",), ())


def test_a_refusal_tells_it_too_and_names_nobody_whom_the_policy_does_not(place):
    change = {"name": "B", "iban": "DE2"}
    assert touched(place, "anna", lambda editor: editor.update(change)) == ("forbidden", ("iban", "name"), ())
    assert touched(place, "anna", lambda editor: editor.update(change), "bea")[2] == ("bea",)
    assert touched(place, "anna", lambda editor: editor.update(change), "eve")[2] == ()


def test_what_a_renewed_record_brings_is_told(place):
    person = place.person("anna")
    person.edit(lambda editor: editor.update({"name": "B"}))
    whole = renewed(person.document).diff()
    (verdict,) = place.push("ben", whole).verdicts
    assert (verdict.touched.fields, verdict.touched.authors) == (("name",), ("anna",))


def test_names_that_no_field_has_are_told_to_nobody(place):
    parts = [raw.array("c.Not a field", [["x", 5, "anna"]]), raw.array("c.name", [["x", 5, "anna"]])]
    (verdict,) = place.push("anna", raw.update(parts, writer=900)).verdicts
    assert (verdict.code.value, verdict.touched.fields) == ("forbidden", ("name",))


def test_a_clock_is_not_poisoned_under_another_name(place):
    far = place.office.person(next(place.writers), (place.document.diff(),), "bea", time=1_900_000_000_000_000)
    assert place.told("anna", far.edit(lambda editor: editor.update({"phone": "9"}))) != ""


# --- imports -------------------------------------------------------------------------------------------------


def imported(person, source="crm.csv", **values):
    before = person.document.state_vector()
    bring(person.document, person.editor._schema, source, [ImportedChange("write", *each) for each in values.items()])
    remember(person.document, person.clock, person.editor._pen.actor, source, values)
    return person.document.diff(before)


def test_imports_take_a_grant_of_their_own(place):
    refused = place.told("anna", imported(place.person("anna"), name="A"))
    assert refused in ("name: 'anna' may not import here", "'anna' may not import here")
    assert place.told("chen", imported(place.person("chen"), name="A", iban="DE3")) == ""


def read_by(person, *columns, field=None):
    """What an import remembers of how its table was read, beside what that says of a field, if any."""
    before = person.document.state_vector()
    said = {COLUMNS: list(columns), **({} if field is None else {field: "x"})}
    remember(person.document, person.clock, person.editor._pen.actor, "crm.csv", said)
    return person.document.diff(before)


def test_how_a_table_was_read_is_no_field_and_comes_with_an_import(place):
    assert place.told("chen", read_by(place.person("chen"), "No.", field="name")) == ""
    assert place.told("chen", read_by(place.person("chen"), "E-mail")) == ""
    assert place.told("anna", read_by(place.person("anna"), "Name")) == "'anna' may not import here"
    assert place.told("kim", read_by(place.person("kim"), "Name")) == ""
    assert place.told("kim", read_by(place.person("kim"), "Name", field="iban")).startswith("iban: ")


def test_who_may_write_nothing_is_not_remembered_to_have_read_a_table(place):
    assert place.told("leo", read_by(place.person("leo"), "Name")) == "_source: 'leo' may not write this field"


def test_who_decides_takes_away_how_a_table_was_read_and_brings_nothing(place):
    assert place.told("chen", read_by(place.person("chen"), "No.", field="phone")) == ""
    assert place.told("rob", read_by(place.person("rob"), "Phone")) == "'rob' may not import here"
    rob = place.person("rob")
    before = rob.document.state_vector()
    with rob.document.transaction() as transaction:
        array = rob.document.array(transaction, "c._source")
        array.remove_range(transaction, 0, array.len(transaction))
    assert place.told("rob", rob.document.diff(before)) == ""


def test_lines_of_a_log_that_a_table_names_are_let_in_with_an_import(place):
    person = place.person("chen")
    before = person.document.state_vector()
    change = ImportedChange("append", "calls", "rang", at=1_600_000_000_000_000, by="old Mr. Meier")
    bring(person.document, place.office.schema, "calls.csv", [change])
    update = person.document.diff(before)
    assert place.told("anna", update) == "calls: an entry is signed by nobody that the policy names"
    assert place.told("chen", update) == ""


def test_what_filter_fields_show_is_told_before_and_after(place):
    assert Place().push("chen", place.document.diff()).shown == {"region": "North"}
    moved = place.push("ben", place.person("ben").edit(lambda editor: editor.update({"region": "South"})))
    assert moved.shown == {"region": "South"}
    assert place.push("ben", b"\x00\x00").shown == {"region": "South"}


def test_without_a_schema_only_what_holds_for_all_records_is_granted():
    held = Place()
    held.rules = Rules(held.rules.in_force, "customers", None)
    assert held.write("anna", name="A", region="North") == "'anna' may not write into this record"
    told = "iban: nothing says here what this field is: whoever keeps the schemas has to sync first"
    assert held.raw("bea", raw.array("c.iban", [["x", 1, "bea"]])) == told
    assert held.raw("guest", raw.array("c.iban", [["x", 1, "guest"]])) == "iban: 'guest' may not write this field"


@pytest.mark.parametrize("user", ["anna", "chen"])
def test_reasons_hold_no_value(place, user):
    person = Document.load((place.document.diff(),), 901)
    assert person is not None
    reason = place.write(user, iban="GEHEIM-9", phone="GEHEIM-8", actor="eve")
    assert reason
    assert "GEHEIM" not in reason


WRITES = st.lists(
    st.tuples(
        st.sampled_from(["anna", "ben", "bea", "chen", "dora", "eve"]),
        st.sampled_from(["anna", "ben", "chen"]),
        st.sampled_from(["name", "region", "phone", "iban", "born", "amount", "active", "stage"]),
        st.sampled_from(
            ["North", "South", "2026-01-02", "lead", "customer", "closed", "12.5", 7, True, None, "", "x" * 300]
        ),
        st.booleans(),
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=15, deadline=None)
@given(WRITES)
def test_what_is_let_in_at_a_glance_would_be_let_in_by_all_rules(writes):
    held = Place()
    held.write("chen", **BEGUN)
    for user, actor, field, value, keeps in writes:
        document, root = Document.load((held.document.diff(),), next(held.writers)), f"c.{field}"
        before, deletions = document.state_vector(), document.deletions()
        with document.transaction() as transaction:
            array = document.array(transaction, root)
            if not keeps and array.len(transaction):
                array.remove_range(transaction, 0, array.len(transaction))
            array.insert(transaction, array.len(transaction), [value, 1_700_000_000_000_001, actor])
        update = document.diff_of_edit(before, deletions)
        found = scan(update)
        lists = Lists(scan(held.document.diff()).items)
        fresh = [item for item in found.items if item.clock >= vectors.decode(before).get(item.writer, 0)]
        lists.add(fresh)
        values = held.rules.values(held.document)
        here = {
            (item.writer, clock): lists.name((item.writer, clock)).root
            for item in scan(held.document.diff()).items
            for clock in range(item.clock, item.clock + item.length)
        }
        plain = overwritten(update, found, fresh, here)
        touched = touches_of(update, found, fresh, lists, held.document.deletes())
        reason = permitted(held.rules, user, touched, values, held.document, repeat(document).__next__)
        if plain is not None and plainly_permitted(held.rules, user, plain, values):
            assert reason == ""
        assert held.told(user, update) == reason


def test_what_was_refused_is_not_where_the_next_one_stands(place):
    """Its operation may come again, in another field."""
    writer = next(place.writers)

    def written(root, entry):
        document = Document.load((place.document.diff(),), writer)
        before, deletions = document.state_vector(), document.deletions()
        with document.transaction() as transaction:
            array = document.array(transaction, root)
            array.remove_range(transaction, 0, array.len(transaction))
            array.insert(transaction, 0, entry)
        return document.diff_of_edit(before, deletions)

    assert place.told("bea", written("c.phone", ["1", 1_700_000_000_000_000, "bea"])) != ""
    iban = written("c.iban", ["x", 1_700_000_000_000_001, "chen"])
    assert place.told("chen", iban) == ""
    again = written("c.iban", ["y", 1_700_000_000_000_002, "anna"])
    assert place.told("anna", again) == "iban: 'anna' may not write this field"
