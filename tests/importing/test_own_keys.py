"""A key decides before the place in an export, which tells nothing where several records were exported alike."""

from types import SimpleNamespace

import pytest

from crdt_sync.errors import AlreadyHere, AnotherCustomer
from crdt_sync.exchange import ExportOptions, Exports, export_table, import_table
from crdt_sync.records import parse_schema
from tests.importing.conftest import Lines

FIELDS = "[fields.key]\n[fields.name]\n[fields.phone]\n[fields.visits]\n"
PLAIN = parse_schema(f'collection = "people"\nversion = 1\n{FIELDS}', "test")
NATURAL = parse_schema(f'collection = "people"\nversion = 1\nnatural_key = ["key"]\n{FIELDS}', "test")
WAYS = pytest.mark.parametrize(
    ("schema", "options"), [(PLAIN, {"key_columns": ["key"]}), (NATURAL, {})], ids=["given", "natural"]
)  # fmt: skip
ADAS = [("a@", "Ada", "1"), ("b@", "Ada", "1"), ("o@", "Otto", "2")]


@pytest.fixture
def exported(devices, tmp_path):
    """exported(schema, people, fields): people are there and were exported; then take(columns, *rows) imports."""

    def make(schema, people, fields=("name", "phone")):
        (device,) = devices("anna", schema=schema)
        records = {}
        for number, values in enumerate(people):
            with device.replica.edit(f"people/{number}", create=True) as person:
                person.update({name: each for name, each in zip(("key", "name", "phone"), values, strict=True) if each})
            records[values[0]] = f"people/{number}"
        exports = Exports(tmp_path / "exports")
        options = ExportOptions(fields=list(fields))
        export_table(
            device.replica, "people", tmp_path / "people.csv", options, exports=exports, now=device.replica.wall_clock()
        )

        def take(columns, *rows, **how):
            return import_table(device.replica, Lines(columns, rows, "people.csv"), "people", exports=exports, **how)

        def visits(key):
            return device.replica.get(records[key]).raw.get("visits")

        def count():
            return len(list(device.replica.list("people")))

        return SimpleNamespace(take=take, visits=visits, count=count, device=device)

    return make


COLUMNS = ("key", "name", "phone", "visits")


@WAYS
@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2), (2, 1, 0)])
def test_a_key_decides_among_rows_that_were_exported_alike(exported, schema, options, order):
    people = exported(schema, ADAS)
    rows = [("a@", "Ada", "1", "5"), ("b@", "Ada", "1", "9"), ("o@", "Otto", "2", "7")]
    report = people.take(COLUMNS, *(rows[at] for at in order), **options)
    assert (report.created, report.updated, report.failures) == (0, 3, 0)
    assert [people.visits(key) for key in ("a@", "b@", "o@")] == ["5", "9", "7"]


@WAYS
def test_a_key_decides_where_only_one_of_them_is_in_the_table(exported, schema, options):
    people = exported(schema, ADAS)
    report = people.take(COLUMNS, ("b@", "Ada", "1", "9"), ("o@", "Otto", "2", "7"), **options)
    assert (report.created, people.visits("a@"), people.visits("b@")) == (0, None, "9")


def test_a_key_that_was_found_decides_likewise(exported):
    people = exported(PLAIN, ADAS)
    report = people.take(COLUMNS, ("b@", "Ada", "1", "9"), ("a@", "Ada", "1", "5"), ("o@", "Otto", "2", "7"))
    assert (report.created, report.key, report.key_found) == (0, ("key",), True)
    assert [people.visits(key) for key in ("a@", "b@")] == ["5", "9"]


@WAYS
def test_the_key_of_another_record_is_asked_about_and_decides_if_somebody_says_so(exported, schema, options):
    people = exported(schema, [("a@", "Ada", "1"), ("o@", "Otto", "2")])
    row = ("o@", "Ada", "1", "9")
    with pytest.raises(AnotherCustomer, match=r"line 2 \('Ada'\) has that of people/1 \('Otto'\).*to be people/0"):
        people.take(COLUMNS, row, **options)
    report = people.take(COLUMNS, row, same_source=True, **options)
    assert (report.created, people.visits("a@"), people.visits("o@")) == (0, None, "9")


@WAYS
def test_a_new_key_is_a_new_customer_only_if_somebody_says_so_where_the_exported_one_has_another(
    exported, schema, options
):
    people = exported(schema, [("a@", "Ada", "1"), ("o@", "Otto", "2")])
    rows = ("c@", "Ada", "1", "9"), ("o@", "Otto", "2", "7")
    with pytest.raises(AlreadyHere, match=r"line 2 \('Ada'\) is people/0"):
        people.take(COLUMNS, *rows, **options)
    report = people.take(COLUMNS, *rows, as_new=True, **options)
    assert (report.created, people.visits("a@"), people.count()) == (1, None, 3)


@WAYS
def test_a_new_key_is_that_of_the_exported_customer_who_has_none(exported, schema, options):
    people = exported(schema, [(None, "Ada", "1"), ("o@", "Otto", "2")])
    report = people.take(COLUMNS, ("c@", "Ada", "1", "9"), ("o@", "Otto", "2", "7"), **options)
    assert (report.created, report.updated, people.visits(None)) == (0, 2, "9")


@WAYS
def test_new_keys_of_several_exported_alike_without_one_tell_nothing(exported, schema, options):
    people = exported(schema, [(None, "Ada", "1"), ("a@", "Ada", "1")])
    report = people.take(COLUMNS, ("c@", "Ada", "1", "9"), **options)
    assert [each.code for each in report.failed] == ["key_ambiguous"]
    assert (report.created, people.visits("a@"), people.count()) == (0, None, 2)


@pytest.mark.parametrize("options", [{}, {"key_columns": None}, {"key_columns": ["name"]}])
def test_without_a_key_rows_that_say_more_than_was_exported_alike_are_refused(exported, options):
    people = exported(PLAIN, ADAS)
    rows = ("Ada", "1", "9"), ("Ada", "1", "5"), ("Otto", "2", "7")
    report = people.take(COLUMNS[1:], *rows, **options)
    assert [(each.line, each.code) for each in report.failed] == [(2, "key_ambiguous"), (3, "key_ambiguous")]
    assert [people.visits(key) for key in ("a@", "b@", "o@")] == [None, None, "7"]
    assert "record" in report.failed[0].message


def test_one_of_several_exported_alike_that_says_more_is_refused_too(exported):
    people = exported(PLAIN, ADAS)
    report = people.take(COLUMNS[1:], ("Ada", "1", "9"), ("Otto", "2", "7"))
    assert ([each.code for each in report.failed], people.visits("a@")) == (["key_ambiguous"], None)


@pytest.mark.parametrize("visits", ["", "4"])
def test_rows_that_are_all_alike_are_the_records_that_were_exported_so(exported, visits):
    people = exported(PLAIN, ADAS)
    report = people.take(COLUMNS[1:], ("Ada", "1", visits), ("Ada", "1", visits), ("Otto", "2", visits))
    assert (report.created, report.failures, report.recognised) == (0, 0, 3)
    assert [people.visits(key) for key in ("a@", "b@")] == [visits or None] * 2


def test_one_of_several_exported_alike_that_says_no_more_changes_nothing(exported):
    people = exported(PLAIN, ADAS)
    head = people.device.log_length()
    report = people.take(COLUMNS[1:], ("Ada", "1", ""), ("Otto", "2", ""))
    assert (report.unchanged, report.failures, people.device.log_length()) == (2, 0, head)


@WAYS
def test_an_unedited_export_changes_nobody_who_has_got_its_key_since(exported, schema, options):
    people = exported(schema, [("a@", "Ada", "1"), ("o@", "Otto", "2")], ["key", "name", "phone"])
    for record, key in (("people/0", "z@"), ("people/1", "a@")):
        with people.device.replica.edit(record) as person:
            person["key"] = key
    head = people.device.log_length()
    report = people.take(COLUMNS[:3], ("a@", "Ada", "1"), ("o@", "Otto", "2"), **options)
    assert (report.unchanged, report.failures, people.device.log_length()) == (2, 0, head)
