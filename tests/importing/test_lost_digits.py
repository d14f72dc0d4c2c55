"""Phones, postal codes and ids that a spreadsheet damaged are named, and never written over what is here."""

import openpyxl
import pytest

from crdt_sync.exchange import import_table, open_table
from crdt_sync.exchange.lost_digits import is_rounded, only_lost_digits
from crdt_sync.records.schema import bundled_schema, parse_schema
from tests.importing.conftest import Lines

SCHEMA = bundled_schema("customers")


@pytest.fixture
def replica(devices):
    (anna,) = devices("anna", schema=SCHEMA)
    return anna.replica


def take(replica, columns, *rows, **options):
    return import_table(replica, Lines(columns, rows), "customers", **options)


@pytest.mark.parametrize("text", ["3,01E+08", "4.93E+10", "1E+05", " 4,93e+10 ", "-3,01E+08"])
def test_a_number_in_short_is_refused_and_what_is_here_stays(replica, text):
    columns = ("Nr", "Name", "Phone", "Postal code", "Mobile")
    take(replica, columns, ("1", "Anna", "+4930123456", "01067", "0171 1"))
    report = take(replica, columns, ("1", "Anna B", text, text, text))
    assert [(each.column, each.code) for each in report.failed] == [
        ("Phone", "invalid_value"),
        ("Postal code", "invalid_value"),
        ("Mobile", "invalid_value"),
    ]
    assert "its last digits are lost. Format the column as text" in report.failed[0].message
    (record,) = replica.list("customers")
    held = [record.raw[name] for name in ("name", "phone", "postal_code", "phones")]
    assert held == ["Anna B", "+4930123456", "01067", ["0171 1"]]


def test_notes_and_codes_of_products_may_look_so(replica):
    assert not is_rounded("E+08")
    assert not is_rounded("12E4")
    assert take(replica, ("Nr", "Name", "Notes"), ("1", "3,01E+08", "1E+05")).failures == 0


def test_numbers_in_short_identify_nobody(replica):
    columns = ("Nr", "Name", "E-mail")
    rows = (("4,93E+10", "Anna", "a@x"), ("4,93E+10", "Anna", "a@x"), ("7", "Ben", "b@x"), ("8", "Cara", "c@x"))
    report = take(replica, columns, *rows, key_columns=["Nr"])
    assert ([each.line for each in report.failed], report.created) == ([2, 3], 2)
    assert {each.column for each in report.failed} == {"Nr"}


def test_a_column_of_numbers_in_short_is_no_key(replica):
    report = take(replica, ("Name", "Phone"), ("Anna", "3,01E+08"), ("Ben", "4,93E+10"))
    assert (report.key, report.created, report.cells_failed) == ((), 2, 2)


@pytest.mark.parametrize(
    ("here", "table", "lost"),
    [
        ("01067", "1067", True),
        ("+49 30 123", "4930123", True),
        ("+49 30 123", "49 30 123", False),
        ("030 123", "30123", True),
        ("0049 30 1", "49301", True),
        ("01067", "1068", False),
        ("1067", "01067", False),
        ("10670", "1067", False),
        ("30123", "30123", False),
        (None, "1067", False),
    ],
)
def test_what_counts_as_digits_lost(here, table, lost):
    assert only_lost_digits("phone", SCHEMA.fields["phone"], here, table) is lost
    assert only_lost_digits("postal_code", SCHEMA.fields["postal_code"], here, table) is lost
    assert not only_lost_digits("name", SCHEMA.fields["name"], here, table)


def test_a_postal_code_without_its_zero_is_named_and_not_written(replica):
    columns = ("Nr", "Name", "Postal code", "Phone")
    take(replica, columns, ("1", "Anna", "01067", "030 123"))
    report = take(replica, columns, ("1", "Anna", "1067", "30123"))
    assert [each.code for each in report.failed] == ["digits_lost", "digits_lost"]
    (record,) = replica.list("customers")
    assert (record.raw["postal_code"], record.raw["phone"]) == ("01067", "030 123")
    assert take(replica, columns, ("1", "Anna", "01069", "031 123")).updated == 1


def test_a_sheet_that_shows_a_number_in_short_has_it_whole(replica, tmp_path):
    workbook = openpyxl.Workbook()
    sheet = workbook.active
    sheet.append(["Nr", "Name", "Phone"])
    sheet.append([4930123456, "Anna", 301234567])
    sheet.append([4930123457, "Ben", 301234568])
    for row in (2, 3):
        sheet.cell(row, 1).number_format = sheet.cell(row, 3).number_format = "0.00E+00"
    workbook.save(tmp_path / "a.xlsx")
    report = import_table(replica, open_table(tmp_path / "a.xlsx"), "customers")
    assert (report.key, report.created, report.failures, report.cells_failed) == (("Nr",), 2, 0, 0)
    assert {record.raw["phone"] for record in replica.list("customers")} == {"301234567", "301234568"}


def test_a_phone_that_identifies_a_row_and_lost_its_zero_makes_nobody_new(replica):
    columns = ("Name", "City", "Phone")
    take(replica, columns, ("Anna", "Ulm", "0301"), ("Ben", "Ulm", "0302"))
    report = take(replica, columns, ("Anna", "Bonn", "301"), ("Ben", "Ulm", "302"), ("Cara", "Ulm", "301"))
    assert (report.key, report.created, report.updated) == (("Phone",), 1, 1)
    assert [(each.line, each.code) for each in report.failed] == [(2, "digits_lost"), (3, "digits_lost")]
    assert sorted(record.raw["phone"] for record in replica.list("customers")) == ["0301", "0302", "301"]


KUNDEN = ("Kundennummer", "Name", "Visits")


def lost(report):
    return [(each.line, each.column, each.code) for each in report.failed]


@pytest.mark.parametrize("options", [{}, {"key_columns": ["Kundennummer"]}])
@pytest.mark.parametrize("number", ["17", 17])
def test_a_number_that_lost_its_zeros_makes_nobody_new(replica, options, number):
    take(replica, KUNDEN, ("00017", "Meier", "1"), ("00018", "Klein", "1"), ("20", "Kurz", "1"), **options)
    report = take(replica, KUNDEN, (number, "Mayer", "2"), ("00018", "Klein", "3"), ("21", "Neu", "1"), **options)
    assert (lost(report), report.created, report.updated) == ([(2, "Kundennummer", "digits_lost")], 1, 1)
    assert "'17'" in report.failed[0].message
    assert sorted(record.raw["name"] for record in replica.list("customers")) == ["Klein", "Kurz", "Meier", "Neu"]
    assert take(replica, KUNDEN, ("17", "Mayer", "2"), as_new=True, **options).created == 1


def test_a_number_that_got_its_zeros_back_makes_nobody_new(replica):
    take(replica, KUNDEN, ("17", "Meier", "1"), ("18", "Klein", "1"))
    report = take(replica, KUNDEN, ("00017", "Mayer", "1"), ("18", "Klein", "1"))
    assert (lost(report), report.created) == ([(2, "Kundennummer", "digits_lost")], 0)


def test_numbers_of_one_table_that_differ_in_zeros_are_two_customers(replica):
    rows = (("017", "Meier", "1"), ("17", "Klein", "1"))
    assert take(replica, KUNDEN, *rows).created == 2
    assert take(replica, KUNDEN, *rows).unchanged == 2


def test_a_number_of_another_source_may_differ_in_zeros(replica):
    take(replica, KUNDEN, ("00017", "Meier", "1"), ("00018", "Klein", "1"))
    report = take(replica, KUNDEN, ("17", "Zoe", "1"), ("18", "Max", "1"), source="others")
    assert (report.created, report.failures) == (2, 0)


@pytest.mark.parametrize("natural", [True, False])
def test_a_number_in_a_field_that_lost_its_zeros_makes_nobody_new(devices, natural):
    key = 'natural_key = ["number"]\n' if natural else ""
    schema = f'collection = "members"\nversion = 1\n{key}[fields.number]\n[fields.name]\n'
    (anna,) = devices("anna", schema=parse_schema(schema, "test"))

    def brought(*rows):
        return import_table(
            anna.replica, Lines(("number", "name"), rows), "members", key_columns=[] if natural else ["number"]
        )

    brought(("0017", "Meier"))
    report = brought(("17", "Mayer"), ("18", "Klein"))
    assert (lost(report), report.created) == ([(2, "number", "digits_lost")], 1)


@pytest.mark.parametrize(("here", "table"), [("089 1", "89 1"), ("(0)89/1", "89/1")])
def test_a_phone_of_several_parts_without_its_zero_is_named_and_not_written(replica, here, table):
    columns = ("Name", "Phone")
    take(replica, columns, ("Anna", here), key_columns=["Name"])
    report = take(replica, columns, ("Anna", table), key_columns=["Name"])
    assert lost(report) == [(2, "Phone", "digits_lost")]
    assert [record.raw["phone"] for record in replica.list("customers")] == [here]


def test_what_the_source_said_of_a_number_counts_where_somebody_changed_it(devices):
    schema = 'collection = "members"\nversion = 1\n[fields.number]\n[fields.name]\n'
    (anna,) = devices("anna", schema=parse_schema(schema, "test"))
    import_table(anna.replica, Lines(("number", "name"), [("0017", "Meier"), ("18", "Klein")]), "members")
    (record,) = [view.record for view in anna.replica.list("members") if view.raw["name"] == "Meier"]
    with anna.replica.edit(record) as editor:
        editor.update({"number": "99"})
    report = import_table(anna.replica, Lines(("number", "name"), [("17", "Mayer"), ("18", "Klein")]), "members")
    assert (lost(report), report.created) == ([(2, "number", "digits_lost")], 0)
