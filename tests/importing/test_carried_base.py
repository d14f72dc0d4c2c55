"""An export for editing carries what it was written from: whoever imports it, only what was edited in it changes."""

import csv
import json
import random
import re
import zlib
from base64 import urlsafe_b64encode
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crdt_sync.errors import AnotherCustomer
from crdt_sync.exchange import ExportOptions, export_table, import_table, open_table
from crdt_sync.exchange.base import Base, Bases, decode_base, encode_base
from crdt_sync.exchange.table import BASE_HEADER
from crdt_sync.limits import BASE_BYTES_MAX, BASE_LENGTH_MAX, SOURCE_TEXT_BYTES_MAX
from crdt_sync.records.memory.sources import is_edits, mark_text
from tests.importing.conftest import Device, meet

SPACE = "5a" * 16
LONG = "a line that is long enough\n" * (SOURCE_TEXT_BYTES_MAX // 20)


def person(device: Device, record: str, **values) -> None:
    with device.replica.edit(record, create=True) as editor:
        editor.update(values)


@pytest.fixture
def pair(devices):
    anna, bert = devices("anna", "bert")
    person(anna, "people/1", name="Anna", city="Kiel", stage="lead", visits=10, tags=["vip", "old"], notes="met in May")
    person(anna, "people/2", name="Zoe", city="Bonn", visits=1)
    with anna.replica.edit("people/1") as editor:
        editor.append("timeline", "called")
    meet(anna, bert)
    return anna, bert


class Sheet:
    """An export for editing, as rows of texts by header."""

    def __init__(self, device: Device, path, space: str = "", now: int = 0) -> None:
        self.path = path
        now = now or device.replica.wall_clock()
        export_table(device.replica, "people", path, ExportOptions(for_editing=True), now=now, space=space)
        with path.open(newline="") as stream:
            self.rows = list(csv.DictReader(stream))

    def row(self, name: str) -> dict[str, str]:
        return next(row for row in self.rows if row.get("name") == name)

    def bring(self, device: Device, space: str = "", **options):
        with self.path.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, list(self.rows[0]))
            writer.writeheader()
            writer.writerows(self.rows)
        return import_table(device.replica, open_table(self.path), "people", space=space, **options)


def colleague(device: Device) -> None:
    with device.replica.edit("people/1") as editor:
        editor.update({"city": "Ulm", "stage": "qualified"})
        editor.increment("visits", 5)
        editor.add("tags", "gold")
        editor.text("notes").replace("met in May, called in June")
        editor.append("timeline", "visited")


def test_untouched_it_writes_nothing_on_any_device_however_old(pair, tmp_path):
    anna, bert = pair
    sheet = Sheet(anna, tmp_path / "people.csv")
    for device in (anna, bert):
        colleague(device)
        before, head = device.values(), device.log_length()
        random.Random(1).shuffle(sheet.rows)
        report = sheet.bring(device)
        assert (report.rows, report.unchanged, report.failures, report.record_column) == (2, 2, 0, BASE_HEADER)
        assert (device.values(), device.log_length()) == (before, head)


@pytest.mark.parametrize("suffix", ["csv", "xlsx", "jsonl", "json"])
def test_it_goes_through_every_format(pair, tmp_path, suffix):
    anna, bert = pair
    path = tmp_path / f"people.{suffix}"
    export_table(anna.replica, "people", path, ExportOptions(for_editing=True), now=5)
    colleague(bert)
    before = bert.values()
    assert import_table(bert.replica, open_table(path), "people").unchanged == 2
    assert bert.values() == before


def test_the_column_is_hidden_in_a_sheet(pair, tmp_path):
    openpyxl = pytest.importorskip("openpyxl")
    path = tmp_path / "people.xlsx"
    report = export_table(pair[0].replica, "people", path, ExportOptions(for_editing=True), now=5)
    sheet = openpyxl.load_workbook(path).active
    letter = openpyxl.utils.get_column_letter(len(report.columns))
    assert sheet[f"{letter}1"].value == BASE_HEADER
    assert [each for each, column in sheet.column_dimensions.items() if column.hidden] == [letter]


def test_what_was_edited_changes_as_an_edit_on_another_device(pair, tmp_path):
    anna, bert = pair
    sheet = Sheet(anna, tmp_path / "people.csv")
    colleague(bert)
    sheet.row("Anna").update(visits="12", notes="we met in May", tags='["vip", "new"]', timeline='["mailed"]')
    report = sheet.bring(bert)
    raw = bert.replica.get("people/1").raw
    assert (raw["visits"], raw["notes"]) == (17, "we met in May, called in June")
    assert (raw["city"], raw["stage"]) == ("Ulm", "qualified")
    assert raw["tags"] == ["gold", "new", "vip"]  # "old" was taken out of the sheet, though a person had added it
    assert sorted(entry["value"] for entry in raw["timeline"]) == ["called", "mailed", "visited"]
    assert (report.cells_both_changed, bert.replica.get("people/1").conflicts) == (0, ())
    head = bert.log_length()
    assert sheet.bring(bert).unchanged == 2
    assert bert.log_length() == head


def test_what_both_changed_is_a_conflict(pair, tmp_path):
    anna, bert = pair
    sheet = Sheet(anna, tmp_path / "people.csv")
    colleague(bert)
    sheet.row("Anna").update(city="Bonn")
    (found,) = sheet.bring(bert).conflicts
    assert (found.here, found.table, found.kept) == ("Ulm", "Bonn", "beside")
    assert [entry[0] for entry in bert.replica.document("people/1").contents()["c.city"]] == ["Ulm", "Bonn"]


def test_two_devices_that_import_one_edited_export_count_once_and_another_export_counts_on(pair, tmp_path):
    anna, bert = pair
    first, second = Sheet(anna, tmp_path / "people.csv"), Sheet(anna, tmp_path / "more.csv")
    first.row("Anna").update(visits="12")
    second.row("Anna").update(visits="11")
    first.bring(anna)
    first.bring(bert)
    meet(anna, bert)
    assert anna.replica.get("people/1").raw["visits"] == bert.replica.get("people/1").raw["visits"] == 12
    second.bring(bert)  # exported at ten, too: one more than that
    assert bert.replica.get("people/1").raw["visits"] == 13
    second.row("Anna").update(visits="15")  # the same export edited further: five more, and not six
    second.bring(bert)
    assert bert.replica.get("people/1").raw["visits"] == 17


def test_a_text_beyond_what_a_record_remembers_is_merged(pair, tmp_path):
    anna, bert = pair
    person(anna, "people/1", notes=LONG)
    meet(anna, bert)
    sheet = Sheet(anna, tmp_path / "people.csv")
    person(bert, "people/1", notes=LONG + "typed by Bert\n")
    sheet.row("Anna").update(notes="edited in the sheet\n" + LONG)
    assert sheet.bring(bert).cells_written == 1
    assert bert.replica.get("people/1").raw["notes"] == "edited in the sheet\n" + LONG + "typed by Bert\n"
    head = bert.log_length()
    again = sheet.bring(bert)
    assert (again.cells_written, again.cells_both_changed, bert.log_length()) == (0, 0, head)


def test_deleted_rows_and_columns_are_no_news_and_added_rows_are_records(pair, tmp_path):
    anna, bert = pair
    sheet = Sheet(anna, tmp_path / "people.csv")
    sheet.rows.remove(sheet.row("Zoe"))
    sheet.rows.append({"name": "Max", "city": "Köln"})
    for row in sheet.rows:
        row.pop("visits", None)
        row.pop("tags", None)
    report = sheet.bring(bert)
    assert (report.created, report.unchanged, report.failures) == (1, 1, 0)
    assert sorted(view.raw["name"] for view in bert.replica.list("people")) == ["Anna", "Max", "Zoe"]
    assert bert.replica.get("people/1").raw["visits"] == 10


def test_a_copied_row_is_an_error_that_says_what_to_do(pair, tmp_path):
    anna, bert = pair
    sheet = Sheet(anna, tmp_path / "people.csv")
    sheet.rows.append({**sheet.row("Anna"), "name": "Anna's sister"})
    report = sheet.bring(bert)
    ((problem),) = report.failed
    assert (problem.line, problem.column, problem.code) == (4, BASE_HEADER, "duplicate_key")
    assert "a copy of line 2" in problem.message
    assert bert.replica.get("people/1").raw["name"] == "Anna"


@pytest.mark.parametrize("record_column", [False, True])
def test_rows_that_were_sorted_without_the_column_that_names_them_are_refused(pair, tmp_path, record_column):
    anna, bert = pair
    sheet = Sheet(anna, tmp_path / "people.csv")
    options = {}
    if record_column:
        for row in sheet.rows:
            base = decode_base(row.pop(BASE_HEADER))
            assert base is not None
            row["ID"] = base.record
        options = {"record_column": "ID"}
    names = "ID" if record_column else BASE_HEADER
    first, second = sheet.rows
    first[names], second[names] = second[names], first[names]
    head = bert.log_length()
    with pytest.raises(AnotherCustomer) as caught:
        sheet.bring(bert, **options)
    assert "left out when rows were sorted" in str(caught.value.hint)
    assert (caught.value.rows, bert.log_length()) == (2, head)
    assert sheet.bring(bert, same_source=True, **options).updated == 2


def test_names_that_were_rewritten_in_an_export_are_edits_of_their_records(pair, tmp_path):
    anna, bert = pair
    sheet = Sheet(anna, tmp_path / "people.csv")
    sheet.row("Anna")["name"] = "Hanna"
    sheet.row("Zoe")["name"] = "Anna"
    assert sheet.bring(bert).updated == 2
    assert [bert.replica.get(f"people/{number}").raw["name"] for number in (1, 2)] == ["Hanna", "Anna"]


def test_a_base_that_cannot_be_used_is_an_error_of_its_row(pair, tmp_path, devices):
    anna, bert = pair
    sheet = Sheet(anna, tmp_path / "people.csv", space=SPACE)
    head = bert.log_length()
    foreign = sheet.bring(bert, space="77" * 16)
    assert [problem.code for problem in foreign.failed] == ["base_unknown"] * 2
    assert "another space" in foreign.failed[0].message
    (stranger,) = devices("stranger")
    assert "sync first" in sheet.bring(stranger, space=SPACE).failed[0].message
    cell = sheet.row("Anna")[BASE_HEADER]
    for bad in (cell[:-9], cell.replace("b1.", "b2."), "x", "b1." + "A" * BASE_LENGTH_MAX, "b1.%%%", cell[:40] + "é"):
        sheet.row("Anna")[BASE_HEADER] = bad
        report = sheet.bring(bert, space=SPACE)
        assert (report.failures, report.failed[0].column) == (1, BASE_HEADER)
    assert bert.log_length() == head


def test_a_record_that_was_deleted_stays_so(pair, tmp_path):
    anna, bert = pair
    sheet = Sheet(anna, tmp_path / "people.csv")
    with bert.replica.edit("people/1") as editor:
        editor.delete()
    sheet.row("Anna").update(city="Ulm")
    assert sheet.bring(bert).deleted == 1
    assert bert.replica.get("people/1").deleted


@pytest.mark.parametrize("elsewhere", [False, True])
def test_edits_of_two_exports_of_one_name_and_moment_add_up(pair, tmp_path, elsewhere):
    """Made by one device or by two."""
    anna, bert = pair
    now = anna.replica.wall_clock()
    sheets = []
    for folder, device in (("a", anna), ("b", bert if elsewhere else anna)):
        (tmp_path / folder).mkdir()
        sheets.append(Sheet(device, tmp_path / folder / "people.csv", now=now))
    for sheet, visits in zip(sheets, ("12", "15"), strict=True):
        sheet.row("Anna").update(visits=visits)
        sheet.bring(bert)
    assert bert.replica.get("people/1").raw["visits"] == 17
    meet(anna, bert)
    for sheet in (*sheets, *sheets[::-1]):
        assert sheet.bring(anna).unchanged == 2
    assert anna.replica.get("people/1").raw["visits"] == 17


def test_rows_of_two_exports_in_one_file_are_edits_of_theirs(pair, tmp_path):
    anna, bert = pair
    first, second = Sheet(anna, tmp_path / "first.csv"), Sheet(bert, tmp_path / "second.csv")
    second.row("Anna").update(visits="15")
    first.rows = [first.row("Zoe"), second.row("Anna")]
    assert first.bring(bert).updated == 1
    assert second.bring(bert).unchanged == 2
    assert bert.replica.get("people/1").raw["visits"] == 15


def test_an_export_of_an_earlier_release_is_known_by_its_time(pair, tmp_path, monkeypatch):
    anna, bert = pair
    monkeypatch.setattr("crdt_sync.exchange.exporter.TAG_BYTES", 0)
    sheet = Sheet(anna, tmp_path / "people.csv")
    sheet.row("Anna").update(visits="12")
    report = sheet.bring(bert)
    assert (report.updated, bert.replica.get("people/1").raw["visits"]) == (1, 12)
    assert re.fullmatch(r"people \(export \d{12}\)", report.source)
    assert is_edits(report.source)


base = Base("people/1", 1_700_000_000_000_000, "customers", SPACE, {"city": "Kiel", "visits": {"=": 1, "+": 0}})
marked = replace(base, tag="0f0f0f0f")


def test_a_base_comes_back_and_keeps_what_fits():
    assert [decode_base(encode_base(each)) for each in (base, marked)] == [base, marked]
    noise = "".join(random.Random(1).choices("abcdefghijklmnopqrstuvwxyz0123456789", k=60_000))
    large = Base(base.record, 0, "customers", "", {"notes": {"text": noise}, "city": "Kiel"})
    found = decode_base(encode_base(large))
    assert found is not None
    assert found.said == {"notes": mark_text(noise), "city": "Kiel"}


@pytest.mark.parametrize(
    "content",
    [
        "[]",
        json.dumps(["people/1", 1, "a", "", "[]"]),
        json.dumps(["people/1", -1, "a", "", "{}"]),
        json.dumps(["people/1", True, "a", "", "{}"]),
        json.dumps(["people", 1, "a", "", "{}"]),
        json.dumps(["people/1", 1, "a" * 99, "", "{}"]),
        json.dumps(["people/1", 1, 5, "", "{}"]),
        json.dumps(["people/1", 1, "a", None, "{}"]),
        json.dumps(["people/1", 1, "a", "", "{}", 5]),
        json.dumps(["people/1", 1, "a", "", "{}", ")"]),
        json.dumps(["people/1", 1, "a", "", "{}", "0f0f0f0f", 1]),
        json.dumps(["people/1", 1, "a", "", {}]),
        "[" * 100_000,
        " " * (BASE_BYTES_MAX + 1) + "[]",
    ],
)
def test_hostile_bases_are_none(content):
    packed = urlsafe_b64encode(zlib.compress(content.encode())).decode()
    assert decode_base("b1." + packed) is None


@given(st.text(max_size=60) | st.binary(max_size=60).map(lambda raw: "b1." + raw.hex()) | st.integers())
def test_whatever_stands_in_the_cell_is_read_or_none(cell):
    assert decode_base(cell) is None


edits = st.fixed_dictionaries(
    {},
    optional={
        "name": st.sampled_from(["Anne", "Ann"]),
        "city": st.sampled_from(["Ulm", "Köln"]),
        "visits": st.integers(0, 20).map(str),
        "tags": st.sampled_from(['["vip"]', '["vip", "old", "new"]']),
        "notes": st.sampled_from(["oh met in May", "met in May too"]),
    },
)


@settings(max_examples=40, deadline=None)
@given(edits, st.booleans(), st.booleans(), st.randoms(use_true_random=False))
def test_only_edited_cells_change_wherever_and_whenever(tmp_path_factory, edited, elsewhere, meanwhile, rng):
    now = [1_700_000_000_000_000]
    anna, bert = Device("anna", now), Device("bert", now)
    person(anna, "people/1", name="Anna", city="Kiel", visits=10, tags=["vip", "old"], notes="met in May")
    person(anna, "people/2", name="Zoe", city="Bonn")
    meet(anna, bert)
    sheet = Sheet(anna, tmp_path_factory.mktemp("sheet") / "people.csv")
    device = bert if elsewhere else anna
    if meanwhile:
        with device.replica.edit("people/1") as editor:
            editor.increment("visits", 5)
            editor.add("tags", "gold")
            editor.append("timeline", "seen")
    before = dict(device.replica.get("people/1").raw)
    sheet.row("Anna").update(edited)
    rng.shuffle(sheet.rows)
    sheet.bring(device)
    raw = device.replica.get("people/1").raw
    expected = {field: edited.get(field, before[field]) for field in ("name", "city", "notes")}
    assert {field: raw[field] for field in expected} == expected
    assert raw["visits"] == before["visits"] + int(edited.get("visits", 10)) - 10
    said = set(json.loads(edited["tags"])) if "tags" in edited else {"vip", "old"}
    assert set(raw["tags"]) == (set(before["tags"]) | said) - ({"vip", "old"} - said)
    assert raw.get("timeline") == before.get("timeline")
    assert device.replica.get("people/2").raw == {"name": "Zoe", "city": "Bonn"}


def test_an_import_that_does_not_use_the_base_is_noticed(pair, tmp_path, monkeypatch):
    anna, bert = pair
    sheet = Sheet(anna, tmp_path / "people.csv")
    colleague(bert)
    sheet.row("Anna").update(visits="12")
    monkeypatch.setattr(Bases, "base_of", lambda *_: None)
    sheet.bring(bert)
    assert bert.replica.get("people/1").raw["visits"] != 17
