"""An export for editing that is imported where what it was edited from has not arrived yet.

What was typed into it supersedes what it was edited from, wherever the two meet, and is in conflict with all else.
"""

import csv

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crdt_sync.exchange import ExportOptions, export_table, import_table, open_table
from crdt_sync.limits import REPLACED_MAX
from crdt_sync.records import conflicts_of, parse_schema, replaced
from tests.importing.conftest import Device, Lines, meet

SCHEMA = parse_schema(
    """
collection = "people"
version = 1
[fields.name]
[fields.city]
[fields.employees]
type = "integer"
[fields.phone]
kind = "review"
[fields.score]
kind = "rating"
[fields.stage]
kind = "stage"
states = ["lead", "qualified", "negotiating", "won"]
[fields.stage.transitions]
lead = ["qualified"]
qualified = ["negotiating", "lead"]
negotiating = ["won", "qualified"]
won = ["lead"]
""",
    "test",
)
VALUES = {  # what was there, what the exporter typed, what was edited in the export, what others type
    "city": ("Kiel", "Ulm", "Bonn", "Jena"),
    "employees": (1, 20, 3, 40),
    "phone": ("1", "a phone that no mark holds whole", "3", "4"),
    "score": (1, 5, 3, 4),
    "stage": ("lead", "qualified", "negotiating", "qualified"),
}
RECORD = "people/1"


class Office:
    """anna, who exports; bert, to whom her last edits have not come; desk, which has what anna had then."""

    def __init__(self, folder, field, *, typed=True) -> None:
        now = [1_700_000_000_000_000]
        self.field, self.path = field, folder / "people.csv"
        self.before, self.exported, self.edited, self.other = VALUES[field]
        self.anna, self.bert, self.desk = (Device(name, now, SCHEMA) for name in ("anna", "bert", "desk"))
        with self.anna.replica.edit(RECORD, create=True) as person:
            person.update({"name": "Anna", **({field: self.before} if typed else {})})
        meet(self.anna, self.bert)

    def type(self, device, value) -> None:
        with device.replica.edit(RECORD) as person:
            if person.conflict(self.field) is None:
                person[self.field] = value
            else:
                person.resolve(self.field, value)

    def export(self) -> None:
        anna = self.anna.replica
        export_table(anna, "people", self.path, ExportOptions(for_editing=True), now=anna.clock.latest())

    def edit(self, value) -> None:
        with self.path.open(newline="") as stream:
            headers, row = csv.reader(stream)
        row[next(at for at, header in enumerate(headers) if header.casefold() == self.field)] = str(value)
        with self.path.open("w", newline="") as stream:
            csv.writer(stream).writerows([headers, row])

    def take(self, device):
        report = import_table(device.replica, open_table(self.path), "people")
        assert not report.failures
        assert not report.cells_failed
        return report

    def leave(self) -> None:
        """The exporter types, exports, and somebody edits the file."""
        self.type(self.anna, self.exported)
        self.export()
        self.edit(self.edited)

    def shown(self, device):
        """What the field shows, and all that is listed, whatever waits for a decision."""
        device.restart()
        found = conflicts_of(device.replica.document(RECORD), SCHEMA, all_kinds=True)
        assert bool(found) == (self.field in device.replica.get(RECORD).conflicts) or self.field not in (
            "phone",
            "stage",
        )
        listed = {entry.value for conflict in found if conflict.field == self.field for entry in conflict.entries}
        return device.replica.get(RECORD).raw.get(self.field), listed

    def met(self, *devices):
        """What all show once they have met."""
        devices = devices or (self.anna, self.bert)
        meet(*devices)
        meet(*devices)
        (both,) = {(shown, frozenset(listed)) for shown, listed in map(self.shown, devices)}
        return both


@pytest.fixture(params=VALUES)
def office(tmp_path, request):
    office = Office(tmp_path, request.param)
    office.leave()
    return office


def test_it_supersedes_what_it_was_edited_from_and_nothing_is_left(office):
    assert office.take(office.bert).cells_both_changed == 1
    assert office.shown(office.bert)[1] == {office.before, office.edited}
    assert office.met() == (office.edited, frozenset())
    for device in (office.anna, office.bert):
        head = device.log_length()
        assert office.take(device).unchanged == 1
        assert device.log_length() == head


def test_also_where_the_exporter_imports_the_same_file(office):
    office.take(office.bert)
    office.take(office.anna)
    assert office.met() == (office.edited, frozenset())


def test_what_the_exporter_typed_since_is_in_conflict_with_it_alone(office):
    office.take(office.bert)
    office.type(office.anna, office.other if office.field != "stage" else "lead")
    shown, listed = office.met()
    assert listed == {office.other if office.field != "stage" else "lead", office.edited}
    assert shown in listed


def test_what_was_typed_again_after_the_export_is_no_longer_what_was_edited(office):
    office.take(office.bert)
    office.type(office.anna, "lead" if office.field == "stage" else office.other)
    office.type(office.anna, office.exported)
    assert office.met()[1] == {office.exported, office.edited}


def test_whoever_writes_over_it_has_replaced_what_it_replaced(office):
    office.take(office.bert)
    office.type(office.bert, "lead" if office.field == "stage" else office.other)
    assert office.met() == ("lead" if office.field == "stage" else office.other, frozenset())


def test_an_edit_of_the_file_after_the_import_replaces_both(office):
    office.take(office.bert)
    last = {"city": "Essen", "employees": 9, "phone": "9", "score": 9, "stage": "won"}[office.field]
    office.edit(last)
    office.take(office.bert)
    assert office.met() == (last, frozenset())


def test_what_was_typed_here_alike_is_the_decision_too(office):
    if office.field == "stage":
        office.type(office.bert, "qualified")
    office.type(office.bert, office.edited)
    assert office.take(office.bert).cells_both_changed == 0
    assert office.met() == (office.edited, frozenset())


def test_a_stage_goes_only_where_it_may_from_what_was_edited(tmp_path):
    office = Office(tmp_path, "stage")
    office.leave()
    office.edit("won")
    report = import_table(office.bert.replica, open_table(office.path), "people")
    assert [problem.code for problem in report.failed] == ["invalid_transition"]
    assert office.met() == ("qualified", frozenset())


def test_a_stage_that_was_changed_here_since_waits_for_a_decision(tmp_path):
    office = Office(tmp_path, "stage")
    office.leave()
    meet(office.anna, office.bert)
    office.type(office.bert, "lead")
    (cell,) = office.take(office.bert).conflicts
    assert cell.kept == "open"
    assert office.met()[1] == {"lead", "negotiating"}


def test_what_a_table_said_is_replaced_until_it_says_it_anew(tmp_path):
    office = Office(tmp_path, "phone", typed=False)

    def crm(phone):
        table = Lines(("Id", "phone"), [(RECORD, phone)], "crm")
        import_table(office.anna.replica, table, "people", record_column="Id")

    crm("2")
    office.export()
    office.edit("3")
    office.take(office.bert)
    assert office.met() == ("3", frozenset())
    crm("8")
    assert office.met() == ("3", {"3", "8"})
    crm("2")
    assert office.met() == ("3", {"3", "2"})


def test_a_field_that_was_empty_or_cleared_is_what_was_edited_too(tmp_path):
    office = Office(tmp_path, "city")
    with office.anna.replica.edit(RECORD) as person:
        person["city"] = None
    office.export()
    office.edit("Bonn")
    office.take(office.bert)
    assert office.shown(office.bert) == ("Kiel", {"Kiel", "Bonn"})
    assert office.met() == ("Bonn", frozenset())


steps = st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 2)), max_size=4)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(sorted(VALUES)), steps, steps, st.sampled_from([0, 1, 2, 3]), st.booleans())
def test_it_is_as_if_it_had_been_imported_where_it_was_exported(tmp_path_factory, field, before, after, edited, later):
    """The same story twice: bert imports the file, who lacks what the exporter typed, or desk, who has it."""
    found = [play(tmp_path_factory.mktemp("office"), field, before, after, edited, later, where) for where in "bd"]
    assert found[0] == found[1]


def play(folder, field, before, after, edited, later, where):
    office = Office(folder, field)
    pool = {"stage": ("lead", "qualified", "lead"), "phone": ("5", "6", "7"), "city": ("Jena", "Hof", "Ulm")}
    values = pool.get(field, (4, 5, 6))

    def write(who, number):
        device = office.anna if who == "a" else office.bert
        if device.replica.get(RECORD).raw[field] != values[number]:
            office.type(device, values[number])

    for step in before:
        write(*step)
    meet(office.anna, office.desk)
    office.export()
    told = office.anna.replica.get(RECORD).raw[field]
    value = (*values, VALUES[field][2])[edited]
    if field == "stage":
        value = {"lead": "qualified", "qualified": "negotiating"}[told]
    office.edit(value)
    office.take(office.bert if where == "b" else office.desk)
    for who, number in after:
        if who == "a":
            write(who, number)
    if later and edited == 3:  # else somebody may have typed the same, and what follows takes the place of both
        office.edit({"stage": told, "city": "Essen", "phone": "a phone that is rather long"}.get(field, 99))
        office.take(office.bert if where == "b" else office.desk)
    return office.met(office.anna, office.bert, office.desk)


def test_an_import_that_does_not_say_what_it_replaces_is_noticed(tmp_path_factory, monkeypatch):
    monkeypatch.setattr(replaced, "replaced_by", lambda entry: [])
    found = [play(tmp_path_factory.mktemp("office"), "city", [("a", 0)], [], 3, False, where) for where in "bd"]
    assert found[0] != found[1]


def entry(value, stamp=0, actor="@x", *more):
    return [value, stamp, actor, *more]


@pytest.mark.parametrize(
    "fourth",
    [None, 1, "x", [], {}, [1], [["a"]], [["a", "1"]], [["a", -1]], [["a", True]], [[["a"], 1]], [["a", 1 << 60]]],
)
def test_whatever_stands_in_the_fourth_place_is_read(fourth):
    entries = [entry("a", 1, "p", fourth), entry({"a": 1}, 2, "p", fourth)]
    assert replaced.standing(entries, None) == entries


def test_entries_that_replace_each_other_all_stand_and_few_replacements_count():
    ring = [entry("a", 1, "p", [["b", 9]]), entry("b", 2, "p", [["a", 9]])]
    assert replaced.standing(ring, None) == ring
    many = [[f"v{number}", number] for number in range(4 * REPLACED_MAX)]
    assert len(replaced.replaced_by(entry("a", 1, "p", many))) == REPLACED_MAX
    ((kept),) = replaced.fourth("a", [entry("b", 1, "p", many)])
    assert kept == many[: -REPLACED_MAX - 1 : -1]


def test_what_has_arrived_or_is_old_is_taken_over_no_more():
    import_ = entry("b", 0, "@x", [["a", 5]])
    assert replaced.fourth("c", [import_]) == [[["a", 5]]]
    assert replaced.fourth("c", [import_, entry("a", 4, "p")]) == []
    assert replaced.fourth("c", [import_, entry("a", 6, "p")]) == [[["a", 5]]]
    assert replaced.fourth("a", [import_]) == []
    assert replaced.fourth("c", [import_], after=6) == []
    assert replaced.fourth("c", [import_], [("a", 9), ("b", 2)], after=6) == [[["a", 9], ["b", 2]]]
