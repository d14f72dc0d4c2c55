"""Every customer table of the shared data: read, imported without a schema, imported again, exported, compared."""

import itertools
import json
from collections import Counter
from typing import Any

import pytest

from crdt_sync.exchange import MISSING, TableOptions, import_table, open_table
from crdt_sync.records.schema import bundled_schema

TABLES: dict[str, tuple[int, dict[str, Any]]] = {
    "northwind_customers.csv": (91, {}),
    "northwind_suppliers.csv": (29, {}),
    "telco_customer_churn.csv": (7043, {}),
    "splink_fake_1000.csv": (1000, {}),
    "febrl_dataset1.csv": (1000, {}),
    "febrl_dataset3.csv": (5000, {}),
    "uci_bank-additional.zip": (4119, {"member": "bank-additional.csv"}),
    "adventureworks_DimReseller.psv": (701, {"header": False}),
    "sfdc_easyspaces/Contact_Data.csv": (12, {}),
    "sfdc_easyspaces/Lead_Data.csv": (11, {}),
    "sfdc_easyspaces/Accounts.json": (12, {}),
    "sfdc_easyspaces/Contacts.json": (12, {}),
    "sfdc_easyspaces/Leads.json": (11, {}),
    "chinook_customers.json": (59, {"select": "Customer"}),
    "chinook_customers.json#": (8, {"select": "Employee"}),
    "cn_business_contacts.jsonl": (314, {}),
    "datenanfragen_companies.jsonl": (3069, {}),
    "blns.json": (515, {}),
}

LONG, PART = 2_000, 4  # of a longer table every fourth row goes in: the others are of the same kind


def as_multiset(table):
    """Rows without their empty cells, as texts that tell 1 from 1.0, null from missing."""
    return Counter(
        json.dumps(
            sorted((column, cell) for column, cell in zip(table.columns, row.cells, strict=True) if cell is not MISSING)
            if len(set(table.columns)) == len(table.columns)
            else [None if cell is MISSING else cell for cell in row.cells],
            sort_keys=True,
        )
        for row in table.rows()
    )


@pytest.mark.parametrize("name", TABLES)
def test_it_comes_out_as_it_went_in(shared_data, replica, exported, name):
    count, options = TABLES[name]
    table = open_table(shared_data / "tables" / name.rstrip("#"), TableOptions(**options))
    assert sum(1 for _ in table.rows()) == count
    if count > LONG:
        rows, count = table.rows, -(-count // PART)
        table.rows = lambda: itertools.islice(rows(), 0, None, PART)  # type: ignore[method-assign]
    report = import_table(replica, table, "things")
    assert (report.rows, report.failed, report.unmapped, report.inferred) == (count, (), (), True)
    assert report.created == count == len(replica.records)
    replica.edits = 0
    again = import_table(replica, table, "things")
    assert (again.unchanged, again.created, again.updated, again.failures) == (count, 0, 0, 0)
    assert replica.edits == 0

    header = options.get("header", True)
    target = "a.jsonl" if table.typed else "a.csv"
    path = exported(replica, target, header=header)
    result = open_table(path, TableOptions(header=header))
    assert sorted(result.columns) == sorted(table.columns)
    assert as_multiset(result) == as_multiset(table)
    assert sum(as_multiset(result).values()) == count


def test_the_large_table_of_the_archive_is_read_whole(shared_data):
    path = shared_data / "tables" / "uci_bank-additional.zip"
    table = open_table(path, TableOptions(member="bank-additional-full.csv"))
    assert table.columns[:2] == ("age", "job")
    assert len(table.columns) == 21
    assert sum(1 for _ in table.rows()) == 41_188


@pytest.mark.parametrize(
    "name", ["northwind_customers.csv", "northwind_suppliers.csv", "sfdc_easyspaces/Contact_Data.csv"]
)
def test_tables_of_other_programs_fit_the_bundled_schema(shared_data, make_replica, name):
    replica = make_replica(bundled_schema("customers"))
    mapping = {"LastName": "name"} if "Contact_Data" in name else {}
    table = open_table(shared_data / "tables" / name)
    report = import_table(replica, table, "customers", mapping=mapping)
    assert report.failed == ()
    assert report.created == report.rows
    assert report.unmapped


def test_the_comparison_sees_a_changed_cell(write):
    one, other = write("a.csv", "a,b\n1,2\n"), write("b.csv", "a,b\n1,3\n")
    assert as_multiset(one) != as_multiset(other)
