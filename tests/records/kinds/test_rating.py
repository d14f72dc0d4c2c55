"""A rating: of numbers that were written at once the highest wins, wherever it is merged, shown, imported, exported."""

import re
from itertools import permutations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import crdt_sync
from crdt_sync.clock import HybridClock
from crdt_sync.errors import IncompatibleSchema, InvalidSchema, InvalidValue
from crdt_sync.exchange import export_table, import_table, open_table
from crdt_sync.records import Document, Editor, FieldSpec, Schema, conflicts_of, parse_schema, value_of
from crdt_sync.records.evolution import check_successor, forms
from crdt_sync.records.kinds.rating import KIND

SCHEMA = Schema(
    collection="people",
    version=1,
    natural_key=("name",),
    fields={
        "name": FieldSpec(),
        "stars": FieldSpec.of({"kind": "rating"}),
        "score": FieldSpec(kind="rating", type="decimal"),
    },
)
START = 1_700_000_000_000_000


def document(writer, *edits, updates=(), at=START):
    held = Document.load(updates, writer)
    clock = HybridClock(iter(range(at + writer, at + 10**6)).__next__)
    editor = Editor(held, SCHEMA, clock, f"device{writer}", "people")
    for field, value in edits:
        editor[field] = value
    return held


def merged(*documents):
    return Document.load([each.diff() for each in documents])


@given(st.lists(st.integers(-(10**20), 10**20), min_size=1, max_size=4))
def test_the_highest_of_concurrent_ratings_is_shown_in_whatever_order_they_come(numbers):
    written = [document(writer, ("stars", number)) for writer, number in enumerate(numbers, 1)]
    for order in permutations(written):
        shown = value_of(merged(*order), "stars", SCHEMA)
        assert int(str(shown)) == max(numbers)


@given(st.lists(st.decimals(-(10**9), 10**9, allow_nan=False), min_size=1, max_size=4))
def test_decimals_are_compared_as_numbers(numbers):
    written = [document(writer, ("score", number)) for writer, number in enumerate(numbers, 1)]
    assert float(str(value_of(merged(*written), "score", SCHEMA))) == float(max(numbers))


def test_who_saw_a_rating_may_lower_it():
    first = document(1, ("stars", 5))
    second = document(2, ("stars", 2), updates=[first.diff()])
    assert value_of(merged(first, second), "stars", SCHEMA) == 2


def test_nobody_is_asked_and_what_is_not_shown_is_kept():
    both = merged(document(1, ("stars", 3)), document(2, ("stars", 4)))
    assert conflicts_of(both, SCHEMA) == []
    (kept,) = conflicts_of(both, SCHEMA, all_kinds=True)
    assert (kept.kind, kept.open, [entry.value for entry in kept.entries]) == ("rating", False, [4, 3])


def test_what_is_no_number_is_below_all():
    foreign = document(3)
    with foreign.transaction() as transaction:
        foreign.array(transaction, "c.stars").insert(transaction, 0, ["zzz", START * 2, "other"])
    assert value_of(merged(foreign, document(1, ("stars", -7))), "stars", SCHEMA) == -7


@pytest.mark.parametrize("value", [True, "five", 1.5, [5]])
def test_it_holds_numbers_of_its_type_alone(value):
    with pytest.raises(InvalidValue):
        document(1, ("stars", value))


def test_its_type_is_a_number_and_it_names_nobody():
    with pytest.raises(InvalidSchema):
        parse_schema('collection = "x"\nversion = 1\n[fields.a]\nkind = "rating"\ntype = "string"', "x")
    text = 'collection = "x"\nversion = 1\nnatural_key = ["a"]\n[fields.a]\nkind = "rating"'
    with pytest.raises(InvalidSchema, match="'review' or 'value'"):
        parse_schema(text, "x")


@pytest.mark.parametrize(("before", "after"), [("rating", "value"), ("value", "rating"), ("counter", "rating")])
def test_no_other_kind_becomes_a_rating_nor_a_rating_another_kind(before, after):
    old, new = (
        Schema(collection="people", version=number, fields={"a": FieldSpec(kind=kind, type="integer")})
        for number, kind in enumerate((before, after), 1)
    )
    with pytest.raises(IncompatibleSchema):
        check_successor(forms(old), new)


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.xlsx"])
def test_it_is_exported_and_imported_again(make_replica, tmp_path, name):
    source, target = make_replica(SCHEMA), make_replica(SCHEMA)
    with source.edit("people") as person:
        person.update({"name": "Ann", "stars": 4, "score": "1.234"})
    export_table(source, "people", tmp_path / name)
    import_table(target, open_table(tmp_path / name), "people")
    (view,) = target.list("people")
    assert (view["stars"], str(view["score"])) == (4, "1.234")


def test_what_a_person_wrote_stays_beside_a_higher_number_of_a_table(make_replica, tmp_path):
    replica, path = make_replica(SCHEMA), tmp_path / "a.csv"

    def imported(stars):
        path.write_text(f"name,stars\nAnn,{stars}\n")
        import_table(replica, open_table(path), "people")
        return next(iter(replica.list("people")))

    assert imported(3)["stars"] == 3
    assert imported(1)["stars"] == 1  # the newest that the table says, not the highest
    record = imported(3).record
    with replica.edit(record) as person:
        person["stars"] = 2
    assert imported(3)["stars"] == 2  # said before: no news
    view = imported(5)
    assert view["stars"] == 2
    (kept,) = replica.conflicts_of(record, superseded=True)
    assert [entry.value for entry in kept.entries] == [2, 5]


@given(st.permutations([1, 5, 3]), st.permutations(range(4)))
def test_of_people_the_highest_then_of_tables_the_newest(said, order):
    """Imports write without a time; the age of what they say is its place in `said`."""
    entries = [[number, 0, "a list"] for number in said] + [[2, START, "ann"]]
    age = {number: place for place, number in enumerate(said)}
    mixed = [entries[place] for place in order]
    shown = KIND.ordered(mixed, SCHEMA.fields["stars"], lambda entry: (False, age.get(entry[0], 0)))
    assert [entry[0] for entry in shown] == [2, *reversed(said)]


def test_no_other_file_of_the_program_knows_of_it():
    package = Path(crdt_sync.__file__).parent
    named = [path.name for path in package.rglob("*.py") if re.search(r"[\"']rating[\"']", path.read_text())]
    assert named == ["rating.py"]
