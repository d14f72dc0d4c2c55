"""The rows of an export are the records that they were, without any column that identifies them."""

import pytest

from crdt_sync.errors import AnotherList
from crdt_sync.exchange import ExportOptions, Exports, export_table, import_table, open_table
from tests.importing.conftest import Lines, meet

PERSONS = [
    {"name": "Otto", "city": "Ulm"}, {"name": "Ida", "phone": "1"}, {"name": "Ada", "phone": "1"},
    {"name": "Ada", "phone": "1"}, {"name": "Ole", "phone": "2"},
]  # fmt: skip


class Round:
    """An export, what is typed into it, and its import."""

    def __init__(self, device, folder, **options) -> None:
        self.device, self.path = device, folder / "people.csv"
        self.exports = Exports(folder / "exports")
        export_table(
            device.replica, "people", self.path, ExportOptions(**options), exports=self.exports,
            now=device.replica.wall_clock(),
        )  # fmt: skip

    def edit(self, old: str, new: str) -> None:
        text = self.path.read_text()
        assert old in text
        self.path.write_text(text.replace(old, new, 1))

    def bring(self, device=None, **options):
        device = device or self.device
        return import_table(device.replica, open_table(self.path), "people", exports=self.exports, **options)


@pytest.fixture
def anna(devices):
    (anna,) = devices("anna")
    for number, values in enumerate(PERSONS):
        with anna.replica.edit(f"people/{number}", create=True) as person:
            person.update(values)
            person.increment("visits", number)
            person.text("notes").replace(f"note\nof {number}")
            person.add("tags", "a;b")
            person.append("timeline", "called")
    return anna


def names(device):
    return sorted(view.raw["name"] for view in device.replica.list("people"))


@pytest.mark.parametrize("fields", [None, ["name", "phone"], ["name", "city", "visits", "tags", "notes"]])
@pytest.mark.parametrize("options", [{}, {"key_columns": None}, {"key_columns": ["name"]}, {"source": "other"}])
def test_an_unedited_export_writes_nothing(anna, tmp_path, fields, options):
    sheet = Round(anna, tmp_path, fields=fields)
    head = anna.log_length()
    report = sheet.bring(**options)
    assert (report.created, report.updated, report.failures, anna.log_length()) == (0, 0, 0, head)
    assert report.unchanged == 5


def test_nor_does_one_of_another_name_or_with_its_rows_sorted(anna, tmp_path):
    sheet = Round(anna, tmp_path, fields=["name", "phone"])
    header, *rows = sheet.path.read_text().splitlines()
    sheet.path = tmp_path / "mine.csv"
    sheet.path.write_text("\n".join([header, *reversed(rows), ""]))
    report = sheet.bring()
    assert (report.created, report.recognised) == (0, 5)


def test_an_edited_row_is_the_record_at_its_place(anna, tmp_path):
    sheet = Round(anna, tmp_path, fields=["name", "phone", "city"])
    sheet.edit("Ida,1", "Ida,7")
    sheet.edit("Ole,2", "Olaf,2")
    report = sheet.bring()
    assert (report.created, report.updated, report.recognised) == (0, 2, 5)
    assert (anna.replica.get("people/1").raw["phone"], names(anna)) == ("7", ["Ada", "Ada", "Ida", "Olaf", "Otto"])


def test_an_edited_row_that_was_moved_is_the_only_record_left(anna, tmp_path):
    sheet = Round(anna, tmp_path, fields=["name", "phone"])
    header, otto, ida, *rest = sheet.path.read_text().splitlines()
    sheet.path.write_text("\n".join([header, ida, *rest, otto + "5", ""]))
    report = sheet.bring()
    assert (report.created, anna.replica.get("people/0").raw["phone"]) == (0, "5")


def test_another_row_in_the_place_of_one_is_a_new_record(anna, tmp_path):
    sheet = Round(anna, tmp_path, fields=["name", "phone"])
    sheet.edit("Ida,1", "Uwe,9")
    report = sheet.bring()
    assert (report.created, report.recognised, anna.replica.get("people/1").raw["name"]) == (1, 4, "Ida")


def test_an_edited_row_is_a_new_record_where_somebody_asked_for_that(anna, tmp_path):
    sheet = Round(anna, tmp_path, fields=["name", "phone"])
    sheet.edit("Ida,1", "Ida,7")
    assert sheet.bring(key_columns=None).created == 1


@pytest.mark.parametrize("where", ["anna", "bert"])
def test_a_column_with_record_ids_is_known_by_them(anna, devices, tmp_path, where):
    (bert,) = devices("bert")
    meet(anna, bert)
    sheet = Round(anna, tmp_path, record_column="ID")
    sheet.edit("Ida", "Uwe")
    device = {"anna": anna, "bert": bert}[where]
    report = sheet.bring(device)
    assert (report.created, report.updated, report.record_column) == (0, 1, "ID")
    assert device.replica.get("people/1").raw["name"] == "Uwe"


@pytest.mark.parametrize("dry_run", [False, True])
def test_another_list_of_the_name_and_length_of_an_export_is_refused(devices, tmp_path, dry_run):
    (anna,) = devices("anna")
    for number, name in enumerate(["Erika Muster", "Karl Kern", "Ida Ohm"]):
        with anna.replica.edit(f"people/{number}", create=True) as person:
            person.update({"name": name, "stage": "lead"})
    sheet = Round(anna, tmp_path, fields=["name", "stage"])
    sheet.path.write_text("name,stage\nPetra Lang,lead\nJan Jost,lead\nUwe Fink,lead\n")
    head = anna.log_length()
    with pytest.raises(AnotherList) as raised:
        sheet.bring(dry_run=dry_run)
    assert "'Petra Lang' in line 2" in raised.value.message
    assert anna.log_length() == head
    assert sheet.bring(source="others").created == 3
    assert names(anna) == ["Erika Muster", "Ida Ohm", "Jan Jost", "Karl Kern", "Petra Lang", "Uwe Fink"]


def test_another_list_without_a_key_changes_nobody_of_the_earlier_one(devices):
    (anna,) = devices("anna")
    one, other = [("Erika", "Ulm"), ("Karl", "Bonn")], [("Petra", "Ulm"), ("Jan", "Bonn")]
    for file, rows in (("people 2026-11", one), ("people 2026-12", other)):
        report = import_table(anna.replica, Lines(("name", "city"), rows, file), "people")
        assert (report.source, report.created, report.updated) == ("people", 2, 0)
    assert names(anna) == ["Erika", "Jan", "Karl", "Petra"]
