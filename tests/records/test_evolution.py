"""A newer schema keeps the meaning of what older ones wrote."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdt_sync.errors import IncompatibleSchema
from crdt_sync.records import FieldSpec, Schema
from crdt_sync.records.evolution import (
    check_admits,
    check_ranks,
    check_same,
    check_sections,
    check_successor,
    forms,
    ranks,
    stricter,
)

SPECS = {
    "value": FieldSpec(),
    "review": FieldSpec(kind="review"),
    "stage": FieldSpec(kind="stage", states=("a", "b")),
    "counter": FieldSpec(kind="counter", type="integer"),
    "decimal counter": FieldSpec(kind="counter", type="decimal"),
    "set": FieldSpec(kind="set"),
    "set of integers": FieldSpec(kind="set", type="integer"),
    "set of decimals": FieldSpec(kind="set", type="decimal"),
    "set of choices": FieldSpec(kind="set", type="enum", choices=("a",)),
    "log": FieldSpec(kind="log"),
    "text": FieldSpec(kind="text"),
    "integer": FieldSpec(type="integer"),
    "decimal": FieldSpec(type="decimal"),
    "boolean": FieldSpec(type="boolean"),
    "date": FieldSpec(type="date"),
    "datetime": FieldSpec(type="datetime"),
    "enum": FieldSpec(type="enum", choices=("a",)),
    "reference": FieldSpec(type="reference"),
    "reference to shops": FieldSpec(type="reference", collection="shops"),
    "json": FieldSpec(type="json"),
}
ALLOWED = {
    ("value", "review"),
    ("review", "value"),
    ("enum", "value"),
    ("enum", "review"),
    ("reference", "value"),
    ("reference", "review"),
    ("reference", "reference to shops"),
    ("reference to shops", "reference"),
    ("reference to shops", "value"),
    ("reference to shops", "review"),
    ("integer", "decimal"),
    ("counter", "decimal counter"),
    ("set of choices", "set"),
}


def schema(spec: FieldSpec, version: int = 1) -> Schema:
    return Schema(collection="people", version=version, fields={"name": FieldSpec(), "f": spec})


@pytest.mark.parametrize("before", SPECS)
def test_a_field_keeps_its_kind_and_type_but_for_what_older_devices_read_as_before(before):
    for after, spec in SPECS.items():
        newer = schema(spec, 2)
        if before == after or (before, after) in ALLOWED:
            check_successor(forms(schema(SPECS[before])), newer)
        else:
            with pytest.raises(IncompatibleSchema, match="'f'") as raised:
                check_successor(forms(schema(SPECS[before])), newer)
            assert "f_2" in raised.value.hint


@given(st.lists(st.sampled_from(list(SPECS)), min_size=2, max_size=5))
def test_a_row_of_allowed_changes_goes_nowhere_that_its_first_step_could_not_go(names):
    """Else two small versions would do what one is refused."""
    try:
        for before, after in pairwise(names):
            check_successor(forms(schema(SPECS[before])), schema(SPECS[after]))
    except IncompatibleSchema:
        return
    check_successor(forms(schema(SPECS[names[0]])), schema(SPECS[names[-1]]))


def test_new_fields_and_fields_that_go_are_nobodys_business():
    check_successor({"gone": ("counter", "integer")}, schema(FieldSpec()))


def stage(states: dict[str, int]) -> FieldSpec:
    return FieldSpec(kind="stage", states=tuple(states), ranks=states)


RANKS = st.dictionaries(st.sampled_from("abcd"), st.integers(0, 3), min_size=1)


@given(RANKS, RANKS)
def test_a_stage_is_refused_just_where_it_may_show_another_state(old, new):
    """Of any two states that were written at once, the higher is shown, and of equal ones the later."""
    before, after = schema(stage(old)), schema(stage(new), 2)

    def higher(spec: FieldSpec, one: str, two: str) -> int:
        return (spec.rank(one) > spec.rank(two)) - (spec.rank(one) < spec.rank(two))

    pairs = [(one, two) for one in old for two in old]
    same = all(higher(before.fields["f"], *pair) == higher(after.fields["f"], *pair) for pair in pairs)
    if same and set(old) <= set(new):
        check_ranks(ranks(before), after)
    else:
        with pytest.raises(IncompatibleSchema, match="'f'"):
            check_ranks(ranks(before), after)


def test_the_order_of_states_is_their_rank_where_none_is_given():
    before = schema(FieldSpec(kind="stage", states=("open", "won")))
    check_ranks(ranks(before), schema(FieldSpec(kind="stage", states=("new", "open", "tried", "won")), 2))
    for states in (("won", "open"), ("open",)):
        with pytest.raises(IncompatibleSchema):
            check_ranks(ranks(before), schema(FieldSpec(kind="stage", states=states), 2))


def test_one_version_has_one_content_but_for_how_fields_are_called():
    known = schema(FieldSpec())
    check_same(known, schema(FieldSpec(label="F", aliases=("Ef",))))
    check_same(known, schema(FieldSpec(kind="review"), 2))
    for other in (FieldSpec(kind="review"), FieldSpec(required=True)):
        with pytest.raises(IncompatibleSchema, match="version 1 of 'people' is here already") as raised:
            check_same(known, schema(other))
        assert "version = 2" in raised.value.hint


MOVES = {"a": ("b",), "b": ("a", "c"), "c": ()}
FREE = FieldSpec(kind="stage", states=("a", "b", "c"))
BOUND = replace(FREE, transitions=MOVES)
CHOICES = FieldSpec(type="enum", choices=("a", "b"))
FEWER = FieldSpec(type="enum", choices=("a",))
STRICTER = {
    "requires 'f'": (FieldSpec(), FieldSpec(required=True)),
    "takes no 'b' any more in 'f'": (CHOICES, FEWER),
    "takes references to 'shops' alone in 'f'": (FieldSpec(type="reference"), SPECS["reference to shops"]),
    "lets nothing go from 'a' to 'c' any more in 'f'": (FREE, BOUND),
    "lets nothing go from 'b' to 'c' any more in 'f'": (
        BOUND,
        replace(FREE, transitions={**MOVES, "b": ("a",)}),
    ),
}


@pytest.mark.parametrize("what", STRICTER)
def test_what_refuses_what_was_taken_is_named_and_the_way_back_is_free(what):
    before, after = map(schema, STRICTER[what])
    assert (stricter(before, after), stricter(after, before)) == (what, "")
    with pytest.raises(IncompatibleSchema, match="refused on every device") as raised:
        check_admits(before, after)
    assert "--stricter" in raised.value.hint


def test_a_field_that_is_new_and_required_refuses_what_was_taken():
    assert stricter(Schema(collection="people", version=1, fields={"name": FieldSpec()}), schema(FieldSpec())) == ""
    newer = schema(FieldSpec(required=True))
    assert stricter(Schema(collection="people", version=1, fields={"name": FieldSpec()}), newer) == "requires 'f'"


@pytest.mark.parametrize(("before", "after"), [((), ("f",)), (("f",), ("name",)), (("f",), ("f", "name"))])
def test_another_natural_key_refuses_what_was_taken(before, after):
    old, new = (replace(schema(FieldSpec()), natural_key=key) for key in (before, after))
    assert stricter(old, new) == f"has the natural key {', '.join(after)}"
    assert stricter(old, old) == stricter(old, schema(FieldSpec())) == ""


SUBSETS = st.lists(st.sampled_from("abc"), unique=True, min_size=1).map(tuple)


@given(st.lists(st.tuples(st.booleans(), SUBSETS), min_size=2, max_size=5))
def test_a_row_of_versions_that_take_all_refuses_nothing_that_the_first_took(row):
    versions = [schema(FieldSpec(type="enum", required=required, choices=choices)) for required, choices in row]
    if not any(stricter(old, new) for old, new in pairwise(versions)):
        assert stricter(versions[0], versions[-1]) == ""
        assert set(row[0][1]) <= set(row[-1][1])


def in_section(section: str | None, version: int = 2) -> Schema:
    return schema(FieldSpec(section=section), version)


@pytest.mark.parametrize(("before", "after"), [(None, "finance"), ("finance", None), ("finance", "care")])
def test_a_field_keeps_its_section(before, after):
    known = in_section(before, 1)
    check_sections(forms(known), known, in_section(before))
    with pytest.raises(IncompatibleSchema, match="section") as raised:
        check_sections(forms(known), known, in_section(after))
    assert "f_2" in raised.value.hint


def test_a_field_in_a_section_is_not_taken_out_so_that_it_cannot_come_back_without():
    known = in_section("finance", 1)
    without = Schema(collection="people", version=2, fields={"name": FieldSpec()})
    with pytest.raises(IncompatibleSchema, match="'f' of 'people' is in the section 'finance'") as raised:
        check_sections(forms(known), known, without)
    assert "deprecated" in raised.value.hint
    check_sections(forms(in_section(None)), in_section(None, 1), without)


def test_a_field_that_was_taken_out_comes_back_without_a_section_alone():
    was = forms(in_section(None, 1))
    without = Schema(collection="people", version=2, fields={"name": FieldSpec()})
    check_sections(was, without, in_section(None, 3))
    with pytest.raises(IncompatibleSchema, match="in no section"):
        check_sections(was, without, in_section("finance", 3))
    check_sections(forms(without), without, in_section("finance", 3))  # a new field may have one


def test_a_newer_version_may_let_a_field_filter_or_not():
    for before, after in ((False, True), (True, False)):
        known, newer = schema(FieldSpec(filter=before)), schema(FieldSpec(filter=after), 2)
        check_successor(forms(known), newer)
        check_sections(forms(known), known, newer)
        check_admits(known, newer)


def test_one_version_has_one_content_sections_and_filters_included():
    for other in (FieldSpec(section="finance"), FieldSpec(filter=True)):
        with pytest.raises(IncompatibleSchema, match="other fields"):
            check_same(schema(FieldSpec()), schema(other))
