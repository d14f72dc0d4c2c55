"""A file that is mostly rows of another source is asked about before anything is written."""

import pytest

from crdt_sync.errors import AlreadyHere, WhichSource
from crdt_sync.exchange import import_table
from crdt_sync.records import parse_schema
from tests.importing.conftest import Lines

FIELDS = "[fields.name]\n[fields.email]\n[fields.phone]\n[fields.city]\n[fields.birthday]\n"
PEOPLE = parse_schema(f'collection = "people"\nversion = 1\n{FIELDS}', "test")
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
