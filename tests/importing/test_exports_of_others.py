"""A plain export without keys that was edited in a spreadsheet, and is imported on a device that did not write it."""

import csv

import pytest

from crdt_sync import bundled_schema
from crdt_sync.errors import AlreadyHere
from crdt_sync.exchange import ExportOptions, export_table, import_table
from tests.importing.conftest import Lines, meet

NAMES = ("Ann", "Ben", "Carl", "Dora", "Emil")


@pytest.fixture
def pair(devices):
    """Two devices with the same customers, who were typed in on the first."""
    anna, bert = devices("anna", "bert", schema=bundled_schema("customers"))
    for name in NAMES:
        with anna.replica.edit("customers") as customer:
            customer.update({"name": name, "city": "Bonn", "country": "Germany"})
    meet(anna, bert)
    return anna, bert


@pytest.fixture
def sheet(pair, tmp_path):
    """The rows of an export of the first device, with their headers."""
    export_table(pair[0].replica, "customers", tmp_path / "out.csv", ExportOptions())
    with (tmp_path / "out.csv").open(encoding="utf-8", newline="") as stream:
        return list(csv.reader(stream))


def take(device, rows, **options):
    return import_table(device.replica, Lines(rows[0], rows[1:], "out"), "customers", **options)


def place(rows, name):
    return next(at for at, row in enumerate(rows) if row[0] == name)


def cities(device):
    return sorted((view["name"], view["city"]) for view in device.replica.list("customers"))


def edited(rows, name, city):
    column = rows[0].index("City")
    return [[*row[:column], city, *row[column + 1 :]] if row[0] == name else row for row in rows]


def test_a_row_that_nobody_edited_is_its_record(pair, sheet):
    before = pair[1].values()
    assert take(pair[1], sheet).unchanged == len(NAMES)
    assert take(pair[1], [sheet[0], *sheet[:0:-1]]).unchanged == len(NAMES)
    assert {record: raw for record, (raw, _) in pair[1].values().items()} == {
        record: raw for record, (raw, _) in before.items()
    }


def test_an_edited_row_is_the_record_at_its_place_and_only_that_cell_changes(pair, sheet):
    report = take(pair[1], edited(sheet, "Carl", "Hamburg"))
    assert (report.created, report.updated, report.cells_written) == (0, 1, 1)
    assert cities(pair[1]) == [(name, "Hamburg" if name == "Carl" else "Bonn") for name in NAMES]
    again = take(pair[1], edited(sheet, "Carl", "Ulm"))
    assert (again.created, again.updated) == (0, 1)
    assert ("Carl", "Ulm") in cities(pair[1])


def test_columns_that_were_deleted_do_not_matter(pair, sheet):
    kept = [sheet[0].index(header) for header in ("Name", "Company", "Phone", "City", "Country")]
    few = [[row[at] for at in kept] for row in edited(sheet, "Ben", "Kiel")]
    report = take(pair[1], few)
    assert (report.created, cities(pair[1])[1], report.looks_exported) == (0, ("Ben", "Kiel"), False)
    assert take(pair[1], sheet).looks_exported


def test_what_was_changed_here_meanwhile_is_not_undone(pair, sheet):
    anna, bert = pair
    carl = next(view.record for view in bert.replica.list("customers") if view["name"] == "Carl")
    with bert.replica.edit(carl) as customer:
        customer["city"] = "Ulm"
    assert take(bert, sheet).created == 0
    assert ("Carl", "Ulm") in cities(bert)
    meet(anna, bert)
    assert cities(anna) == cities(bert)


def by_city(rows):
    return [rows[0], *sorted(rows[1:], key=lambda row: row[rows[0].index("City")])]


def test_edited_rows_that_were_sorted_are_the_records_with_their_names(pair, sheet):
    report = take(pair[1], by_city(edited(edited(sheet, "Ben", "Kiel"), "Emil", "Ulm")))
    assert (report.created, report.updated) == (0, 2)
    assert dict(cities(pair[1])) == {name: {"Ben": "Kiel", "Emil": "Ulm"}.get(name, "Bonn") for name in NAMES}


def test_several_edited_rows_that_were_sorted_and_renamed_are_asked_about(pair, sheet):
    renamed = {"Ben": "Bernd", "Emil": "Erik"}
    rows = [[renamed.get(row[0], row[0]), *row[1:]] for row in sheet]
    rows = [rows[0], *rows[:0:-1]]
    before = pair[1].values()
    with pytest.raises(AlreadyHere) as raised:
        take(pair[1], [rows[0], rows[2], rows[1], *rows[3:]])
    assert raised.value.rows > 0
    assert pair[1].values() == before
    assert "export FILE --for-editing" in raised.value.hint
    assert "--as-new" in raised.value.hint
    assert take(pair[1], rows, as_new=True).created == 2


def test_rows_that_were_added_are_new(pair, sheet):
    new = ["Fritz", *[""] * (len(sheet[0]) - 1)]
    assert take(pair[1], [*sheet, new]).created == 1
    assert len(cities_of_all(pair[1])) == len(NAMES) + 1


def cities_of_all(device):
    return list(device.replica.list("customers"))


def test_a_form_of_headers_filled_in_for_others_is_new(pair, sheet):
    city = sheet[0].index("Country") - 1
    rows = [[name, *[""] * (city - 1), "Oslo", *[""] * (len(sheet[0]) - city - 1)] for name in ("Gerd", "Hans")]
    assert take(pair[1], [sheet[0], *rows]).created == 2
    assert take(pair[1], [sheet[0], *rows]).unchanged == 2
