"""An export of this device is no version of the source whose name it has or is given."""

import pytest

from crdt_sync.exchange import ExportOptions, Exports, export_table, import_table, open_table
from crdt_sync.records import parse_schema
from tests.importing.conftest import Lines

PEOPLE = parse_schema(
    'collection = "people"\nversion = 1\n[fields.name]\n[fields.phone]\n[fields.notes]\nkind = "text"\n'
    '[fields.visits]\nkind = "counter"\ntype = "integer"\n',
    "test",
)
COLUMNS = ("Kundennr", "Name", "Phone", "Notes", "Visits")


class Office:
    def __init__(self, device, folder) -> None:
        self.replica, self.folder, self.device = device.replica, folder, device
        self.exports = Exports(folder / "exports")

    def month(self, visits, file):
        others = [("2", "Bo", "5", "", "1"), ("3", "Cleo", "6", "", "2")]
        table = Lines(COLUMNS, [("1", "Ada", "0221 3333", "likes tea", str(visits)), *others], file)
        return import_table(self.replica, table, "people", exports=self.exports)

    def edit_here(self):
        with self.replica.edit(self.ada.record) as person:
            person["phone"] = "0221 7777"
            person.text("notes").replace("speaks German")
            person.increment("visits", 1)

    @property
    def ada(self):
        (view,) = [view for view in self.replica.list("people") if view.raw["name"] == "Ada"]
        return view

    def shows(self):
        return tuple(self.ada.raw[field] for field in ("phone", "notes", "visits"))

    def export(self, name, **options):
        path = self.folder / name
        now = self.replica.wall_clock()
        export_table(self.replica, "people", path, ExportOptions(**options), exports=self.exports, now=now)
        return path

    def bring(self, path, **options):
        return import_table(self.replica, open_table(path), "people", exports=self.exports, **options)


@pytest.fixture
def office(devices, tmp_path):
    (anna,) = devices("anna", schema=PEOPLE)
    office = Office(anna, tmp_path)
    office.month(3, "Kunden November")
    office.edit_here()
    return office


@pytest.mark.parametrize("name", ["ge.csv", "Kunden.csv"])
@pytest.mark.parametrize("options", [{}, {"source": "kunden"}])
@pytest.mark.parametrize("layout", [{}, {"record_column": "Id"}])
def test_an_unedited_export_is_no_news_of_a_source(office, name, options, layout):
    path, head = office.export(name, **layout), office.device.log_length()
    report = office.bring(path, **options)
    assert (report.updated, report.created, report.renamed, office.device.log_length()) == (0, 0, None, head)
    assert office.month(5, "Kunden Dezember").cells_both_changed == 0
    assert office.shows() == ("0221 7777", "speaks German", 6)


@pytest.mark.parametrize("name", ["ge.csv", "Kunden.csv"])
@pytest.mark.parametrize("options", [{}, {"source": "kunden"}])
def test_an_edited_export_changes_what_was_edited_and_the_source_goes_on(office, name, options):
    path = office.export(name)
    text = path.read_text()
    assert "0221 7777" in text
    path.write_text(text.replace("0221 7777", "0221 8888").replace(",4\n", ",6\n"))
    for updated in (1, 0):
        report = office.bring(path, **options)
        assert (report.updated, report.cells_both_changed, report.renamed) == (updated, 0, None)
        assert office.shows() == ("0221 8888", "speaks German", 6)
    office.month(3, "Kunden Dezember")
    assert office.shows() == ("0221 8888", "speaks German", 6)
    assert office.month(5, "Kunden Januar").updated == 1
    assert office.shows() == ("0221 8888", "speaks German", 8)


def test_new_rows_of_an_edited_export_are_new_once(office):
    path = office.export("Kunden.csv", fields=["name", "phone", "visits"])
    path.write_text(path.read_text() + "Dora,0221 9999,1\n")
    assert [office.bring(path).created for _ in range(2)] == [1, 0]
    assert office.shows() == ("0221 7777", "speaks German", 4)


def test_the_next_table_of_a_source_is_no_export_though_most_of_it_was_exported(office):
    office.export("Kunden.csv")
    assert office.month(5, "Kunden Dezember").updated == 1
    assert office.month(6, "Kunden Januar").updated == 1
    assert office.shows() == ("0221 7777", "speaks German", 7)
