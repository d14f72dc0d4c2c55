"""A number that was found as key is that of its source: equal numbers of two sources are two people, wherever met."""

import json
from collections import defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crdt_sync.exchange import import_table, record_key
from crdt_sync.ids import natural_record
from crdt_sync.records import bundled_schema, parse_schema
from crdt_sync.records.memory.sources import newest
from tests.importing.conftest import Device, Lines, meet

PEOPLE = parse_schema(
    'collection = "people"\nversion = 1\n[fields.name]\n[fields.phone]\nkind = "review"\n[fields.number]\n'
    '[fields.visits]\nkind = "counter"\ntype = "integer"\n',
    "test",
)
COLUMNS = ("Customer No", "Name", "Phone", "Visits")


@pytest.fixture
def pair(devices):
    return devices("anna", "bert", schema=PEOPLE)


def take(device: Device, *rows, file="shop", columns=COLUMNS, mapped=False, **options):
    mapping = {"Customer No": "number"} if mapped else None
    table = Lines(columns, rows, file)
    return import_table(device.replica, table, "people", mapping=mapping, **{"key_columns": (), **options})


def people(device: Device):
    return sorted((view.raw.get("name"), view.raw.get("visits")) for view in device.replica.list("people"))


@pytest.mark.parametrize("mapped", [False, True])
def test_two_sources_with_one_number_apart_are_two_customers(pair, mapped):
    anna, bert = pair
    take(anna, ("1", "Anna", "11", "5"), file="shop", mapped=mapped)
    take(bert, ("1", "Cleo", "33", "7"), file="crm", mapped=mapped)
    meet(anna, bert)
    assert people(anna) == people(bert) == [("Anna", 5), ("Cleo", 7)]
    assert anna.replica.conflicts() == ()
    for device in (anna, bert):
        assert take(device, ("1", "Anna", "11", "5"), file="shop", mapped=mapped).unchanged == 1
        assert take(device, ("1", "Cleo B", "33", "7"), file="crm", mapped=mapped).created == 0


@pytest.mark.parametrize("mapped", [False, True])
def test_two_sources_with_one_number_on_one_device_are_two_customers(pair, mapped):
    anna, _ = pair
    take(anna, ("1", "Anna", "11", "5"), file="shop", mapped=mapped)
    assert take(anna, ("1", "Cleo", "33", "7"), file="crm", mapped=mapped).created == 1
    assert take(anna, ("1", "Dora", "44", "7"), file="pos", mapped=mapped).created == 1
    assert people(anna) == [("Anna", 5), ("Cleo", 7), ("Dora", 7)]


def test_one_source_apart_is_one_customer(pair):
    anna, bert = pair
    take(anna, ("1", "Anna", "11", "5"))
    take(bert, ("1", "Anna", "11", "5"))
    meet(anna, bert)
    assert people(anna) == people(bert) == [("Anna", 5)]


def test_nothing_to_tell_them_apart_is_no_agreement(pair):
    anna, _ = pair
    take(anna, ("1", "Anna", "11", "5"))
    report = take(anna, ("1", "7"), file="loyalty", columns=("Customer No", "Visits"))
    assert report.created == 1
    assert {view.raw.get("name"): view.raw["visits"] for view in anna.replica.list("people")} == {"Anna": 5, None: 7}


def test_the_record_of_another_source_is_meant_where_it_is_named_alike(pair):
    anna, _ = pair
    take(anna, ("1", "Anna", "11", "5"))
    report = take(anna, ("1", "ANNA", "12", "5"), file="crm")
    assert (report.created, report.matched, people(anna)) == (0, 1, [("ANNA", 5)])
    assert take(anna, ("1", "Berta", "13", "5"), file="crm").created == 0, "it was said to be that one"


@pytest.mark.parametrize("mapped", [False, True])
def test_a_name_that_contradicts_outweighs_all_that_agrees(pair, mapped):
    anna, _ = pair
    take(anna, ("3", "Karla Dom", "0221 3333", "4"), file="nord", mapped=mapped)
    report = take(anna, ("3", "Otto Rhein", "0221 3333", "7"), file="sued", mapped=mapped)
    assert (report.created, people(anna)) == (1, [("Karla Dom", 4), ("Otto Rhein", 7)])
    assert take(anna, ("3", "Otto Rhein", "0221 3333", "8"), file="sued", mapped=mapped).updated == 1
    assert people(anna) == [("Karla Dom", 4), ("Otto Rhein", 8)]


def test_a_part_of_the_name_does_not_contradict(pair):
    anna, _ = pair
    take(anna, ("3", "Karla Dom", "0221 3333", "4"), file="nord")
    assert take(anna, ("3", "Dom, Karla M.", "0221 3333", "4"), file="sued").matched == 1


def test_a_name_in_two_columns_counts(devices):
    (anna,) = devices("anna", schema=bundled_schema("customers"))
    for name, file in (("Ott", "shop"), ("Ahr", "other"), ("Ott", "crm")):
        table = Lines(("Customer No", "First Name", "Last Name"), [("1", "Anna", name)], file)
        import_table(anna.replica, table, "customers")
    assert sorted(view.raw["name"] for view in anna.replica.list("customers")) == ["Anna Ahr", "Anna Ott"]


def test_a_number_that_several_are_named_alike_by_is_an_error_of_the_row(pair):
    anna, bert = pair
    take(anna, ("1", "Anna", "11", "5"), file="shop")
    take(bert, ("1", "Anna", "11", "5"), file="crm")
    meet(anna, bert)
    assert len(people(anna)) == 2
    (problem,) = take(anna, ("1", "Anna", "11", "5"), file="pos").failed
    assert problem.code == "key_ambiguous"


def test_a_key_that_was_given_is_that_of_all_sources(pair):
    anna, _ = pair
    take(anna, ("1", "Anna", "11", "5"))
    report = take(anna, ("1", "Cleo", "33", "5"), file="crm", key_columns=["Customer No"])
    assert (report.created, report.matched) == (0, 1)


def test_a_record_that_an_earlier_release_made_is_found(pair):
    anna, _ = pair
    take(anna, ("1", "Anna", "11", "5"), key_columns=["Customer No"])  # the id follows from the number alone
    assert anna.record == natural_record("people", ["1"])
    assert take(anna, ("1", "Berta", "12", "5"), ("2", "Dora", "4", "1")).created == 1
    assert people(anna) == [("Berta", 5), ("Dora", 1)]
    assert take(anna, ("1", "Cleo", "33", "5"), file="crm").created == 1


# Person p is "p", has two phones, and is numbered by each source as it likes.
NUMBERS = {"shop": "012", "crm": "120", "pos": "021"}
STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("import"), st.integers(0, 1), st.sampled_from(sorted(NUMBERS)), st.sets(st.integers(0, 2)),
            st.integers(0, 1), st.booleans(),
        ),
        st.tuples(st.just("meet")),
    ),
    max_size=8,
)  # fmt: skip


def carry_out(steps):
    now = [1_700_000_000_000_000]
    devices = [Device(name, now, PEOPLE) for name in ("anna", "bert")]
    for what, *details in steps:
        if what == "meet":
            meet(*devices)
            continue
        which, source, persons, phone, mapped = details
        rows = [(NUMBERS[source][p], f"p{p}", f"{p}{phone}", str(p + 1)) for p in sorted(persons)]
        take(devices[which], *rows, file=source, mapped=mapped, as_new=True)
        check(devices[which], alone=all(step[1:2] != (1 - which,) for step in steps))
    meet(*devices)
    assert devices[0].values() == devices[1].values()
    check(devices[0], alone=False)


def check(device, *, alone):
    """No record is of two people; on a device that is alone, none of them is there twice for one source."""
    of_source = defaultdict(set)
    for view in device.replica.list("people"):
        contents = device.replica.document(view.record).contents()
        said = {entry[0][-1] for entry in contents["c.name"]} | {entry[0][0] for entry in contents.get("c.phone", [])}
        assert len(said) == 1, view
        for memory in newest(view.sources).values():
            person = min(said)
            assert not (alone and of_source[memory.name, person])
            of_source[memory.name, person].add(view.record)
            assert memory.said.get("number", NUMBERS[memory.name][int(person)]) == NUMBERS[memory.name][int(person)]
        assert json.dumps(view.raw)


@settings(max_examples=100, deadline=None)
@given(STEPS)
def test_nobody_is_written_over_by_somebody_of_the_same_number(steps):
    carry_out(steps)


def _number_alone(monkeypatch):
    monkeypatch.setattr(record_key, "natural_record", lambda collection, key: natural_record(collection, key[:1]))


def _all_agree(monkeypatch):
    monkeypatch.setattr(record_key.RecordKeys, "_named_alike", lambda _self, _row, candidates: candidates)


APART = [("import", 0, "shop", {0}, 0, False), ("import", 1, "crm", {2}, 0, False)]
HERE = [("import", 0, "shop", {0}, 0, True), ("import", 0, "crm", {2}, 0, True)]


@pytest.mark.parametrize(("mutant", "steps"), [(_number_alone, APART), (_all_agree, HERE)])
def test_a_planted_bug_is_noticed(monkeypatch, mutant, steps):
    carry_out(steps)
    mutant(monkeypatch)
    with pytest.raises(AssertionError):
        carry_out(steps)
