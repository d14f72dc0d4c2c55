"""Every table of the shared data through the command: how many rows and cells go in, and which are named with a reason.

What the rows hold is checked in `test_real_tables` and, cell by cell, in `tests/end_to_end/test_tables`.
"""

import json
import zipfile
from collections import Counter
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import pytest


class Expected(NamedTuple):
    """Of an import: its options, rows that go in, rows that do not, cells that are left out by column.

    `part`: of so many rows one is imported, as the others are of the same kind; `tests/exchange` reads all of them.
    """

    options: tuple[str, ...] = ()
    created: int = 0
    failures: int = 0
    cells: Mapping[str, int] = MappingProxyType({})
    part: int = 1


NEW = ("-c", "things")  # a collection of its own, whose schema is made from the table
DRY = ("--dry-run",)  # where there are thousands of rows, to save the time of writing them
TABLES = {
    "findings/tables/active.xlsx": Expected(created=1),
    "findings/tables/dup.csv": Expected(created=2),
    "findings/tables/gbk.csv": Expected(created=3),
    "findings/tables/google.csv": Expected(created=1),
    "findings/tables/hubspot.csv": Expected(created=2),
    "findings/tables/inj.csv": Expected(created=2),
    "findings/tables/nocache.xlsx": Expected(created=1, cells={"Amount": 1}),
    "findings/tables/plz.xlsx": Expected(created=1),
    "findings/tables/salesforce_contacts.csv": Expected(created=1, failures=1),
    "findings/tables/sep.csv": Expected(created=2),
    "findings/tables/shiftjis.csv": Expected(created=2),
    "findings/tables/sobject.json": Expected(created=1),
    "findings/tables/title.csv": Expected(created=1),
    "findings/tables/types.csv": Expected(created=21, cells={"Employees": 1, "Last contact": 1}),
    "findings/tables/zh1.csv": Expected(created=1),
    "tables/adventureworks_DimReseller.psv": Expected((*NEW, "--no-header"), created=701),
    "tables/blns.json": Expected(NEW, created=515),
    "tables/chinook_customers.json": Expected((*NEW, "--select", "Customer"), created=59),
    "tables/cn_business_contacts.jsonl": Expected(NEW, created=314),
    "tables/datenanfragen_companies.jsonl": Expected((*NEW, *DRY), created=768, part=4),
    "tables/febrl_dataset1.csv": Expected(DRY, created=1000, cells={" date_of_birth": 3}),
    "tables/febrl_dataset3.csv": Expected(DRY, created=4994, failures=6, cells={" date_of_birth": 35}),
    "tables/northwind_customers.csv": Expected(created=91),
    "tables/northwind_suppliers.csv": Expected(created=29),
    "tables/splink_fake_1000.csv": Expected(DRY, created=993, failures=7),  # people without a name and an address
    "tables/telco_customer_churn.csv": Expected((*NEW, *DRY), created=1761, part=4),
    "tables/uci_bank-additional.zip": Expected((*NEW, *DRY, "--member", "bank-additional.csv"), created=1030, part=4),
    "tables/sfdc_easyspaces/Accounts.json": Expected(created=12),
    "tables/sfdc_easyspaces/Contact_Data.csv": Expected(created=12),
    "tables/sfdc_easyspaces/Contacts.json": Expected(created=12),
    "tables/sfdc_easyspaces/Lead_Data.csv": Expected(created=11),
    "tables/sfdc_easyspaces/Leads.json": Expected(created=11),
    **{
        f"tables/csv-spectrum/csvs/{name}.csv": Expected(NEW, created=rows)
        for name, rows in {
            "comma_in_quotes": 1, "empty": 2, "empty_crlf": 2, "escaped_quotes": 2,
            "json": 1, "location_coordinates": 1, "newlines": 3, "newlines_crlf": 3,
            "quotes_and_newlines": 2, "simple": 1, "simple_crlf": 1, "utf8": 2,
        }.items()
    },
}  # fmt: skip


def part_of(table, part, folder):
    """A file of the same name with the line of headers, if there is one, and one in `part` of the others."""
    made = folder / table.name
    if table.suffix == ".zip":
        with zipfile.ZipFile(table) as whole, zipfile.ZipFile(made, "w") as archive:
            for member in whole.namelist():
                archive.writestr(member, thinned(whole.read(member), part, 1))
    else:
        made.write_bytes(thinned(table.read_bytes(), part, 0 if table.suffix == ".jsonl" else 1))
    return made


def thinned(content, part, headers):
    lines = content.splitlines(keepends=True)
    return b"".join(lines[:headers] + lines[headers::part])


@pytest.mark.parametrize("name", TABLES)
def test_it_goes_in_or_each_row_and_cell_that_does_not_is_named(shared_data, store, run, name, tmp_path):
    expected = TABLES[name]
    table = shared_data / name if expected.part == 1 else part_of(shared_data / name, expected.part, tmp_path)
    result = run("import", table, "--no-key", "--json", *expected.options)
    report = result.object
    assert (report["created"], report["failures"]) == (expected.created, expected.failures)
    assert report["rows"] == expected.created + expected.failures
    assert report["cells_failed"] == sum(expected.cells.values())
    problems = [json.loads(line) for line in result.err.splitlines()]
    assert len(problems) == expected.failures + report["cells_failed"]
    assert all(each["line"] >= 1 and each["column"] and len(each["message"]) > 10 for each in problems)
    named = Counter(each["column"] for each in problems)
    assert {column: named[column] for column in expected.cells} == expected.cells
    assert result.code == (7 if problems else 0)
    if "--dry-run" not in expected.options:
        assert run("status", "--json").object["records"] == expected.created


def test_no_table_is_left_out(shared_data):
    there = {
        str(file.relative_to(shared_data))
        for folder in ("findings/tables", "tables")
        for file in (shared_data / folder).rglob("*")
        if file.is_file() and file.parent.name != "json"
    }
    assert there == set(TABLES)


def test_a_first_row_of_data_is_not_taken_for_headers_in_silence(shared_data, store, run):
    table = shared_data / "tables/adventureworks_DimReseller.psv"
    result = run("import", table, "--no-key", "-c", "things", "--dry-run")
    assert "the row with '1' was taken for the headers; if it is data, say --no-header" in result.err
    assert "--no-header" not in run("import", table, "--no-key", "-c", "things", "--dry-run", "--no-header").err


def test_a_row_that_cannot_become_a_record_says_what_it_lacks(store, run, tmp_path):
    file = tmp_path / "a.csv"
    file.write_text("Name,City\n,Kiel\n")
    result = run("import", file, "--no-key")
    assert result.code == 7
    assert "line 2, column 'Name': field 'name': is required. A new record in 'customers' needs name." in result.err
