"""A plain export that was edited and is imported on the device that knows it, and offline on one that does not."""

import csv
import itertools

import pytest

from crdt_sync import bundled_schema
from crdt_sync.exchange import ExportOptions, Exports, export_table, import_table
from tests.importing.conftest import Lines, meet

HEADERS = ("Name", "E-mail", "City", "Visits", "Notes", "Tags")
LISTED = [(name, f"{name}@x.example", "Bonn", "4", f"note of {name}", "vip") for name in ("ann", "ben", "carl", "dora")]
EDITED = {"City": "Kiel", "Visits": "14", "Notes": "new note of ben", "Tags": '["new", "vip"]', "Timeline": "called"}
ADDED = {"Name": "Emil", "E-mail": "emil@x.example", "Visits": "3", "Notes": "added note", "Timeline": "wrote"}


class Office:
    """Devices with the same customers, of which the first has exported them as `e`."""

    def __init__(self, devices, folder, *, typed=False):
        self.devices = devices("anna", "bert", "cleo", schema=bundled_schema("customers"))
        anna = self.devices[0]
        if typed:
            for name, email, city, visits, notes, tag in LISTED:
                with anna.replica.edit("customers") as customer:
                    customer.update({"name": name, "email": email, "city": city, "notes": notes, "tags": [tag]})
                    customer.increment("visits", int(visits))
        else:
            import_table(anna.replica, Lines(HEADERS, LISTED, "c"), "customers")
        meet(*self.devices)
        self.exports = Exports(folder / "exports")
        now = anna.replica.wall_clock()
        export_table(anna.replica, "customers", folder / "e.csv", ExportOptions(), exports=self.exports, now=now)
        with (folder / "e.csv").open(encoding="utf-8", newline="") as stream:
            self.headers, *self.rows = csv.reader(stream)

    def sheet(self, **edits):
        edited = {header.replace("_", "-"): cell for header, cell in edits.items()}
        rows = [dict(zip(self.headers, row, strict=True)) for row in self.rows]
        ben = next(row for row in rows if row["Name"] == "ben")
        ben.update(edited or EDITED)
        return [[row.get(header, "") for header in self.headers] for row in [*rows, ADDED]]

    def take(self, device, rows, file="x"):
        exports = self.exports if device is self.devices[0] else None
        return import_table(device.replica, Lines(self.headers, rows, file), "customers", exports=exports)


def customers(device):
    return {
        raw["name"]: {
            "city": raw.get("city"),
            "visits": raw.get("visits"),
            "notes": raw.get("notes"),
            "tags": raw.get("tags"),
            "timeline": [line["value"] for line in raw.get("timeline", [])],
        }
        for raw, _ in device.values().values()
        if "name" in raw
    }


BEN = {"city": "Kiel", "visits": 14, "notes": "new note of ben", "tags": ["new", "vip"], "timeline": ['"called"']}
EMIL = {"city": None, "visits": 3, "notes": "added note", "tags": None, "timeline": ['"wrote"']}


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("file", ["x", "e"])
def test_it_is_one_import(devices, tmp_path, order, file):
    office = Office(devices, tmp_path)
    rows = office.sheet()
    for at in order:
        office.take(office.devices[at], rows, file)
    alone = customers(office.devices[0])
    assert (alone["ben"], alone["Emil"]) == (BEN, EMIL)
    meet(*(office.devices[at] for at in order))
    for device in office.devices:
        assert customers(device) == alone
        assert not any(conflicts for _, conflicts in device.values().values())
        assert office.take(device, rows, file).updated == 0


def test_what_was_typed_is_not_counted_twice(devices, tmp_path):
    office = Office(devices, tmp_path, typed=True)
    rows = office.sheet()
    for device in office.devices:
        office.take(device, rows)
    meet(*office.devices)
    for device in office.devices:
        assert (customers(device)["ben"], customers(device)["Emil"]) == (BEN, EMIL)


def test_under_yet_another_name_it_is_no_news_and_what_was_edited_since_counts_once(devices, tmp_path):
    office = Office(devices, tmp_path)
    anna, bert, _ = office.devices
    office.take(anna, office.sheet())
    head = anna.values()
    assert office.take(anna, office.sheet(), "y").updated == 0
    assert anna.values() == head
    office.take(anna, office.sheet(**{**EDITED, "Visits": "15"}), "z")
    assert customers(anna)["ben"] == {**BEN, "visits": 15}
    office.take(anna, office.sheet())
    meet(anna, bert)
    assert customers(anna)["ben"] == customers(bert)["ben"] == {**BEN, "visits": 15}
