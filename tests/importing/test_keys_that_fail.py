"""A key is named to somebody only if it works, and one that does not tell rows apart is not remembered."""

import shlex

import pytest

from crdt_sync.errors import AlreadyHere, AnotherCustomer
from crdt_sync.exchange import import_table
from crdt_sync.records import parse_schema
from tests.importing.conftest import Lines

FIELDS = "[fields.name]\n[fields.city]\n[fields.street]\n[fields.phone]\n[fields.note]\nkind = 'text'\n"
PEOPLE = parse_schema(f'collection = "people"\nversion = 1\n{FIELDS}', "test")
COLUMNS = ("Name", "City", "Street")
ANNA, ANNE, BERT, CLEO = (
    ("Anna Alt", "Ulm", "Hafen 1"),
    ("Anna Alt", "Bonn", "Markt 2"),
    ("Bert Bau", "Bonn", "Allee 3"),
    ("Cleo Cey", "Kiel", "Wall 4"),
)
NAMESAKES = (ANNA, ANNE, BERT, CLEO)
MOVED = ("Cleo Cey", "Bern", "Wall 4")


@pytest.fixture
def device(devices):
    (device,) = devices("anna", schema=PEOPLE)
    return device


@pytest.fixture
def take(device):
    def take(*rows, columns=COLUMNS, **options):
        return import_table(device.replica, Lines(columns, rows), "people", **options)

    return take


def named_key(error):
    """The key that a hint names, as a shell takes it."""
    inside = error.value.hint.partition("(--key ")[2].partition(")")[0]
    return [word for word in shlex.split(inside) if word != "--key"]


def cities(device):
    return sorted(f"{view.raw['name']} {view.raw['city']}" for view in device.replica.list("people"))


def test_the_key_that_is_named_takes_every_row_also_namesakes_that_came_as_whole_rows(device, take):
    take(*NAMESAKES)
    with pytest.raises(AlreadyHere) as raised:
        take(ANNA, ANNE, BERT, MOVED)
    report = take(ANNA, ANNE, BERT, MOVED, key_columns=named_key(raised))
    assert (report.updated, report.unchanged, report.failures) == (1, 3, 0)
    assert cities(device) == ["Anna Alt Bonn", "Anna Alt Ulm", "Bert Bau Bonn", "Cleo Cey Bern"]


def test_it_is_another_where_a_namesake_was_edited_too(device, take):
    take(*NAMESAKES)
    rows = (ANNA, ("Anna Alt", "Trier", "Markt 2"), BERT, MOVED)
    with pytest.raises(AlreadyHere) as raised:
        take(*rows)
    assert named_key(raised) == ["Street"]
    report = take(*rows, key_columns=["Street"])
    assert (report.updated, report.unchanged, report.failures) == (2, 2, 0)


def test_it_may_be_two_columns(device, take):
    columns = ("Name", "City", "Street")
    rows = [
        ("Anna Alt", "Ulm", "Hafen 1"),
        ("Anna Alt", "Bonn", "Hafen 1"),
        ("Bert Bau", "Ulm", "Hafen 1"),
        ("Bert Beil", "Bonn", "Hafen 1"),
    ]
    take(*rows, columns=columns)
    edited = [*rows[:1], ("Anna Alt", "Bonn", "Wall 2"), ("Bert Bau", "Ulm", "Wall 3"), rows[3]]
    with pytest.raises(AlreadyHere) as raised:
        take(*edited, columns=columns)
    assert named_key(raised) == ["Name", "City"]
    report = take(*edited, columns=columns, key_columns=named_key(raised))
    assert (report.updated, report.unchanged, report.failures) == (2, 2, 0)


def test_where_no_column_does_another_way_is_named(device, take):
    columns = ("Name", "City")
    take(("Anna Alt", "Ulm"), ("Anna Alt", "Bonn"), ("Bert Bau", "Ulm"), columns=columns)
    with pytest.raises(AlreadyHere) as raised:
        take(("Anna Alt", "Ulm"), ("Anna Alt", "Trier"), ("Bert Bau", "Mainz"), columns=columns)
    assert "--key" not in raised.value.hint
    assert "export FILE --for-editing" in raised.value.hint


def test_a_key_that_does_not_tell_rows_apart_is_not_remembered(device, take):
    take(*NAMESAKES)
    report = take(ANNA, ("Anna Alt", "Trier", "Markt 2"), BERT, MOVED, key_columns=["Name"])
    assert (report.failures, report.updated, report.key_lasts) == (1, 1, False)
    again = take(ANNA, ("Anna Alt", "Trier", "Markt 2"), BERT, MOVED, as_new=True)
    assert (again.key, again.failures, again.created) == ((), 0, 1)
    assert "Anna Alt Trier" in cities(device)


def test_one_that_does_is(device, take):
    take(*NAMESAKES[1:])
    assert take(*NAMESAKES[1:3], MOVED, key_columns=["Name"]).key_lasts
    assert take(*NAMESAKES[1:3], ("Cleo Cey", "Rom", "Wall 4")).key == ("Name",)


def test_a_number_that_one_row_repeats_by_mistake_is_remembered(device, take):
    columns = ("Nr", "Name", "City")
    rows = [("1", "Anna Alt", "Ulm"), ("2", "Bert Bau", "Bonn"), ("2", "Cleo Cey", "Kiel"), ("4", "Dora Dux", "Kiel")]
    report = take(*rows, columns=columns, key_columns=["Nr"])
    assert (report.failures, report.key_lasts) == (1, True)


def test_as_new_makes_a_customer_of_a_namesake_under_a_remembered_key(device, take):
    take(ANNE, BERT, CLEO, key_columns=["Name"])
    rows = (ANNE, ANNA, BERT, MOVED)
    assert take(*rows).failures == 1
    report = take(*rows, as_new=True)
    assert (report.created, report.failures) == (1, 0)
    assert take(*rows).unchanged == 4
    assert cities(device).count("Anna Alt Ulm") == 1


def test_no_key_is_named_for_swapped_rows_that_fails(device, take):
    columns = ("Nr", "Name", "City", "Street")
    rows = [("1", *ANNA), ("2", *BERT), ("3", *CLEO), ("4", "Dora Dux", "Rom", "Tor 5")]
    take(*rows, columns=columns, key_columns=["Nr"])
    with pytest.raises(AnotherCustomer) as raised:
        take(rows[0], ("3", *BERT), ("2", *CLEO), rows[3], columns=columns)
    assert named_key(raised) == ["Name"]


def test_a_key_that_was_given_once_beside_another_is_said_not_to_last(take):
    columns = ("Nr", "Name", "City")
    rows = [("1", "Anna Alt", "Ulm"), ("2", "Bert Bau", "Bonn"), ("3", "Cleo Cey", "Kiel")]
    assert take(*rows, columns=columns).key == ("Nr",)
    moved = [*rows[:2], ("3", "Cleo Cey", "Rom")]
    report = take(*moved, columns=columns, key_columns=["Name"])
    assert (report.updated, report.key_lasts, report.other_key) == (1, False, ("Nr",))
    assert take(*moved, columns=columns).key == ("Nr",)
    moved = [("1", "Anna Alt", "Rom"), ("2", "Bert Bau", "Rom"), moved[2]]
    report = take(*moved, columns=columns, key_columns=["Name"])
    assert (report.updated, report.key_lasts, report.other_key) == (2, True, ())
    assert take(*moved, columns=columns).key == ("Name",)
