"""An export that is imported on a device which has none of its records."""

import csv

import pytest

from crdt_bench.people import GUESTS
from crdt_sync import bundled_schema
from crdt_sync.errors import InvalidTable
from crdt_sync.exchange import ExportOptions, export_table, import_table
from crdt_sync.exchange.suspects import suspects
from tests.importing.conftest import Lines, meet

CUSTOMERS = bundled_schema("customers")
PEOPLE = (
    {"name": "Anna Blum", "city": "Kiel", "notes": "met in May", "tags": ["vip"]},
    {"name": "Ben Koch", "visits": 1},
    {"name": "Carl Orff", "stage": "lead", "tags": ["a", "b"]},
)
PLAIN, IDS = ExportOptions(), ExportOptions(record_column="Id")


@pytest.fixture
def office(devices, tmp_path):
    """Two devices, the first with customers, and what gives the rows of its export with their headers."""

    def make(schema=CUSTOMERS, people=PEOPLE, options=PLAIN):
        anna, bert = devices("anna", "bert", schema=schema)
        for values in people:
            with anna.replica.edit(schema.collection) as person:
                for field, value in values.items():
                    if field == "timeline":
                        person.append(field, value)
                    else:
                        person[field] = value
        path = tmp_path / "out.csv"
        export_table(anna.replica, schema.collection, path, options)
        with path.open(encoding="utf-8", newline="") as stream:
            return anna, bert, list(csv.reader(stream))

    return make


def take(device, rows, **options):
    return import_table(device.replica, Lines(rows[0], rows[1:], "out"), device.schema.collection, **options)


@pytest.mark.parametrize("dry_run", [False, True])
def test_records_with_ids_are_waited_for(office, dry_run):
    anna, bert, rows = office(options=IDS)
    report = take(bert, rows, dry_run=dry_run)
    assert (report.record_column, report.created, report.failures) == ("Id", 0, len(PEOPLE))
    assert {(problem.code, problem.column) for problem in report.failed} == {("record_unknown", "Id")}
    assert "sync first" in report.failed[0].message
    assert not list(bert.replica.list())
    meet(anna, bert)
    assert take(bert, rows).unchanged == len(PEOPLE)
    assert bert.values() == anna.values()


def test_of_some_that_have_arrived_only_the_others_are_waited_for(office):
    anna, bert, rows = office(options=IDS)
    meet(anna, bert)
    with anna.replica.edit("customers") as person:
        person["name"] = "Dora"
    (new,) = {view.record for view in anna.replica.list()} - {view.record for view in bert.replica.list()}
    added = [new, "Dora", *[""] * (len(rows[0]) - 2)]
    without_id = ["", "Emil", *[""] * (len(rows[0]) - 2)]
    report = take(bert, [*rows, added, without_id])
    assert (report.unchanged, report.created, report.failures) == (len(PEOPLE), 1, 1)


def test_whoever_names_the_column_makes_the_same_records(office):
    anna, bert, rows = office(options=IDS)
    assert take(bert, rows, record_column="Id").created == len(PEOPLE)
    assert {view.record for view in bert.replica.list()} == {view.record for view in anna.replica.list()}


def test_a_collection_that_is_not_here_is_waited_for(office):
    _, bert, rows = office(options=IDS)
    rows = [[cell.replace("customers/", "clients/") for cell in row] for row in rows]
    table = Lines(rows[0], rows[1:], "clients")
    with pytest.raises(InvalidTable, match="'Id' names records of 'clients', which is not on this device"):
        import_table(bert.replica, table, "clients")
    assert import_table(bert.replica, table, "clients", record_column="Id").created == len(PEOPLE)


def test_a_column_of_other_ids_is_none_of_records(office):
    _, bert, rows = office()
    plain = [["Shop id", *rows[0]], *([f"customers/{number}", *row] for number, row in enumerate(rows[1:]))]
    assert take(bert, plain).record_column is None


def test_without_ids_they_are_there_twice_and_all_are_listed(office):
    anna, bert, rows = office()
    report = take(bert, rows)
    assert (report.looks_exported, report.created) == (True, len(PEOPLE))
    meet(anna, bert)
    found = suspects("customers", CUSTOMERS.fields, bert.replica.list("customers"))
    assert sorted(len(group.records) for group in found) == [2] * len(PEOPLE)
    assert all(group.names_agree for group in found)


def test_by_natural_key_they_are_the_same_and_no_line_is_twice(office):
    anna, bert, rows = office(GUESTS, [{"email": "a@x.example", "name": "Anna", "timeline": "called"}])
    assert take(bert, rows).created == 1
    meet(anna, bert)
    assert [line["value"] for line in bert.shows("timeline")] == ["called"]
    assert anna.values() == bert.values()
