"""Edits that were put aside are made again as far as that is allowed, and take nothing away that others wrote."""

import pytest

from crdt_sync.replica.made_again import make_again
from crdt_sync.replica.refused import RefusedEdit
from tests.replica.people import SCHEMA, policy


@pytest.fixture
def anna(make_replica):
    replica = make_replica("anna", SCHEMA)
    with replica.edit("people") as person:
        person.update({"name": "A", "region": "North", "phone": "1", "notes": "one", "tags": ["x"], "visits": 2})
    replica.record = person.record
    ruled = policy()
    replica.go_by(lambda: ruled, "anna")
    return replica


def aside(replica, field, value, unsent=0):
    return RefusedEdit(1, replica.record, field, value, "ben", 0, "refused", unsent)


def shown(replica, field):
    return replica.get(replica.record)[field]


def test_what_is_allowed_is_made_and_the_rest_is_named_with_who_may(anna):
    made = make_again(anna, [aside(anna, "iban", "DE2"), aside(anna, "phone", "2"), aside(anna, "nothing", "3")])
    found = {each.edit.field: (each.before, each.why) for each in made}
    assert found["phone"] == ("1", "")
    assert "'anna' may not write this field" in found["iban"][1]
    assert "chen" in found["iban"][1]
    assert "no field 'nothing'" in found["nothing"][1]
    assert (shown(anna, "phone"), "iban" in anna.get(anna.record).raw) == ("2", False)


def test_sets_are_added_to_counters_count_on_and_what_was_put_into_a_text_follows_it(anna):
    edits = [aside(anna, "tags", ["y"], 1), aside(anna, "visits", "3"), aside(anna, "notes", "two", 1)]
    assert [each.why for each in make_again(anna, edits)] == ["", "", ""]
    assert sorted(shown(anna, "tags")) == ["x", "y"]
    assert (shown(anna, "visits"), shown(anna, "notes")) == (5, "one\ntwo")


def test_a_dry_run_stores_nothing(anna):
    head = anna.store.head()
    (made,) = make_again(anna, [aside(anna, "phone", "2")], dry_run=True)
    assert (made.before, made.why, anna.store.head()) == ("1", "", head)


@pytest.mark.parametrize(
    "value",
    [{"a": 1}, [[]], None, 10**400, "\ud800", True],
    ids=["map", "lists", "nothing", "large", "surrogate", "truth"],
)
def test_values_that_no_field_takes_are_refused_one_by_one(anna, value):
    for field in ("name", "visits", "tags", "calls", "notes"):
        make_again(anna, [aside(anna, field, value), aside(anna, "phone", "2")])
        assert shown(anna, "phone") == "2"
