"""An export that was edited in a spreadsheet changes what was edited, whatever was edited here meanwhile."""

import json

import pytest

from crdt_sync.exchange import ExportOptions, Exports, export_table, import_table, open_table
from crdt_sync.exchange import exports as exports_module
from tests.importing.conftest import Device, meet


class Spreadsheet:
    """The export of a device, and what somebody types into it."""

    def __init__(self, device: Device, folder) -> None:
        self.device = device
        self.path = folder / "people.csv"
        self.exports = Exports(folder / "exports")

    def export(self) -> None:
        options = ExportOptions(record_column="Id")
        now = self.device.replica.wall_clock()
        export_table(self.device.replica, "people", self.path, options, exports=self.exports, now=now)

    def edit(self, old: str, new: str) -> None:
        text = self.path.read_text()
        assert old in text
        self.path.write_text(text.replace(old, new))

    def bring(self):
        table = open_table(self.path)
        return import_table(self.device.replica, table, "people", record_column="Id", exports=self.exports)


@pytest.fixture
def anna(devices):
    (anna,) = devices("anna")
    with anna.replica.edit("people/1", create=True) as person:
        person.update({"name": "Anna", "city": "Kiel", "stage": "lead"})
        person.increment("visits", 2)
        person.text("notes").replace("hello")
        person.add("tags", "vip")
        person.append("timeline", "called")
    return anna


@pytest.fixture
def sheet(anna, tmp_path):
    sheet = Spreadsheet(anna, tmp_path)
    sheet.export()
    return sheet


def colleague_edits(device):
    with device.replica.edit("people/1") as person:
        person.update({"city": "Bonn", "stage": "qualified", "phone": "5"})
        person.increment("visits", 5)
        person.text("notes").replace("hello and more")
        person.add("tags", "gold")
        person.remove("tags", "vip")
        person.append("timeline", "visited")


def test_an_export_that_nobody_edited_changes_nothing(anna, sheet):
    colleague_edits(anna)
    before, head = anna.values(), anna.log_length()
    assert sheet.bring().unchanged == 1
    assert (anna.values(), anna.log_length()) == (before, head)


def test_one_edited_cell_changes_that_cell(anna, sheet):
    colleague_edits(anna)
    sheet.edit("Anna", "Anne")
    report = sheet.bring()
    assert (report.cells_written, report.cells_both_changed) == (1, 0)
    raw = anna.replica.get("people/1").raw
    assert (raw["name"], raw["city"], raw["visits"], raw["notes"]) == ("Anne", "Bonn", 7, "hello and more")
    assert (raw["tags"], raw["stage"], len(raw["timeline"])) == (["gold"], "qualified", 2)


def test_edited_numbers_texts_and_sets_are_merged(anna, sheet):
    colleague_edits(anna)
    sheet.edit(",2,", ",3,")
    sheet.edit("hello", "oh hello")
    sheet.edit('"[""vip""]"', "new")
    sheet.bring()
    raw = anna.replica.get("people/1").raw
    assert (raw["visits"], raw["notes"], raw["tags"]) == (8, "oh hello and more", ["gold", "new"])


def test_a_member_that_is_taken_out_is_removed_whichever_table_brought_it(anna, sheet):
    anna.take(["Id", "tags"], ["", "people/1", "fair; vip"], record_column="Id", file="shop")
    assert anna.shows("tags") == ["fair", "vip"]
    sheet.export()
    sheet.edit('"[""fair"", ""vip""]"', "[]")
    assert sheet.bring().updated == 1
    assert not anna.shows("tags")
    assert sheet.bring().unchanged == 1


def test_a_cell_that_both_changed_is_a_conflict(anna, sheet):
    colleague_edits(anna)
    sheet.edit("Kiel", "Ulm")
    (found,) = sheet.bring().conflicts
    assert (found.field, found.here, found.table) == ("city", "Bonn", "Ulm")
    assert anna.shows("city") == "Bonn"


def test_a_cell_that_was_cleared_here_can_be_filled_in_again(anna, tmp_path):
    anna.take(["Id", "phone"], ["", "people/1", "9"], record_column="Id", file="other")
    with anna.replica.edit("people/1") as person:
        person["phone"] = None
    sheet = Spreadsheet(anna, tmp_path)
    sheet.export()
    sheet.edit("Kiel,,", "Kiel,9,")
    assert sheet.bring().cells_written == 1
    assert anna.shows("phone") == "9"


def test_the_newest_export_of_a_name_counts_and_the_one_before_is_no_news(anna, sheet):
    old = sheet.path.read_text()
    colleague_edits(anna)
    sheet.export()
    sheet.edit(",7,", ",8,")
    sheet.bring()
    assert anna.shows("visits") == 8
    sheet.path.write_text(old)
    sheet.bring()
    assert (anna.shows("visits"), anna.shows("city")) == (8, "Bonn")


def test_what_is_remembered_is_bounded_and_what_cannot_be_read_is_not_there(anna, sheet, tmp_path, monkeypatch):
    monkeypatch.setattr(exports_module, "EXPORTS_OF_NAME_MAX", 2)
    for _ in range(4):
        sheet.export()
    files = sorted((tmp_path / "exports").iterdir())
    assert len(files) == 2
    assert known(sheet) == ["people"]
    assert known(sheet, "others") == []
    files[0].write_bytes(files[0].read_bytes()[:-20])
    files[1].write_bytes(b"damaged")
    assert known(sheet) == []


def known(sheet, collection="people"):
    """Of which sources the exports are that an import of `people` knows of."""
    return [source for _, source, _ in sheet.exports.of_collection(collection, "people").said("people/1")]


def test_what_an_import_unpacks_is_bounded_and_its_own_exports_come_first(anna, sheet, monkeypatch):
    ((_, _, said),) = sheet.exports.of_collection("people", "people").said("people/1")
    monkeypatch.setattr(exports_module, "EXPORTS_READ_BYTES_MAX", len(json.dumps(said, ensure_ascii=False)))
    for name in ("later", "latest"):
        sheet.path = sheet.path.with_name(f"{name}.csv")
        sheet.export()
    assert known(sheet) == ["people"]
    monkeypatch.setattr(exports_module, "EXPORTS_READ_BYTES_MAX", 1 << 20)
    assert known(sheet) == ["people", "latest", "later"]


def test_exports_that_say_the_same_are_held_once(anna, sheet):
    sheet.export()
    assert known(sheet) == ["people"]
    colleague_edits(anna)
    sheet.export()
    assert known(sheet) == ["people", "people"]


@pytest.fixture
def bert(devices, anna, sheet, tmp_path):
    """A colleague's device that had the record when it was exported, and gets the file."""
    (bert,) = devices("bert")
    meet(anna, bert)
    return bert


@pytest.fixture
def elsewhere(bert, sheet, tmp_path):
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    other = Spreadsheet(bert, folder)
    other.path.write_bytes(sheet.path.read_bytes())
    return other


@pytest.mark.parametrize("whose", ["anna", "bert"])
def test_an_export_brings_nothing_back_on_a_device_that_did_not_write_it(anna, bert, elsewhere, whose):
    colleague_edits({"anna": anna, "bert": bert}[whose])
    meet(anna, bert)
    before = bert.replica.get("people/1").raw
    report = elsewhere.bring()
    assert (report.cells_written, report.cells_both_changed) == (0, 0)
    assert bert.replica.get("people/1").raw == before
    head = bert.log_length()
    assert elsewhere.bring().unchanged == 1
    assert bert.log_length() == head


def test_what_was_edited_in_it_is_merged_there_from_the_next_time_on(anna, bert, elsewhere):
    colleague_edits(anna)
    meet(anna, bert)
    elsewhere.bring()
    elsewhere.edit("Anna", "Anne")
    elsewhere.edit(",2,", ",3,")
    elsewhere.edit("hello", "oh hello")
    elsewhere.bring()
    raw = bert.replica.get("people/1").raw
    assert (raw["name"], raw["visits"], raw["notes"], raw["tags"]) == ("Anne", 8, "oh hello and more", ["gold"])


def test_a_removed_member_stays_away_from_a_device_that_never_saw_it(anna, sheet, devices, tmp_path):
    colleague_edits(anna)
    cleo, *_ = devices("cleo")
    meet(anna, cleo)
    sheet.device, sheet.exports = cleo, Exports(tmp_path / "none")
    report = sheet.bring()
    raw = cleo.replica.get("people/1").raw
    assert (raw["tags"], raw["city"], raw["notes"], raw["visits"]) == (["gold"], "Bonn", "hello and more", 7)
    assert {each.field for each in report.conflicts} == {"city", "stage", "notes", "visits"}


def test_a_member_that_was_removed_can_be_added_by_a_table_that_did_not_have_it(anna, bert):
    colleague_edits(bert)
    columns = ["tags"]
    bert.take(["Id", *columns], ["", "people/1", "gold"], record_column="Id")
    bert.take(["Id", *columns], ["", "people/1", "gold; vip"], record_column="Id")
    assert bert.shows("tags") == ["gold", "vip"]


def test_what_people_cleared_is_not_filled_in_by_an_export_of_before(anna, bert, elsewhere):
    with bert.replica.edit("people/1") as person:
        person["city"] = None
        person["notes"] = ""
        person["visits"] = 0
    elsewhere.bring()
    assert [bert.shows(field) or None for field in ("city", "notes", "visits")] == [None, None, None]


def test_two_exports_of_one_name_and_stamp_are_both_remembered(anna, tmp_path):
    sheet = Spreadsheet(anna, tmp_path)
    now = anna.replica.wall_clock()
    for fields in (["name", "visits"], ["city"]):
        options = ExportOptions(record_column="Id", fields=fields)
        export_table(anna.replica, "people", sheet.path, options, exports=sheet.exports, now=now)
        if "visits" in fields:
            first = sheet.path.read_text()
    colleague_edits(anna)
    sheet.path.write_text(first)
    sheet.edit(",2", ",3")
    report = sheet.bring()
    assert (report.cells_written, report.cells_both_changed, anna.shows("visits")) == (1, 0, 8)
