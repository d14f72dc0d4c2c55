"""A cell that could not be read is left out, and entered again as the import asks: that is the same customer."""

import pytest

from crdt_sync.exchange import import_table
from crdt_sync.records import parse_schema
from tests.importing.conftest import Device, Lines

PEOPLE = parse_schema(
    'collection = "people"\nversion = 1\n[fields.name]\n[fields.email]\n[fields.phone]\n[fields.city]\n'
    '[fields.birthday]\ntype = "date"\n',
    "test",
)
ROUNDED, WHOLE = "4.91712E+11", "+49 171 234567"


@pytest.fixture
def anna(devices):
    (device,) = devices("anna", schema=PEOPLE)
    return device


def take(device: Device, columns, *rows, **options):
    return import_table(device.replica, Lines(columns, rows), "people", **options)


TABLES = {
    "the only row": (("Name", "Phone"), [("Nora", ROUNDED)], [("Nora", WHOLE)]),
    "the key of one row": (
        ("Name", "E-mail", "Phone"),
        [("Anna", "a@x.example", "1"), ("Nora", "", ROUNDED)],
        [("Anna", "a@x.example", "1"), ("Nora", "", WHOLE)],
    ),
    "a key that was missing": (
        ("Name", "E-mail", "City"),
        [("Anna", "a@x.example", "Ulm"), ("Nora", "", "Kiel")],
        [("Anna", "a@x.example", "Ulm"), ("Nora", "n@x.example", "Kiel")],
    ),
    "without any key": (
        ("Name", "City", "Birthday"),
        [("Anna", "Ulm", "1980-01-02"), ("Nora", "Kiel", "someday")],
        [("Anna", "Ulm", "1980-01-02"), ("Nora", "Kiel", "1981-03-04")],
    ),
}


@pytest.mark.parametrize(("columns", "first", "repaired"), TABLES.values(), ids=TABLES)
def test_a_cell_that_is_entered_again_makes_no_second_customer(anna, columns, first, repaired):
    take(anna, columns, *first)
    before = {view.record for view in anna.replica.list("people")}
    report = take(anna, columns, *repaired)
    assert (report.created, report.updated, report.rows_gone) == (0, 1, 0)
    assert {view.record for view in anna.replica.list("people")} == before
    assert take(anna, columns, *repaired).unchanged == len(repaired)
    (nora,) = [view.raw for view in anna.replica.list("people") if view.raw["name"] == "Nora"]
    assert set(repaired[-1]) - {""} == set(nora.values())


@pytest.mark.parametrize(
    ("first", "then"),
    [
        ([("Nora", "", "Kiel")], [("Nora", "1", "Ulm")]),  # says something else
        ([("Nora", "", "Kiel")], [("Nora", "", "Kiel"), ("Nora", "1", "Kiel")]),  # the first is still there
        ([("Nora", "", "Kiel")], [("Nora", "1", "Kiel"), ("Nora", "2", "Kiel")]),  # which of them?
        ([("Nora", "", "Kiel"), ("Nora", "", "Kiel ")], [("Nora", "1", "Kiel")]),
        ([("Nora", "", "Kiel")], [("Nora", "1", "")]),
        ([("", "", "Kiel")], [("", "1", "Kiel")]),  # nobody's name
    ],
)
def test_who_may_be_another_is_another(anna, first, then):
    columns = ("Name", "Phone", "City")
    take(anna, columns, *first)
    before = {view.record for view in anna.replica.list("people")}
    take(anna, columns, *then)
    assert len({view.record for view in anna.replica.list("people")} - before) >= 1


def test_whole_rows_that_were_asked_for_stay_whole(anna):
    take(anna, ("Name", "Phone"), ("Nora", ""), key_columns=None)
    assert take(anna, ("Name", "Phone"), ("Nora", "1"), key_columns=None).created == 1
