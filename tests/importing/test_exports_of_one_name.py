"""Plain exports of one name, of this device and of others: no count is added that may be here already."""

import csv

import pytest

from crdt_sync.exchange import ExportOptions, Exports, export_table, import_table
from tests.importing.conftest import Lines, meet

NAMES = ("ann", "ben", "carl")


class Office:
    """anna, who remembers what she exports, and bert, who does not; both export as `people`."""

    def __init__(self, devices, folder, names):
        self.anna, self.bert = devices("anna", "bert")
        self.folder, self.exports = folder, Exports(folder / "exports")
        for name in names:
            with self.anna.replica.edit(f"people/{name}", create=True) as person:
                person.update({"name": name, "city": "Bonn", "phone": f"+49 {name}"})
        meet(self.anna, self.bert)

    def count(self, device, number, *names):
        for name in names:
            with device.replica.edit(f"people/{name}") as person:
                person.increment("visits", number)

    def export(self, device, record_column=None):
        exports = self.exports if device is self.anna else None
        path = self.folder / "people.csv"
        options = ExportOptions(record_column=record_column)
        export_table(device.replica, "people", path, options, exports=exports, now=device.replica.wall_clock())
        with path.open(newline="") as stream:
            return [dict(row) for row in csv.DictReader(stream)]

    def take(self, rows, *, exports=True):
        table = Lines(tuple(rows[0]), [list(row.values()) for row in rows], "people")
        return import_table(self.anna.replica, table, "people", exports=self.exports if exports else None)

    def visits(self):
        return {view.raw["name"]: view.raw.get("visits", 0) for view in self.anna.replica.list("people")}


@pytest.fixture
def office(devices, tmp_path):
    return lambda names=NAMES: Office(devices, tmp_path, names)


@pytest.mark.parametrize("names", [NAMES, NAMES[:1]])
@pytest.mark.parametrize("since", [0, 1])
@pytest.mark.parametrize("ids", [None, "Id"])
def test_what_another_device_counted_and_exported_is_not_added_again(office, names, since, ids):
    office = office(names)
    office.export(office.anna, ids)
    office.count(office.bert, 5, *names)
    meet(office.anna, office.bert)
    rows = office.export(office.bert, ids)
    office.count(office.anna, since, *names)
    report = office.take(rows)
    assert office.visits() == dict.fromkeys(names, 5 + since)
    assert [(cell.here, cell.table, cell.kept) for cell in report.conflicts] == [(5 + since, 5, "later")] * len(names)
    head = office.anna.log_length()
    assert (office.take(rows).unchanged, office.anna.log_length()) == (len(names), head)
    office.take([{**row, "visits": "7"} for row in rows])
    assert office.visits() == dict.fromkeys(names, 7 + since)


def test_nor_what_came_here_together_with_more(office):
    office = office()
    office.export(office.anna)
    with office.bert.replica.edit("people/ann") as person:
        person["city"] = "Ulm"
    office.count(office.bert, 5, *NAMES)
    rows = office.export(office.bert)
    office.count(office.bert, 1, *NAMES)
    meet(office.anna, office.bert)
    office.take(rows)
    assert office.visits() == dict.fromkeys(NAMES, 6)


def test_an_own_export_is_known_by_what_was_counted_since_and_what_was_edited_in_it_counts(office):
    office = office()
    rows = office.export(office.anna)
    office.count(office.bert, 5, *NAMES)
    meet(office.anna, office.bert)
    office.take([{**row, "visits": "5"} if row["name"] == "ben" else row for row in rows])
    assert office.visits() == {"ann": 5, "ben": 10, "carl": 5}


@pytest.mark.parametrize("since", [0, 3])
def test_a_number_that_nobody_counted_to_is_an_edit(office, since):
    office = office(NAMES[:1])
    rows = office.export(office.anna)
    office.count(office.anna, since, "ann")
    office.take([{**row, "visits": "8"} for row in rows])
    assert office.visits() == {"ann": 8 + since}


def test_a_second_export_of_another_device_is_not_added_where_the_first_was_imported(office):
    office = office()
    for _ in range(2):
        office.count(office.bert, 5, *NAMES)
        meet(office.anna, office.bert)
        report = office.take(office.export(office.bert), exports=False)
    assert office.visits() == dict.fromkeys(NAMES, 10)
    assert {cell.kept for cell in report.conflicts} == {"later"}


def test_a_file_is_the_one_of_several_exports_that_says_most_of_its_cells(office):
    office = office()
    office.count(office.anna, 1, *NAMES)
    rows = office.export(office.anna)
    office.count(office.anna, 5, *NAMES)
    office.export(office.anna)
    office.take([{**row, "phone": f"+41 {row['name']}"} for row in rows])
    assert office.visits() == dict.fromkeys(NAMES, 6)
    assert {view.raw["phone"] for view in office.anna.replica.list("people")} == {f"+41 {name}" for name in NAMES}


def test_of_several_that_say_as_much_it_is_the_newest(office):
    office = office(NAMES[:1])
    office.export(office.anna)
    office.count(office.anna, 5, "ann")
    (row,) = office.export(office.anna)
    office.take([{**row, "visits": "7"}])
    assert office.visits() == {"ann": 7}
