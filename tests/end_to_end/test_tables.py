"""Every customer table of the shared data: imported on one device, synced through the relay, exported on another."""

import json
import shutil
from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from crdt_sync import Address, Replica, compare, sync
from crdt_sync.exchange import MISSING, ExportOptions, TableOptions, export_table, import_table, open_table
from tests.end_to_end.conftest import RelayThread
from tests.exchange.test_delimited import SPECTRUM_EXACT
from tests.exchange.test_shared_tables import TABLES, as_multiset

SPECTRUM = {f"csv-spectrum/csvs/{name}.csv": name for name in SPECTRUM_EXACT}
# Four go no further than tests/exchange, as smaller ones that are made as they are go the whole way.
ELSEWHERE = {
    "febrl_dataset3.csv",
    "telco_customer_churn.csv",
    "datenanfragen_companies.jsonl",
    "uci_bank-additional.zip",
}
ALL: dict[str, tuple[int | None, dict[str, Any]]] = {
    **{name: how for name, how in TABLES.items() if name not in ELSEWHERE},
    **{name: (None, {}) for name in SPECTRUM},
    "csv-spectrum/csvs/location_coordinates.csv": (None, {}),
}
COLLECTIONS = {name: f"table-{number}" for number, name in enumerate(ALL)}


@dataclass
class Devices:
    first: Replica
    second: Replica
    relay: Address


def bring_round(shared_data, folder):
    """One device imports every table, and another hears of them from the relay only; all are left closed."""
    with (
        RelayThread(folder / "relay") as relay,
        Replica.create(folder / "first", "first") as first,
        Replica.create(folder / "second", "second") as second,
    ):
        for name, collection in COLLECTIONS.items():
            count, options = ALL[name]
            report = import_table(first, opened(shared_data, name, options), collection)
            assert (report.failed, report.unmapped) == ((), ())
            assert report.created == report.rows
            assert count in (None, report.rows)
        assert sync(first, relay).refused == 0
        for schema in first.schemas.values():
            second.add_schema(schema)
        assert sync(second, relay).received == first.count()


@pytest.fixture(scope="module")
def devices(shared_data, made_once, tmp_path_factory):
    """Two devices and a relay of which one imported every table; a copy, as each test process opens its own."""
    folder = tmp_path_factory.mktemp("devices")
    shutil.copytree(made_once("tables", partial(bring_round, shared_data)), folder, dirs_exist_ok=True)
    with (
        RelayThread(folder / "relay") as relay,
        Replica.open(folder / "first") as first,
        Replica.open(folder / "second") as second,
    ):
        yield Devices(first, second, relay)


def opened(shared_data, name, options):
    return open_table(shared_data / "tables" / name.rstrip("#"), TableOptions(**options))


@pytest.mark.parametrize("name", ALL)
def test_a_table_comes_out_of_the_second_device_as_it_went_into_the_first(shared_data, devices, tmp_path, name):
    _, options = ALL[name]
    table = opened(shared_data, name, options)
    header = options.get("header", True)
    path = tmp_path / ("a.jsonl" if table.typed else "a.csv")
    report = export_table(devices.second, COLLECTIONS[name], path, ExportOptions(header=header))
    assert report.left_out == ()
    result = open_table(path, TableOptions(header=header))
    expected = as_multiset(table)
    assert sorted(result.columns) == sorted(table.columns)
    assert as_multiset(result) == expected
    assert report.rows == sum(expected.values())


@pytest.mark.parametrize("name", SPECTRUM)
def test_cells_that_are_hard_to_read_arrive_as_their_authors_expect(shared_data, devices, name):
    expected = json.loads((shared_data / "tables/csv-spectrum/json" / f"{SPECTRUM[name]}.json").read_text())
    fields = devices.second.schemas[COLLECTIONS[name]].fields
    shown = [
        {spec.label: view.get(field, "") for field, spec in fields.items()}
        for view in devices.second.list(COLLECTIONS[name])
    ]
    assert Counter(map(json.dumps, shown)) == Counter(map(json.dumps, expected))


def test_naughty_strings_arrive_as_values_character_by_character(shared_data, devices):
    expected = json.loads((shared_data / "tables" / "blns.json").read_text(encoding="utf-8"))
    shown = [view["value"] for view in devices.second.list(COLLECTIONS["blns.json"])]
    assert Counter(shown) == Counter(expected)


def test_importing_on_the_second_device_what_came_from_the_first_changes_nothing(shared_data, devices):
    for name in ("northwind_customers.csv", "cn_business_contacts.jsonl", "blns.json"):
        count, options = TABLES[name]
        report = import_table(devices.second, opened(shared_data, name, options), COLLECTIONS[name])
        assert (report.unchanged, report.created, report.updated) == (count, 0, 0)


def test_both_devices_and_the_relay_hold_the_same(devices):
    first, second = compare(devices.first, devices.relay), compare(devices.second, devices.relay)
    assert first.equal
    assert second.equal
    assert first.ours.root == second.ours.root
    assert first.ours.count == sum(1 for _ in devices.second.list()) + len(devices.second.schemas)  # their definitions


def test_the_comparison_of_tables_sees_a_lost_row(shared_data):
    table = opened(shared_data, "northwind_customers.csv", {})
    rows = list(table.rows())
    assert any(cell is MISSING for row in rows for cell in row.cells)
    fewer = open_table(shared_data / "tables" / "northwind_suppliers.csv")
    assert as_multiset(table) != as_multiset(fewer)
