"""A file that is mostly rows of another source is asked about before anything is written."""

import csv
import re

import pytest

from crdt_sync.errors import AlreadyHere, WhichSource
from crdt_sync.exchange import Exports, export_table, import_table
from crdt_sync.records import parse_schema
from tests.importing.conftest import Lines

FIELDS = "[fields.name]\n[fields.email]\n[fields.phone]\n[fields.city]\n[fields.birthday]\n"
DEFINITION = f'collection = "people"\nversion = 1\n{FIELDS}'
PEOPLE = parse_schema(DEFINITION, "test")
NATURAL = parse_schema(f'collection = "people"\nversion = 1\nnatural_key = ["email"]\n{FIELDS}', "test")
COLUMNS = ("Nr", "Name", "Email", "Phone", "City")
ROWS = [
    ("1", "Anna Alt", "anna@x.example", "030 1111111", "Ulm"),
    ("2", "Bert Bau", "bert@x.example", "030 2222222", "Bonn"),
    ("3", "Cleo Cey", "cleo@x.example", "030 3333333", "Kiel"),
]
GINA = ("7", "Gina Gold", "gina@x.example", "030 7777777", "Ulm")


def cut(names, *more):
    at = [COLUMNS.index(name) for name in names]
    return Lines(names, [[row[place] for place in at] for row in (*ROWS[::-1], *more)], "mine")


@pytest.fixture
def anna(devices):
    (anna,) = devices("anna", schema=PEOPLE)
    import_table(anna.replica, Lines(COLUMNS, ROWS, "customers"), "people")
    return anna


BY_KEY = pytest.mark.parametrize("names", [("Nr", "Name"), ("Name", "Email"), ("Phone", "Name", "City")])


@BY_KEY
@pytest.mark.parametrize("dry_run", [False, True])
def test_new_rows_among_those_of_another_source_are_asked_about(anna, names, dry_run):
    head = anna.log_length()
    with pytest.raises(
        WhichSource, match=r"3 of 4 rows .*'customers'.*1 would be new \('Gina Gold' in line 5\)"
    ) as raised:
        import_table(anna.replica, cut(names, GINA), "people", dry_run=dry_run)
    assert (raised.value.source, anna.log_length()) == ("customers", head)
    assert "--source customers" in raised.value.hint
    assert "--source mine" in raised.value.hint


@BY_KEY
@pytest.mark.parametrize("source", ["customers", "mine"])
def test_whoever_says_which_is_not_asked_again(anna, names, source):
    assert import_table(anna.replica, cut(names, GINA), "people", source=source).created == 1
    emma = ("8", "Emma Egg", "emma@x.example", "030 8888888", "Ulm")
    again = None if source == "mine" else source
    assert import_table(anna.replica, cut(names, GINA, emma), "people", source=again).created == 1


@BY_KEY
def test_without_new_rows_there_is_nothing_to_ask(anna, names):
    assert import_table(anna.replica, cut(names), "people").unchanged == 3


def test_so_it_is_by_natural_key(devices):
    (anna,) = devices("anna", schema=NATURAL)
    names = ("Name", "Email", "City")
    import_table(anna.replica, Lines(names, [row[1:3] + row[4:] for row in ROWS], "customers"), "people")
    table = Lines(("Name", "Email"), [row[1:3] for row in (*ROWS, GINA)], "mine")
    with pytest.raises(WhichSource):
        import_table(anna.replica, table, "people")


def test_another_list_with_a_few_of_them_is_not_asked_about(anna):
    strangers = [(str(number), f"Nina {number}", f"n{number}@x.example", "", "") for number in range(10, 16)]
    names = ("Name", "Email")
    table = Lines(names, [row[1:3] for row in (*ROWS[:2], *strangers)], "mine")
    assert import_table(anna.replica, table, "people").created == 6


@pytest.mark.parametrize("names", [("Name", "City"), ("Name",), ("City", "Name")])
def test_rows_without_a_key_that_say_what_is_here_double_nobody(anna, names):
    with pytest.raises(AlreadyHere, match=r"3 of 4 rows .*'Cleo Cey' in line 2 is people/") as raised:
        import_table(anna.replica, cut(names, GINA), "people")
    assert "(--key Name)" in raised.value.hint
    assert import_table(anna.replica, cut(names, GINA), "people", key_columns=["Name"], source="mine").created == 1
    with_new = import_table(anna.replica, cut(names, GINA), "people", as_new=True, source="other", key_columns=())
    assert with_new.created == 4


class Office:
    """A device that exports what it has, and imports what somebody made of that under another name."""

    def __init__(self, device, folder):
        self.replica, self.folder, self.exports = device.replica, folder, Exports(folder / "exports")

    def export(self):
        path = self.folder / "backup.csv"
        export_table(self.replica, "people", path, exports=self.exports, now=self.replica.wall_clock())
        with path.open() as lines:
            return list(csv.DictReader(lines))

    def take(self, names, rows, **options):
        cells = [[row.get(name, "") for name in names] for row in rows]
        return import_table(self.replica, Lines(names, cells, "mine"), "people", exports=self.exports, **options)

    def shows(self):
        return sorted((view.raw["name"], view.raw["city"]) for view in self.replica.list("people"))


EDITED = [("Anna Alt", "Rom"), ("Bert Bau", "Oslo"), ("Cleo Cey", "Bern"), ("Gina Gold", "Ulm")]


@pytest.fixture
def office(devices, tmp_path):
    (anna,) = devices("anna", schema=parse_schema(f"{DEFINITION}[fields.notes]\nkind = 'text'\n", "test"))
    import_table(anna.replica, Lines(COLUMNS, ROWS, "customers"), "people")
    return Office(anna, tmp_path)


def edited(rows):
    cities = dict(EDITED)
    new = {"name": "Gina Gold", "email": "gina@x.example", "city": "Ulm"}
    return [{**row, "city": cities[row["name"]]} for row in rows[::-1]] + [new]


def test_an_own_export_of_which_every_row_was_edited_is_known_by_its_headers(office):
    rows = edited(office.export())
    report = office.take(("name", "email", "phone", "city", "birthday"), rows)
    assert (report.created, report.updated) == (1, 3)
    assert office.shows() == EDITED
    assert report.source == "mine (edited)"


def test_with_few_of_its_headers_it_may_be_a_table_and_each_answer_keeps_every_customer(office):
    names = ("name", "email", "city")
    rows = edited(office.export())
    with pytest.raises(WhichSource) as raised:
        office.take(names, rows)
    answers = re.findall(r"--source (\w+)", raised.value.hint)
    assert answers == ["customers", "mine", "backup"]
    for answer, source in zip(answers, ["customers", "mine", "backup (edited)"], strict=True):
        report = office.take(names, rows, source=answer, dry_run=True)
        assert (report.created, report.updated, report.source) == (1, 3, source)
    office.take(names, rows, source="backup")
    assert office.shows() == EDITED
    old = import_table(office.replica, Lines(COLUMNS, ROWS, "customers"), "people", exports=office.exports)
    assert (old.unchanged, office.shows()) == (3, EDITED)


def test_without_a_key_the_answer_for_an_export_is_named_too(office):
    names = ("name", "city")
    rows = [{**row, "name": row["name"]} for row in edited(office.export())]
    rows[0]["city"] = "Kiel"
    with pytest.raises(AlreadyHere) as raised:
        office.take(names, rows)
    assert "--source backup" in raised.value.hint
    report = office.take(names, rows, source="backup")
    assert (report.created, report.updated, report.unchanged) == (1, 2, 1)


def test_what_another_device_exported_since_is_not_taken_for_an_older_export_of_this_one(devices, tmp_path):
    """Its counts are those that are here already."""
    counted = f"{DEFINITION}[fields.visits]\nkind = 'counter'\n"
    (anna,) = devices("anna", schema=parse_schema(counted, "test"))
    import_table(anna.replica, Lines(COLUMNS, ROWS, "customers"), "people")
    office = Office(anna, tmp_path)
    office.export()
    for view in list(anna.replica.list("people")):
        with anna.replica.edit(view.record) as person:
            person.increment("visits", 5)
    names = ("name", "email", "phone", "city", "birthday", "visits")
    rows = [{**row, "visits": "5"} for row in edited(office.export())[:3]]
    for path in sorted((tmp_path / "exports").iterdir())[1:]:
        path.unlink()  # the later one, which another device wrote
    office.take(names, rows)
    assert {view.raw["visits"] for view in anna.replica.list("people")} == {5}


def test_rows_of_a_short_list_with_number_and_phone_of_another_source_are_asked_about(anna):
    rows = [("1", "Fritz Neumann", "", "030 1111111", "Ulm"), ("2", "Bert Bau", "bert@x.example", "", "")]
    with pytest.raises(WhichSource, match=r"'customers'.*1 would be new \('Fritz Neumann' in line 2\)") as raised:
        import_table(anna.replica, Lines(COLUMNS, rows, "mine"), "people")
    assert raised.value.source == "customers"
    report = import_table(anna.replica, Lines(COLUMNS, rows, "mine"), "people", source="customers")
    assert (report.created, report.updated) == (0, 1)


def test_a_number_alone_asks_nothing(anna):
    other = [("1", "Fritz Neumann", "", "030 9999999", "Ulm"), ("2", "Gina Gold", "", "", "")]
    assert import_table(anna.replica, Lines(COLUMNS, other, "mine"), "people").created == 2
