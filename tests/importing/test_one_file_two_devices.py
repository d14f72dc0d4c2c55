"""An edited export under one name is one import, on a device that knows it and on one that takes it for a table.

Columns of the file may be deleted or moved and its rows sorted, and the schema may have a natural key: whatever each
device takes it for, nothing is counted twice, and no text or line is there twice.
"""

import csv
import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from crdt_bench.people import GUESTS
from crdt_sync import bundled_schema
from crdt_sync.errors import AlreadyHere, KeyNeeded, WhichSource
from crdt_sync.exchange import Exports, ImportedTables, export_table, import_table
from crdt_sync.records import conflicts_of
from crdt_sync.records.memory import memory_index, sources
from tests.importing.conftest import Device, Lines, meet

SCHEMAS = {"found": bundled_schema("customers"), "natural": GUESTS}
NAMES = ("ann", "ben", "carl", "dora")
COUNTED = ("visits", "notes", "tags", "timeline", "city")


class Office:
    """anna, who exports as `e`; bert, who has the same records and knows no export; `x` is the edited file."""

    def __init__(self, folder, schema, *, typed=False, table="c") -> None:
        now = [1_700_000_000_000_000]
        self.schema = SCHEMAS[schema]
        self.devices = [Device(name, now, self.schema) for name in ("anna", "bert")]
        anna = self.devices[0].replica
        self.labels = {name: spec.label or name for name, spec in self.schema.fields.items()}
        self.fields = {label: name for name, label in self.labels.items()}
        people = [(name, f"{name}@x.example", "Bonn", "4", f"note of {name}", "vip") for name in NAMES]
        if typed:
            for name, email, city, visits, notes, tag in people:
                with anna.edit(self.schema.collection) as person:
                    person.update({"name": name, "email": email, "city": city, "notes": notes, "tags": [tag]})
                    person.increment("visits", int(visits))
        else:
            headers = [self.labels[name] for name in ("name", "email", "city", "visits", "notes", "tags")]
            self.take(0, [headers, *people], table, exports=None)
            dora = next(view.record for view in anna.list(self.schema.collection) if view.raw["name"] == "dora")
            with anna.edit(dora) as person:
                person["city"] = "Ulm"
        meet(*self.devices)
        self.exports = Exports(folder / "exports")
        export_table(anna, self.schema.collection, folder / "e.csv", exports=self.exports, now=anna.wall_clock())
        with (folder / "e.csv").open(encoding="utf-8", newline="") as stream:
            self.headers, *self.rows = csv.reader(stream)

    def sheet(self, edits, left_out=(), moved=0, sorted_by=""):
        """The rows of the file with what was edited of ben and with a row for emil, and with the headers first."""
        rows = [dict(zip(self.headers, row, strict=True)) for row in self.rows]
        ben = next(row for row in rows if row[self.labels["name"]] == "ben")
        for field, number in edits.items():
            ben[self.labels[field]] = {
                "visits": str(4 + number),
                "notes": f"note of ben, {number} words more",
                "tags": json.dumps([f"new{number}", "vip"]),
                "timeline": json.dumps([f"called {number}"]),
                "city": f"Kiel {number}",
            }[field]
        emil = {"name": "emil", "email": "emil@x.example", "visits": "3", "notes": "added", "timeline": "wrote"}
        rows.append({self.labels[field]: cell for field, cell in emil.items()})
        if sorted_by:
            rows.sort(key=lambda row: row.get(self.labels[sorted_by], ""), reverse=True)
        headers = [header for header in self.headers if self.fields[header] not in left_out]
        headers = headers[moved:] + headers[:moved]
        return [headers, *([row.get(header, "") for header in headers] for row in rows)]

    def take(self, which, sheet, file="x", **options):
        replica = self.devices[which].replica
        known = {"exports": self.exports} if which == 0 and "exports" not in options else {}
        headers, *rows = sheet
        table = Lines(headers, rows, file)
        options = {"imported": ImportedTables(replica), **known, **options}
        try:
            return import_table(replica, table, self.schema.collection, **options)
        except WhichSource:  # a table with rows of another: somebody says that it goes by its own name
            return import_table(replica, table, self.schema.collection, source=file, **options)

    def shows(self, which):
        """Name to what is counted and written of each."""
        found = {}
        for view in self.devices[which].replica.list(self.schema.collection):
            told = dict(view.raw, timeline=[line["value"].strip('"') for line in view.raw.get("timeline", [])])
            found.setdefault(view.raw["name"], []).append({field: told.get(field) for field in COUNTED})
        return found

    def listed(self, which):
        """Name and field of every conflict, whatever waits for a decision, to its values."""
        device = self.devices[which]
        found = {}
        for view in device.replica.list(self.schema.collection):
            for each in conflicts_of(device.replica.document(view.record), self.schema, all_kinds=True):
                found[view.raw["name"], each.field] = [entry.value for entry in each.entries]
        return found


EDITS = {"visits": 10, "notes": 1, "tags": 1, "timeline": 1, "city": 1}
SHAPES: dict[str, dict[str, Any]] = {
    "as exported": {},
    "columns deleted": {"left_out": ("phone", "company", "stage")},
    "columns moved": {"moved": 3},
    "rows sorted": {"sorted_by": "name", "left_out": ("phone",)},
}
ORDERS = {"a b meet": "abm", "b a meet": "bam", "a meet b": "amb", "b meet a": "bma"}


def play(office, sheets, order):
    """Import and meet: `a` and `b` import the first sheet, `A` and `B` the second."""
    for step in order:
        if step == "m":
            meet(*office.devices)
        else:
            office.take("ab".index(step.lower()), sheets[step.isupper()])
    meet(*office.devices)


@pytest.fixture
def office(tmp_path):
    return lambda *given, **options: Office(tmp_path, *given, **options)


@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS.keys())
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("schema", SCHEMAS)
def test_it_is_one_import(office, schema, shape, order):
    office = office(schema)
    sheet = office.sheet(EDITS, **SHAPES[shape])
    play(office, [sheet], order)
    ben = {"city": "Kiel 1", "visits": 14, "notes": "note of ben, 1 words more", "tags": ["new1", "vip"]}
    emil = {"city": None, "visits": 3, "notes": "added", "tags": None}
    for which in (0, 1):
        shown = office.shows(which)
        assert shown["ben"] == [{**ben, "timeline": ["called 1"]}]
        assert shown["emil"] == [{**emil, "timeline": ["wrote"]}]
        assert office.listed(which) == {}
        assert office.take(which, sheet).updated == 0


@pytest.mark.parametrize("order", ["aAbm", "abmA", "abmB", "bBam", "bBmaA", "aAmbB", "abAmB", "abBmA", "aAbmB"])
@pytest.mark.parametrize("shape", ["columns deleted", "columns moved"])
def test_of_two_versions_the_counts_never_add_up(office, shape, order):
    office = office("found")
    sheets = [office.sheet({**EDITS, "visits": number}, **SHAPES[shape]) for number in (10, 12)]
    play(office, sheets, order)
    for which in (0, 1):
        visits = office.shows(which)["ben"][0]["visits"]
        assert visits == 16 or office.listed(which)["ben", "visits"] == [14, 16]


@pytest.mark.parametrize("order", ["aABm", "bBAm", "aAbm", "abmA", "aBm"])
def test_a_text_of_two_versions_is_there_once(office, order):
    office = office("found")
    versions = [f"note of ben, {number} words more" for number in (1, 2)]
    play(office, [office.sheet({"notes": number}, moved=3) for number in (1, 2)], order)
    for which in (0, 1):
        assert office.shows(which)["ben"][0]["notes"] in versions
        assert office.listed(which) in ({}, {("ben", "notes"): versions[::-1]}, {("ben", "notes"): versions})


def test_a_text_that_waits_is_listed_beside_versions_that_differ(devices):
    anna, bert = devices("anna", "bert")
    for file, text in (("shop", "met in May"), ("crm", "met in April")):
        anna.take(["notes"], ("1", text), file=file)
    with anna.replica.edit(anna.record) as person:
        person.text("notes").replace("speaks German")
    anna.take(["notes"], ("1", "met in June"), file="shop")
    meet(anna, bert)
    for device, text in ((anna, "tall"), (bert, "small")):
        device.take(["notes"], ("1", text), file="crm")
    meet(anna, bert)
    listed = ["speaks German", "small", "tall", "met in June"]
    assert anna.conflict("notes") == bert.conflict("notes") == listed
    assert anna.shows("notes") == bert.shows("notes") == "speaks German"


@pytest.mark.parametrize("decision", [14, 16, 20])
def test_a_person_decides_between_versions_and_the_next_goes_on_from_there(office, decision):
    office = office("found")
    versions = [office.sheet({**EDITS, "visits": number}, moved=3) for number in (10, 12, 13)]
    play(office, versions[:2], "aAbm")
    (record,) = [view.record for view in office.devices[0].replica.list("customers") if view.raw["name"] == "ben"]
    with office.devices[0].replica.edit(record) as person:
        person.resolve("visits", decision)
    meet(*office.devices)
    assert office.listed(0) == office.listed(1) == {}
    for which in (0, 1):
        assert office.take(which, versions[1]).updated == 0
        office.take(which, versions[2])
        meet(*office.devices)
    for which in (0, 1):
        assert office.listed(which) == {}
        assert office.shows(which)["ben"][0]["visits"] == decision + 3


@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS.keys())
def test_also_under_the_name_of_a_table_that_was_imported(office, order):
    office = office("found", table="x")
    play(office, [office.sheet(EDITS, moved=3)], order)
    for which in (0, 1):
        (ben,) = office.shows(which)["ben"]
        assert (ben["visits"], ben["notes"], ben["timeline"]) == (14, "note of ben, 1 words more", ["called 1"])


def test_the_next_table_of_that_name_takes_back_nothing_that_was_edited(office):
    office = office("found", table="x")
    office.take(0, office.sheet(EDITS))
    headers = [office.labels[name] for name in ("name", "email", "visits", "notes")]
    rows = [[name, f"{name}@x.example", "5", f"tall note of {name}"] for name in NAMES]
    office.take(0, [headers, *rows])
    (ben,) = office.shows(0)["ben"]
    assert (ben["visits"], ben["notes"]) == (15, "tall note of ben, 1 words more")
    office.take(0, office.sheet({**EDITS, "visits": 12}))
    assert office.shows(0)["ben"][0]["visits"] == 17


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from(sorted(SCHEMAS)),
    st.booleans(),
    st.dictionaries(st.sampled_from(COUNTED), st.integers(1, 9), min_size=1),
    st.sets(st.sampled_from(["phone", "company", "stage", "city", "tags", "timeline", "notes"])),
    st.integers(0, 6),
    st.sampled_from(["", "name", "notes", "visits"]),
    st.text("abm", min_size=2, max_size=6).filter(lambda order: {*order} & {"a", "b"}),
)
@example("found", False, {"visits": 5}, {"phone"}, 0, "", "ab")
@example("found", True, {"visits": 5}, {"phone"}, 0, "", "bma")
@example("found", True, {"visits": 7, "tags": 4}, {"company"}, 0, "notes", "bbmaa")
@example("natural", True, {"notes": 6, "tags": 1}, {"phone"}, 0, "notes", "bbma")
def test_what_was_edited_is_there_once_or_a_conflict(schema, typed, edits, left_out, moved, sorted_by, order):
    shown = []
    for each in ("a", order):
        with tempfile.TemporaryDirectory() as folder:
            office = Office(Path(folder), schema, typed=typed)
            try:
                play(office, [office.sheet(edits, left_out, moved, sorted_by)], each)
            except (AlreadyHere, KeyNeeded):
                return  # asked about, and nothing is written
            if typed and "a" not in each:
                return  # whoever does not know the export does not know what was typed before it
            shown.append((office.shows(0), office.shows(1)))
            listed = office.listed(0)
            assert listed == office.listed(1)
    (alone, same), (found, elsewhere) = shown
    assert alone == same
    assert found == elsewhere
    for name, people in alone.items():
        assert len(found[name]) == len(people)
        for field in COUNTED:
            assert found[name][0][field] == people[0][field] or (name, field) in listed


def test_accounts_that_count_apart_are_noticed(office, monkeypatch):
    monkeypatch.setattr(memory_index, "accounts", sources.newest)
    with pytest.raises(AssertionError):
        test_it_is_one_import(office, "found", "columns deleted", "abm")


def test_what_an_earlier_release_counted_apart_is_counted_on(office):
    """A store in which `x (export)` is an account of its own."""
    office = office("found")
    sheets = [office.sheet({**EDITS, "visits": number}, moved=3) for number in (10, 12)]
    with pytest.MonkeyPatch.context() as earlier:
        earlier.setattr("crdt_sync.exchange.importer.edits_of", sources.earlier_edits_of)
        earlier.setattr("crdt_sync.exchange.importer._edited", lambda *_: None)
        office.take(0, sheets[0])
    meet(*office.devices)
    (record,) = [view for view in office.devices[0].replica.list("customers") if view.raw["name"] == "ben"]
    assert {source.name for source in record.sources} == {"c", "x (export)"}
    for which, sheet in enumerate([sheets[0], sheets[0]]):
        assert office.take(which, sheet).updated == 0
    for which in (1, 0):
        office.take(which, sheets[1])
    meet(*office.devices)
    for which in (0, 1):
        assert office.shows(which)["ben"][0]["visits"] == 16
        assert office.take(which, sheets[1]).updated == 0
