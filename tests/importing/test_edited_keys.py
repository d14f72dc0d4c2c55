"""The key of a row was edited, in an export or from one month to the next: it is written to the right record, or the
row is named and nothing is written."""

import csv
from typing import Any

import pytest

from crdt_sync.errors import AlreadyHere, AnotherCustomer
from crdt_sync.exchange import ExportOptions, Exports, export_table, import_table, open_table
from crdt_sync.records import parse_schema
from tests.importing.conftest import Lines, meet

FIELDS = "[fields.name]\n[fields.email]\n[fields.phone]\n[fields.city]\n[fields.visits]\nkind = 'counter'\n"
PLAIN = parse_schema(f'collection = "people"\nversion = 1\n{FIELDS}', "test")
NATURAL = parse_schema(f'collection = "people"\nversion = 1\nnatural_key = ["email"]\n{FIELDS}', "test")
COLUMNS = ("Name", "Email", "Phone", "City", "Visits")
PEOPLE = [
    ("Anna Alt", "anna@x.example", "030 1111111", "Ulm", "1"),
    ("Bert Bau", "bert@x.example", "030 2222222", "Ulm", "2"),
    ("Cleo Cey", "cleo@x.example", "030 3333333", "Ulm", "3"),
    ("Dora Dux", "dora@x.example", "030 4444444", "Bonn", "4"),
]
NUMBERED = ("Nr", *COLUMNS)
WITH_NUMBERS = [(str(number), *person) for number, person in enumerate(PEOPLE, 1)]
NEW = {0: "99", 1: "neu@x.example"}

WAYS: dict[str, tuple[Any, Any, Any, int, dict[str, Any]]] = {  # schema, columns, rows, place of the key, options
    "a natural key": (NATURAL, COLUMNS, PEOPLE, 1, {}),
    "a given address": (PLAIN, COLUMNS, PEOPLE, 1, {"key_columns": ["Email"]}),
    "a given number": (PLAIN, NUMBERED, WITH_NUMBERS, 0, {"key_columns": ["Nr"]}),
    "a found number": (PLAIN, NUMBERED, WITH_NUMBERS, 0, {}),
}


def with_key(rows, line, at, value):
    return [tuple(value if (n, c) == (line, at) else cell for c, cell in enumerate(row)) for n, row in enumerate(rows)]


def swapped(rows, at):
    return with_key(with_key(rows, 1, at, rows[2][at]), 2, at, rows[1][at])


@pytest.fixture(params=WAYS)
def listed(request, devices):
    """A device that has imported the list, what takes the next version, its rows, and the place of the key."""
    schema, columns, rows, at, options = WAYS[request.param]
    (device,) = devices("anna", schema=schema)

    def take(rows, **more):
        return import_table(device.replica, Lines(columns, rows), "people", **{**options, **more})

    take(rows)
    return device, take, rows, at


def who(device, name):
    (view,) = (view for view in device.replica.list("people") if view.raw["name"] == name)
    return view.record


@pytest.mark.parametrize("dry_run", [False, True])
def test_an_edited_key_of_a_list_is_asked_about(listed, dry_run):
    anna, take, rows, at = listed
    before, head = who(anna, "Bert Bau"), anna.log_length()
    edited = with_key(rows, 1, at, NEW[at])
    with pytest.raises(AlreadyHere, match=rf"1 of 4 rows.*line 3 \('Bert Bau'\) is {before}") as raised:
        take(edited, dry_run=dry_run)
    assert "--as-new" in raised.value.hint
    assert anna.log_length() == head
    assert take(edited, dry_run=dry_run, as_new=True).created == 1


def test_so_is_one_beside_other_edits_and_with_another_form_of_the_name(listed):
    anna, take, rows, at = listed
    for place, value in ((at, NEW[at]), (rows[1].index("Bert Bau"), "Bert B. Bau")):
        rows = with_key(rows, 1, place, value)
    with pytest.raises(AlreadyHere, match=who(anna, "Bert Bau")):
        take(rows)


def test_the_step_that_is_named_leads_on(devices):
    anna, _ = devices("anna", "bert", schema=NATURAL)
    import_table(anna.replica, Lines(COLUMNS, PEOPLE), "people")
    edited = with_key(PEOPLE, 1, 1, NEW[1])
    with pytest.raises(AlreadyHere) as raised:
        import_table(anna.replica, Lines(COLUMNS, edited), "people")
    record = who(anna, "Bert Bau")
    assert f"crdt-sync set {record} email=neu@x.example" in raised.value.hint
    with anna.replica.edit(record) as person:
        person["email"] = "neu@x.example"
    assert import_table(anna.replica, Lines(COLUMNS, edited), "people").unchanged == 4


@pytest.mark.parametrize("dry_run", [False, True])
def test_rows_that_swap_keys_write_nobody_over_another(listed, dry_run):
    anna, take, rows, at = listed
    bert, cleo, head = who(anna, "Bert Bau"), who(anna, "Cleo Cey"), anna.log_length()
    named = rf"2 of 4 rows have.*line 3 \('Bert Bau'\) has that of {cleo} \('Cleo Cey'\) and seems to be {bert}"
    with pytest.raises(AnotherCustomer, match=named):
        take(swapped(rows, at), dry_run=dry_run)
    assert anna.log_length() == head


def test_whoever_has_the_key_of_somebody_who_went_is_asked_about(listed):
    anna, take, rows, at = listed
    edited = with_key(rows, 1, at, rows[2][at])
    with pytest.raises(AnotherCustomer, match="1 of 3 rows has"):
        take([*edited[:2], edited[3]])
    assert take([*edited[:2], edited[3]], same_source=True, as_new=True).created == 0
    assert sorted(view.raw["name"] for view in anna.replica.list("people")) == [
        "Anna Alt",
        "Bert Bau",
        "Bert Bau",
        "Dora Dux",
    ]


def test_a_new_name_under_an_old_key_is_news(listed):
    _, take, rows, _ = listed
    edited = with_key(rows, 1, rows[1].index("Bert Bau"), "Emma Egg")
    report = take(edited)
    assert (report.created, report.updated) == (0, 1)


def test_a_new_customer_in_the_place_of_one_who_went_is_new(listed):
    _, take, rows, at = listed
    emma = ("Emma Egg", "emma@x.example", "030 5555555", "Ulm", "1")
    report = take([rows[0], ("5", *emma) if at == 0 else emma, *rows[2:]])
    assert (report.created, report.failures) == (1, 0)


def test_an_empty_key_is_an_error_of_its_row(devices):
    ways: list[tuple[Any, dict[str, Any]]] = [(NATURAL, {}), (PLAIN, {"key_columns": ["Email"]})]
    for schema, options in ways:
        (anna,) = devices("anna", schema=schema)
        import_table(anna.replica, Lines(COLUMNS, PEOPLE), "people", **options)
        report = import_table(anna.replica, Lines(COLUMNS, with_key(PEOPLE, 1, 1, "")), "people", **options)
        assert [(each.line, each.code, "fill it in" in each.message) for each in report.failed] == [
            (3, "key_missing", True)
        ]


def test_addresses_that_were_found_and_swapped_go_with_the_names(devices):
    (anna,) = devices("anna", schema=PLAIN)
    people = with_key(PEOPLE, 2, 3, "Kiel")
    import_table(anna.replica, Lines(COLUMNS, people), "people")
    bert, cleo = who(anna, "Bert Bau"), who(anna, "Cleo Cey")
    report = import_table(anna.replica, Lines(COLUMNS, swapped(people, 1)), "people")
    assert (report.key, report.created, report.updated) == (("Email",), 0, 2)
    assert [anna.replica.get(each).raw["email"] for each in (bert, cleo)] == ["cleo@x.example", "bert@x.example"]


def test_they_are_asked_about_where_something_else_agrees_with_the_other(devices):
    (anna,) = devices("anna", schema=PLAIN)
    import_table(anna.replica, Lines(COLUMNS, PEOPLE), "people")
    with pytest.raises(AnotherCustomer):
        import_table(anna.replica, Lines(COLUMNS, swapped(PEOPLE, 1)), "people")


@pytest.fixture
def office(devices, tmp_path):
    """Two devices with the same people, typed, of whom one has exported them; and what edits the file."""
    anna, bert = devices("anna", "bert", schema=NATURAL)
    for person in PEOPLE:
        with anna.replica.edit("people") as typed:
            for name, value in zip(("name", "email", "phone", "city"), person, strict=False):
                typed[name] = value
    meet(anna, bert)
    exports, path = Exports(tmp_path / "exports"), tmp_path / "out.csv"

    def export(options=None):
        export_table(anna.replica, "people", path, options or ExportOptions(), exports=exports, now=1)

    def edit(change):
        header, *rows = csv.reader(path.read_text().splitlines())
        rows = change(rows, header.index("email"), header.index("name"))
        with path.open("w", newline="") as stream:
            csv.writer(stream).writerows([header, *rows])

    def take(device, **options):
        known = exports if device is anna else Exports(tmp_path / "none")
        return import_table(device.replica, open_table(path), "people", exports=known, **options)

    return anna, bert, export, edit, take


def one_edited(rows, at, name):
    (line,) = (line for line, row in enumerate(rows) if row[name] == "Bert Bau")
    return with_key(rows, line, at, "neu@x.example")


def renamed(row, name):
    return [cell if at != name or cell != "Bert Bau" else "Emma Egg" for at, cell in enumerate(row)]


def test_a_natural_key_that_was_edited_in_a_plain_export_is_that_of_its_record(office):
    anna, bert, export, edit, take = office
    export()
    edit(one_edited)
    record = who(anna, "Bert Bau")
    with pytest.raises(AlreadyHere, match=record):
        take(bert)
    report = take(anna)
    assert (report.created, report.updated, anna.replica.get(record).raw["email"]) == (0, 1, "neu@x.example")
    meet(anna, bert)
    report = take(bert)
    assert (report.created, len(list(bert.replica.list("people")))) == (0, 4)


def test_so_it_is_where_rows_were_sorted(office):
    anna, _, export, edit, take = office
    export()
    edit(lambda rows, at, name: one_edited(rows, at, name)[::-1])
    record = who(anna, "Bert Bau")
    assert (take(anna).created, anna.replica.get(record).raw["email"]) == (0, "neu@x.example")


@pytest.mark.parametrize("device", [0, 1])
def test_keys_that_were_swapped_in_a_plain_export_are_asked_about(office, device):
    _, _, export, edit, take = office
    export()
    edit(lambda rows, at, _: swapped(rows, at))
    with pytest.raises(AnotherCustomer):
        take(office[device])


@pytest.mark.parametrize("device", [0, 1])
def test_somebody_new_in_the_place_of_another_is_asked_about(office, device):
    _, _, export, edit, take = office
    export()
    edit(lambda rows, at, name: [renamed(row, name) for row in one_edited(rows, at, name)])
    with pytest.raises(AlreadyHere):
        take(office[device])


@pytest.mark.parametrize("device", [0, 1])
@pytest.mark.parametrize("options", [ExportOptions(for_editing=True), ExportOptions(record_column="Id")])
def test_a_row_that_names_its_record_changes_the_key_of_that(office, device, options):
    anna, _, export, edit, take = office
    export(options)
    edit(one_edited)
    record, device = who(anna, "Bert Bau"), office[device]
    assert (take(device).created, device.replica.get(record).raw["email"]) == (0, "neu@x.example")


@pytest.mark.parametrize("device", [0, 1])
@pytest.mark.parametrize("options", [ExportOptions(for_editing=True), ExportOptions(record_column="Id")])
def test_a_key_that_another_record_has_is_an_error_of_that_row(office, device, options):
    _, _, export, edit, take = office
    export(options)
    edit(lambda rows, at, _: with_key(rows, 1, at, rows[2][at]))
    report = take(office[device])
    assert [(each.line, each.code) for each in report.failed] == [(3, "key_taken")]
