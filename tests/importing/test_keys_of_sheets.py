"""Numbers, dates and codes of a workbook identify rows in the form that the sheet shows, as they are stored."""

from datetime import date

import openpyxl
import pytest

from crdt_sync.exchange import import_table, open_table
from crdt_sync.records import bundled_schema

ROWS = [(7, "Anna", "Bonn"), (8, "Ben", "Ulm"), (9, "Cleo", "Essen"), (10, "Dora", "Jena")]
EDITED = [(7, "Anna", "Berlin"), *ROWS[1:]]
FORMATS = ["General", "0000", "#,##0", '"K-"0', "0.00", "000-000"]


@pytest.fixture
def device(devices):
    (anna,) = devices("anna", schema=bundled_schema("customers"))
    return anna


@pytest.fixture
def take(device, tmp_path):
    """Import a workbook: take(headers, rows, {row: number format of its first cell})."""

    def _take(headers, rows, formats=None, name="kunden.xlsx", **options):
        book = openpyxl.Workbook()
        for row in [headers, *rows]:
            book.active.append(row)
        for at, number_format in (formats or {}).items():
            book.active.cell(at + 2, 1).number_format = number_format
        book.save(tmp_path / name)
        return import_table(device.replica, open_table(tmp_path / name), "customers", **options)

    return _take


@pytest.fixture
def people(device):
    return lambda: sorted((view.raw["name"], view.raw.get("city")) for view in device.replica.list("customers"))


@pytest.mark.parametrize("number_format", FORMATS)
@pytest.mark.parametrize("formatted", [range(4), [0], [3]], ids=["all", "the first", "the last"])
def test_numbers_with_a_format_are_found_as_the_key(take, people, number_format, formatted):
    formats = dict.fromkeys(formatted, number_format)
    headers = ("Kundennummer", "Name", "City")
    first = take(headers, ROWS, formats)
    second = take(headers, EDITED, formats, name="kunden 2026-12.xlsx")
    assert (first.key, first.created, second.created, second.updated) == (("Kundennummer",), 4, 0, 1)
    assert people() == [("Anna", "Berlin"), ("Ben", "Ulm"), ("Cleo", "Essen"), ("Dora", "Jena")]


def test_phones_with_a_format_are_found_as_the_key(take):
    rows = [(1715550100 + number, name, city) for number, name, city in ROWS]
    assert take(("Phone", "Name", "City"), rows, dict.fromkeys(range(4), "00000000000")).key == ("Phone",)


@pytest.mark.parametrize("values", [(7.5, 8.5, 9.5, 10.5), [date(2026, 1, day) for day in range(1, 5)]])
def test_other_values_are_found_as_the_key(take, people, values):
    headers, rows = ("Kundennummer", "Name", "City"), [(each, *row[1:]) for each, row in zip(values, ROWS, strict=True)]
    assert take(headers, rows).key == ("Kundennummer",)
    take(headers, [(values[0], "Anna", "Berlin"), *rows[1:]])
    assert people()[0] == ("Anna", "Berlin")
    assert len(people()) == 4


@pytest.mark.parametrize("number_format", FORMATS[1:])
@pytest.mark.parametrize("formatted", [range(4), [0]], ids=["all", "one"])
@pytest.mark.parametrize("options", [{}, {"key_columns": ["Kundennummer"]}], ids=["found", "given"])
def test_a_format_that_was_set_meanwhile_makes_nobody_new(take, people, number_format, formatted, options):
    headers = ("Kundennummer", "Name", "City")
    take(headers, ROWS, **options)
    assert take(headers, EDITED, dict.fromkeys(formatted, number_format), **options).created == 0
    assert (len(people()), people()[0]) == (4, ("Anna", "Berlin"))


def test_a_text_that_looks_like_a_formatted_number_is_another_customer(take, people):
    headers = ("Kundennummer", "Name", "City")
    take(headers, [("7", "Anna", "Bonn"), ("0007", "Ben", "Ulm")])
    assert take(headers, [("7", "Anna", "Hamm"), ("0007", "Ben", "Ulm")]).created == 0
    assert people() == [("Anna", "Hamm"), ("Ben", "Ulm")]


def test_a_csv_that_was_saved_from_the_sheet_names_the_same_records(device, take, people, tmp_path):
    headers, days = ("Kundennummer", "Name", "City"), [date(2026, 1, day) for day in range(1, 5)]
    take(headers, ROWS, dict.fromkeys(range(4), "0000"))
    (tmp_path / "kunden.csv").write_text("Kundennummer,Name,City\n0007,Anna,Berlin\n0008,Ben,Ulm\n")
    import_table(device.replica, open_table(tmp_path / "kunden.csv"), "customers")
    assert (len(people()), people()[0]) == (4, ("Anna", "Berlin"))
    take(("Since", "Name", "City"), [(day, *row[1:]) for day, row in zip(days, ROWS, strict=True)],
         name="days.xlsx", key_columns=["Since"], as_new=True)  # fmt: skip
    (tmp_path / "days.csv").write_text("Since,Name,City\n2026-01-01,Anna,Hamm\n2026-01-02,Ben,Ulm\n")
    import_table(device.replica, open_table(tmp_path / "days.csv"), "customers", key_columns=["Since"])
    assert len(people()) == 8
    assert ("Anna", "Hamm") in people()


def test_a_name_that_is_a_number_is_one(take, people):
    take(("Kundennummer", "Vorname", "Nachname", "City"), [(1, "Kunde", 7, "Bonn"), (2, "Kunde", 8, "Ulm")])
    assert people() == [("Kunde 7", "Bonn"), ("Kunde 8", "Ulm")]


def test_a_customer_is_called_after_a_company_whose_name_is_a_number(take, people):
    take(("Company", "City"), [(4711, "Bonn"), (1000, "Ulm")], {1: "#,##0"})
    assert people() == [("1,000", "Ulm"), ("4711", "Bonn")]


def test_a_name_that_is_a_number_is_not_replaced_by_the_company(take, people):
    take(("Company", "Name", "City"), [("Dom", 4711, "Bonn"), ("Eau", 4712, "Ulm")])
    assert people() == [("4711", "Bonn"), ("4712", "Ulm")]
