"""A cell that was emptied in a table is counted and named, and cleared where somebody asks for it and it can be."""

import csv

import pytest

from crdt_sync.exchange import ExportOptions, Exports, export_table, import_table, open_table
from crdt_sync.records import parse_schema
from tests.importing.conftest import meet

HELD = {"phone": "1", "stage": "lead", "tags": ["old", "vip"], "visits": 3, "notes": "met in May"}
CLEARED = {"phone", "tags", "notes"}


class Sheet:
    """What a device exported, and what somebody made of it."""

    def __init__(self, device, folder, **options):
        self.path, self.exports = folder / "people.csv", Exports(folder / "exports")
        now = device.replica.wall_clock()
        exports = None if options.get("for_editing") else self.exports
        export_table(device.replica, "people", self.path, ExportOptions(**options), exports=exports, now=now)

    def empty(self, *fields):
        self.edit(**dict.fromkeys(fields, ""))

    def edit(self, **cells):
        with self.path.open(newline="") as lines:
            (row,) = csv.DictReader(lines)
        with self.path.open("w", newline="") as lines:
            writer = csv.DictWriter(lines, row)
            writer.writeheader()
            writer.writerow({**row, **cells})

    def bring(self, device, **options):
        return import_table(device.replica, open_table(self.path), "people", exports=self.exports, **options)


@pytest.fixture
def pair(devices):
    anna, bert = devices("anna", "bert")
    with anna.replica.edit("people/1", create=True) as person:
        person.update({"name": "Anna", **HELD})
        person.append("timeline", "called")
    meet(anna, bert)
    return anna, bert


@pytest.fixture(params=["for editing", "known here"])
def sheet(request, pair, tmp_path):
    options = {"for_editing": True} if request.param == "for editing" else {"record_column": "Id"}
    return Sheet(pair[0], tmp_path, **options)


def emptied(report):
    return {(cell.line, cell.field) for cell in report.emptied}


def test_emptied_cells_of_an_export_are_counted_and_what_they_held_stays(pair, sheet):
    anna, _ = pair
    before, head = anna.values(), anna.log_length()
    sheet.empty(*HELD, "timeline")
    for dry_run in (True, False, False):
        report = sheet.bring(anna, dry_run=dry_run)
        assert (report.unchanged, report.cells_emptied, report.cells_clearable) == (1, 6, 3)
        assert emptied(report) == {(2, field) for field in (*HELD, "timeline")}
    assert (anna.values(), anna.log_length()) == (before, head)
    (notes,) = [cell for cell in report.emptied if cell.field == "notes"]
    assert (notes.here, notes.table) == ("met in May", None)
    ways = {cell.field: cell.clears for cell in report.emptied}
    by_import = dict.fromkeys(CLEARED, "import")
    assert ways == {**by_import, "visits": "set", "stage": "", "timeline": ""}


def test_on_demand_values_texts_and_sets_are_cleared_and_the_rest_is_named(pair, sheet):
    anna, _ = pair
    sheet.empty(*HELD, "timeline")
    report = sheet.bring(anna, clear_empty=True)
    assert (report.updated, report.cells_written, report.cells_emptied, report.cells_clearable) == (1, 3, 3, 0)
    assert {cell.field for cell in report.emptied} == {"stage", "visits", "timeline"}
    assert {field for field in HELD if not anna.shows(field)} == CLEARED
    again = sheet.bring(anna, clear_empty=True)
    assert (again.unchanged, again.cells_written, again.cells_emptied) == (1, 0, 3)


def test_what_came_since_the_export_stays(pair, sheet):
    anna, _ = pair
    with anna.replica.edit("people/1") as person:
        person.add("tags", "new")
        person.text("notes").replace("met in May\ncalled in June")
        person["phone"] = "2"
    sheet.empty("phone", "tags", "notes")
    sheet.bring(anna, clear_empty=True)
    assert (anna.shows("tags"), anna.shows("notes"), anna.shows("phone")) == (["new"], "\ncalled in June", "2")


def test_members_that_are_cleared_before_they_arrive_are_asked_about_and_words_are_gone(devices, tmp_path):
    anna, bert = devices("anna", "bert")
    with anna.replica.edit("people/1", create=True) as person:
        person["name"] = "Anna"
    meet(anna, bert)
    with anna.replica.edit("people/1") as person:
        person.update({"tags": ["vip"], "notes": "met in May"})
    sheet = Sheet(anna, tmp_path, for_editing=True)
    sheet.empty("tags", "notes")
    sheet.bring(bert, clear_empty=True)
    meet(anna, bert)
    assert bert.replica.get("people/1").conflicts == ("tags",)
    assert (anna.shows("notes"), bert.shows("notes")) == (None, None)


def test_cells_of_a_table_that_became_empty_are_counted_too(devices):
    (anna,) = devices("anna")
    columns = ["name", "phone", "notes", "tags", "visits", "city"]
    anna.take(columns, ("1", "Anna", "1", "met", "vip", "3", ""))
    report = anna.take(columns, ("1", "Anna", "", "", "", "", ""))
    assert (report.unchanged, report.cells_emptied, report.cells_clearable) == (1, 4, 1)
    report = anna.take(columns, ("1", "Anna", "", "", "", "", ""), clear_empty=True)
    assert (report.updated, report.cells_emptied, report.cells_clearable) == (1, 3, 0)
    assert (anna.shows("phone"), anna.shows("notes"), anna.shows("tags"), anna.shows("visits")) == (
        None,
        "met",
        ["vip"],
        3,
    )


def test_a_required_value_cannot_be_cleared(devices):
    schema = parse_schema('collection = "people"\nversion = 1\n[fields.name]\nrequired = true\n', "test")
    (anna,) = devices("anna", schema=schema)
    anna.take(["name"], ("1", "Anna"))
    report = anna.take(["name"], ("1", ""), clear_empty=True)
    assert (report.cells_emptied, report.cells_clearable, anna.shows("name")) == (1, 0, "Anna")


def test_what_is_empty_here_by_now_or_was_never_there_is_not_counted(pair, sheet):
    anna, _ = pair
    sheet.empty(*HELD, "timeline", "city")
    with anna.replica.edit("people/1") as person:
        for field in ("phone", "tags", "notes", "timeline"):
            person.clear(field)
    report = sheet.bring(anna)
    assert {cell.field for cell in report.emptied} == {"stage", "visits"}
