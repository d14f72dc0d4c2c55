"""A plain export of one device that is imported on another, where a newer version of a table has arrived meanwhile."""

import csv

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdt_sync.exchange import ExportOptions, export_table, import_table
from crdt_sync.exchange.row_memory import Memory
from crdt_sync.records import conflicts_of
from tests.importing.conftest import Device, Lines, meet

COLUMNS = ("name", "city", "notes", "visits", "phone", "tags", "stage")
FIRST = {"city": "Bonn", "notes": "Ruft gern an, zahlt bar", "visits": "5"}
NEWER = {"city": "Ulm", "notes": "Ruft gern an, zahlt mit Karte", "visits": "8"}
NAMES = ("Ann", "Ben", "Carl", "Dora", "Emil")


def take_table(device, **ben):
    """The table: everybody as in its first version, but for Ben."""
    rows = [
        (str(at), name, *({**FIRST, **ben} if name == "Ben" else FIRST).values(), f"0228 55{at}", "vip", "lead")
        for at, name in enumerate(NAMES)
    ]
    return device.take(COLUMNS, *rows)


class Sheet:
    """An export of a device, edited and imported as files are that another device wrote."""

    def __init__(self, device, path, **options):
        export_table(device.replica, "people", path, ExportOptions(**options))
        with path.open(encoding="utf-8", newline="") as stream:
            self.header, *self.rows = csv.reader(stream)

    def import_on(self, device, **ben):
        edits = {self.header.index(field): cell for field, cell in ben.items()}
        at = self.header.index("name")
        rows = [
            [edits.get(column, cell) if row[at] == "Ben" else cell for column, cell in enumerate(row)]
            for row in self.rows
        ]
        return import_table(device.replica, Lines(self.header, rows, "out"), "people")

    def cell(self, field):
        """What it said of Ben when it was written."""
        (row,) = (row for row in self.rows if "Ben" in row)
        return row[self.header.index(field)]


@pytest.fixture(params=[None, "Record"], ids=["plain", "ids"])
def office(request, devices, tmp_path):
    """Two devices that know the newer version, and an export from before it that the first wrote."""
    anna, bert = devices("anna", "bert")
    take_table(anna)
    meet(anna, bert)
    sheet = Sheet(anna, tmp_path / "out.csv", record_column=request.param)
    take_table(anna, **NEWER)
    meet(anna, bert)
    return anna, bert, sheet


@pytest.fixture
def late(office, devices):
    """Two devices of which the second came when the newer version was there already, and the export from before it."""
    anna, _, sheet = office
    (dora,) = devices("dora")
    meet(anna, dora)
    return anna, dora, sheet


def ben(device):
    (view,) = (view for view in device.replica.list("people") if view["name"] == "Ben")
    return view


def shown(device):
    return {field: str(ben(device)[field]) for field in NEWER}


def both(device, field):
    """All that is kept of a field, what is shown first."""
    conflicts = conflicts_of(device.replica.document(ben(device).record), device.schema, all_kinds=True)
    return next(([entry.value for entry in each.entries] for each in conflicts if each.field == field), [])


def test_what_nobody_edited_in_it_takes_nothing_back(office):
    anna, bert, sheet = office
    report = sheet.import_on(bert)
    assert (report.cells_written, report.cells_both_changed) == (0, 0)
    meet(anna, bert)
    assert shown(anna) == shown(bert) == NEWER
    assert sheet.import_on(bert).cells_written == 0


def test_words_that_were_edited_in_it_are_merged_with_the_newer_ones(office):
    anna, bert, sheet = office
    report = sheet.import_on(bert, notes="Ruft sehr gern an, zahlt bar")
    assert report.cells_written == 1
    meet(anna, bert)
    assert shown(anna)["notes"] == shown(bert)["notes"] == "Ruft sehr gern an, zahlt mit Karte"
    take_table(anna, **{**NEWER, "notes": "Ruft gern an, zahlt mit Karte und Rabatt"})
    meet(anna, bert)
    assert shown(bert)["notes"] == "Ruft sehr gern an, zahlt mit Karte und Rabatt"


def test_words_that_both_changed_are_both_kept(office):
    anna, bert, sheet = office
    report = sheet.import_on(bert, notes="Ruft gern an, zahlt gar nicht")
    assert report.cells_both_changed == 1
    meet(anna, bert)
    for device in (anna, bert):
        (conflict,) = conflicts_of(device.replica.document(ben(device).record), device.schema)
        assert [(entry.value, entry.actor) for entry in conflict.entries] == [
            (NEWER["notes"], "import customers"),
            ("Ruft gern an, zahlt gar nicht", "import out (edited)"),
        ]


def test_a_value_that_was_edited_in_it_is_shown_and_the_newer_one_kept(office):
    anna, bert, sheet = office
    report = sheet.import_on(bert, city="Kiel")
    assert (report.cells_written, report.cells_both_changed) == (0, 1)
    meet(anna, bert)
    for device in (anna, bert):
        assert both(device, "city") == ["Kiel", "Ulm"]


def test_a_count_that_was_edited_in_it_is_reported_and_takes_no_news_back(office):
    anna, bert, sheet = office
    report = sheet.import_on(bert, visits="6")
    assert report.cells_both_changed == 1
    meet(anna, bert)
    assert shown(anna)["visits"] == shown(bert)["visits"] == "8"


def test_a_device_that_came_later_takes_nothing_back(late):
    """It does not know what was there before, but of texts: the older values are kept beside what is shown."""
    anna, dora, sheet = late
    report = sheet.import_on(dora)
    meet(anna, dora)
    assert shown(anna) == shown(dora) == NEWER
    assert (report.cells_written, report.cells_both_changed) == (0, 2)
    assert {cell.result for cell in report.conflicts} == {"Ulm", 8}
    assert both(dora, "notes") == []


def test_a_device_that_came_later_loses_nothing_unseen(late):
    anna, dora, sheet = late
    sheet.import_on(dora, city="Kiel", notes="Ruft sehr gern an, zahlt bar", visits="6")
    meet(anna, dora)
    for device in (anna, dora):
        assert both(device, "city") == ["Ulm", "Kiel"]
        assert both(device, "notes") == [NEWER["notes"], "Ruft sehr gern an, zahlt bar"]
        assert shown(device)["visits"] == "8"


@pytest.mark.parametrize("newer", [False, True])
def test_an_export_of_what_is_shown_is_edited_without_a_question(devices, tmp_path, newer):
    """Of a table that came once, and, on a device that saw both versions, of one that came again."""
    anna, bert = devices("anna", "bert")
    take_table(anna)
    meet(anna, bert)
    notes = "Ruft nie an, zahlt bar"
    if newer:
        take_table(anna, **NEWER)
        meet(anna, bert)
        notes = "Ruft nie an, zahlt mit Karte"
    sheet = Sheet(anna, tmp_path / "out.csv")
    report = sheet.import_on(bert, notes=notes, **({} if newer else {"city": "Kiel", "visits": "6"}))
    assert report.cells_both_changed == 0
    meet(anna, bert)
    assert shown(anna)["notes"] == shown(bert)["notes"] == notes
    if not newer:
        assert shown(bert) == {"notes": notes, "city": "Kiel", "visits": "6"}


def test_what_was_only_added_to_a_text_needs_no_question_on_a_device_that_came_later(devices, late, tmp_path):
    anna, dora, _ = late
    sheet = Sheet(anna, tmp_path / "new.csv")
    added = f"{NEWER['notes']}, mag Kaffee"
    assert sheet.import_on(dora, notes=added).cells_both_changed == 0
    meet(anna, dora)
    assert shown(anna)["notes"] == shown(dora)["notes"] == added
    assert both(dora, "notes") == []


WORDS = st.lists(st.sampled_from(["alt", "bar", "Karte", "neu", "rot", "Rabatt"]), min_size=1, max_size=4)
VERSION = st.tuples(st.sampled_from(["Bonn", "Kiel", "Ulm"]), WORDS.map(" ".join), st.integers(0, 9).map(str))


@given(
    versions=st.lists(VERSION, min_size=2, max_size=4),
    exported=st.integers(0, 2),
    edit=st.none() | st.tuples(st.integers(0, 4), st.integers(0, 1)),
    came_later=st.booleans(),
    ids=st.booleans(),
)
def test_whatever_versions_came_since_nothing_of_the_newest_is_lost_unseen(
    tmp_path_factory, versions, exported, edit, came_later, ids
):
    now = [1_700_000_000_000_000]
    anna, bert = Device("anna", now), Device("bert", now)
    sheet = None
    for number, version in enumerate(versions):
        take_table(anna, **dict(zip(NEWER, version, strict=True)))
        if not came_later:
            meet(anna, bert)
        if number == min(exported, len(versions) - 2):
            path = tmp_path_factory.mktemp("sheets") / "out.csv"
            sheet = Sheet(anna, path, record_column="Record" if ids else None)
    meet(anna, bert)
    before = shown(anna)
    words = sheet.cell("notes").split()
    if edit is not None:
        place, gone = edit
        words[place : place + gone] = ["ja"]
    edited = {"city": "Mainz", "notes": " ".join(words)}
    sheet.import_on(bert, **({} if edit is None else edited))
    meet(anna, bert)
    assert shown(anna) == shown(bert)
    assert shown(bert)["visits"] == before["visits"]
    if edit is None:
        assert shown(bert) == before
        return
    kept = {field: set(both(bert, field) or [shown(bert)[field]]) for field in edited}
    replaced = {before["city"]} & {sheet.cell("city")}
    assert kept["city"] in ({"Mainz", before["city"]}, {"Mainz", before["city"]} - replaced)
    news = {*before["notes"].split(), *words} - {*sheet.cell("notes").split()}
    assert news <= {*" ".join(kept["notes"]).split()}


def test_an_export_that_is_taken_for_newer_than_what_is_shown_is_noticed(office, monkeypatch):
    monkeypatch.setattr(Memory, "may_be_older", lambda memory, field: False)
    with pytest.raises(AssertionError):
        test_what_nobody_edited_in_it_takes_nothing_back(office)
