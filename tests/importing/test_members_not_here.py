"""A member of a set, or words of a text, that were removed in an export for editing before they had arrived where that
was imported: they are shown once they come, as a conflict that waits for somebody."""

import csv

import pytest

from crdt_sync.exchange import ExportOptions, export_table, import_table, open_table
from crdt_sync.records import parse_schema
from tests.importing.conftest import meet

SCHEMA = parse_schema(
    'collection = "people"\nversion = 1\n[fields.name]\n[fields.tags]\nkind = "set"\n[fields.notes]\nkind = "text"\n'
    '[fields.timeline]\nkind = "log"\n',
    "test",
)
RECORD = "people/1"
LONG = "a member that no mark holds whole"


class Office:
    """anna, who adds and exports; bert, to whom that has not come and who imports the edited file."""

    def __init__(self, devices, folder):
        self.anna, self.bert = devices("anna", "bert", schema=SCHEMA)
        self.path = folder / "people.csv"
        with self.anna.replica.edit(RECORD, create=True) as person:
            person.update({"name": "Anna", "tags": ["old"], "notes": "Likes tea."})
        meet(self.anna, self.bert)

    def export(self):
        options = ExportOptions(for_editing=True)
        export_table(self.anna.replica, "people", self.path, options, now=self.anna.replica.wall_clock())

    def edit(self, **cells):
        header, row = csv.reader(self.path.read_text().splitlines())
        row = [cells.get(name, cell) for name, cell in zip(header, row, strict=True)]
        with self.path.open("w", newline="") as stream:
            csv.writer(stream).writerows([header, row])

    def take(self, device):
        return import_table(device.replica, open_table(self.path), "people")

    def add(self, device, *members):
        with device.replica.edit(RECORD) as person:
            for member in members:
                person.add("tags", member)


@pytest.fixture
def office(devices, tmp_path):
    return Office(devices, tmp_path)


@pytest.mark.parametrize("member", ["vip", LONG])
def test_it_is_a_conflict_on_every_device_until_somebody_decides(office, member):
    office.add(office.anna, member)
    office.export()
    office.edit(tags="old")
    office.take(office.bert)
    assert office.bert.conflict("tags") == []
    meet(office.anna, office.bert)
    both = [sorted(["old", member]), ["old"]]
    for device in (office.anna, office.bert):
        assert device.shows("tags") == both[0]
        assert device.conflict("tags") == both
        assert list(device.replica.get(RECORD).conflicts) == ["tags"]
    head = office.bert.log_length()
    assert (office.take(office.bert).unchanged, office.bert.log_length()) == (1, head)


@pytest.mark.parametrize("kept", [["old"], ["old", "vip"]])
def test_whoever_decides_closes_it_everywhere(office, kept):
    office.add(office.anna, "vip")
    office.export()
    office.edit(tags="old")
    office.take(office.bert)
    meet(office.anna, office.bert)
    with office.anna.replica.edit(RECORD) as person:
        person.resolve("tags", kept)
    meet(office.anna, office.bert)
    for device in (office.anna, office.bert):
        assert (device.shows("tags"), device.conflict("tags")) == (kept, [])


def test_what_was_here_and_is_gone_is_no_conflict(office):
    office.add(office.anna, "vip")
    office.export()
    meet(office.anna, office.bert)
    for device in (office.anna, office.bert):
        with device.replica.edit(RECORD) as person:
            person.remove("tags", "vip")
        meet(office.anna, office.bert)
    office.edit(tags="old")
    office.take(office.bert)
    office.add(office.anna, "vip")
    meet(office.anna, office.bert)
    assert (office.bert.shows("tags"), office.bert.conflict("tags")) == (["old", "vip"], [])


def test_what_has_arrived_is_removed_and_no_conflict(office):
    office.add(office.anna, "vip")
    office.export()
    meet(office.anna, office.bert)
    office.edit(tags="old")
    office.take(office.bert)
    meet(office.anna, office.bert)
    assert (office.anna.shows("tags"), office.anna.conflict("tags")) == (["old"], [])


@pytest.mark.parametrize("later", [None, "Likes tea. Calls on Sunday.", "Maria. Likes tea. Calls on Monday."])
def test_words_that_were_removed_before_they_had_arrived_are_gone_when_they_do_unless_somebody_changed_them(
    office, later
):
    with office.anna.replica.edit(RECORD) as person:
        person.text("notes").replace("Likes tea. Calls on Monday.")
    office.export()
    office.edit(notes="Likes tea.")
    office.take(office.bert)
    assert (office.bert.shows("notes"), office.bert.conflict("notes")) == ("Likes tea.", [])
    if later:
        with office.anna.replica.edit(RECORD) as person:
            person.text("notes").replace(later)
    meet(office.anna, office.bert)
    shown, conflict = {
        None: ("Likes tea.", []),
        "Likes tea. Calls on Sunday.": ("Likes tea. Calls on Sunday.", ["Likes tea. Calls on Sunday.", "Likes tea."]),
        "Maria. Likes tea. Calls on Monday.": ("Maria. Likes tea.", []),
    }[later]
    for device in (office.anna, office.bert):
        assert (device.shows("notes"), device.conflict("notes")) == (shown, conflict)


def test_words_that_were_here_are_removed_and_no_conflict(office):
    with office.anna.replica.edit(RECORD) as person:
        person.text("notes").replace("Likes tea. Calls on Monday.")
    office.export()
    meet(office.anna, office.bert)
    office.edit(notes="Likes tea.")
    office.take(office.bert)
    meet(office.anna, office.bert)
    assert (office.anna.shows("notes"), office.anna.conflict("notes")) == ("Likes tea.", [])
