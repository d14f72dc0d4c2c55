"""A number identifies rows also where one has none, or a row of sums is below them; what is passed over is said."""

import pytest

from crdt_sync.exchange import import_table
from crdt_sync.exchange.key_columns import is_number
from crdt_sync.records import bundled_schema
from tests.importing.conftest import Lines

COLUMNS = ("Kd.-Nr.", "Name", "City", "Umsatz")
ROWS = [("7", "Anna", "Bonn", "3"), ("8", "Ben", "Ulm", "3"), ("9", "Cleo", "Essen", "4"), ("10", "Dora", "Jena", "5")]


@pytest.fixture
def anna(devices):
    (device,) = devices("anna", schema=bundled_schema("customers"))
    return device


def take(device, columns, *rows, **options):
    return import_table(device.replica, Lines(columns, rows, "kunden"), "customers", **options)


def people(device):
    return sorted((view.raw["name"], view.raw.get("city")) for view in device.replica.list("customers"))


@pytest.mark.parametrize(
    "sums", [("", "", "", "15"), ("", "Summe", "", "15"), ("Total", "", "", "15"), ("", "", "4", "15 €")]
)
@pytest.mark.parametrize("count", [1, 2, 4])
def test_a_row_of_sums_without_an_id_leaves_the_key(anna, sums, count):
    rows = ROWS[:count]
    first = take(anna, COLUMNS, *rows, sums, key_columns=())
    edited = ("7", "Anna Schmidt", "Berlin", "9")
    second = take(anna, COLUMNS, edited, *rows[1:], (*sums[:3], "21"))
    assert first.key == second.key == ("Kd.-Nr.",)
    assert ("Anna Schmidt", "Berlin") in people(anna)
    assert ("Anna", "Bonn") not in people(anna)


def test_one_customer_without_a_number_leaves_the_key(anna):
    columns, row = ("Kd.-Nr.", "Name", "City", "E-mail"), ("", "Eva", "Kiel", "e@x.example")
    rows = [(*each[:3], f"{each[0]}@x.example") for each in ROWS]
    first = take(anna, columns, *rows, row)
    second = take(anna, columns, ("7", "Anna Schmidt", "Berlin", "new@x.example"), *rows[1:], row)
    assert first.key == second.key == ("Kd.-Nr.",)
    assert (first.without_key, second.created, len(people(anna))) == (1, 0, 5)


def test_rows_of_numbers_alone_are_rows(anna):
    anna.replica.add_schema(bundled_schema("customers"))
    table = Lines(("Nr", "Visits"), [("1", "5"), ("2", "6"), ("3", "7")], "visits")
    assert import_table(anna.replica, table, "visits").key == ("Nr",)


def test_a_number_that_many_lack_is_passed_over_with_the_reason(anna):
    report = take(anna, COLUMNS, *ROWS[:2], *[("", *row[1:]) for row in ROWS[2:]])
    assert report.key == ()
    ((line, column, code, message),) = [
        (each.line, each.column, each.code, each.message) for each in report.passed_over
    ]
    assert (line, column, code, message) == (4, "Kd.-Nr.", "incomplete", "2 of 4 rows have no value")


def test_an_address_that_many_lack_is_passed_over_with_the_reason(anna):
    report = take(anna, ("Name", "E-mail"), ("Anna", "a@x.example"), ("Ben", ""), ("Cleo", ""))
    assert [(each.line, each.column, each.code) for each in report.passed_over] == [(3, "E-mail", "incomplete")]


def test_a_column_that_nobody_filled_is_not_worth_a_word(anna):
    assert take(anna, ("Name", "E-mail", "Nr"), ("Anna", "", ""), ("Ben", "", "")).passed_over == ()


@pytest.mark.parametrize(
    "header",
    ["Customer #", "Client #", "Cust #", "Cust. #", "Member#", "Acct #", "Account #", "Account No.", "Account Number",
     "Customer Account Number", "Customer Code", "Client Ref", "Customer №", "Kunde #", "Customer Nbr"],
)  # fmt: skip
def test_headers_of_ids(header):
    assert is_number(header)


@pytest.mark.parametrize(
    "header", ["#", "Phone #", "Order #", "Invoice #", "# of employees", "Apt #", "Ext. #", "Fax #",
               "Bank Account Number", "Account", "Account Name", "AccountId", "Parent Account Number", "Kontonummer"],
)  # fmt: skip
def test_headers_of_other_numbers(header):
    assert not is_number(header)
