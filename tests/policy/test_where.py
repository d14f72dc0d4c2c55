"""What a `where` may say, and what is told where it cannot be read."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdt_sync.limits import ATTRIBUTE_VALUES_MAX, CONDITIONS_MAX, WHERE_LENGTH_MAX
from crdt_sync.policy.where import WrongWhere, parse_where


def fields(text):
    return [[(each.field, each.values, each.attribute) for each in alternative] for alternative in parse_where(text)]


def test_and_binds_more_than_or():
    assert fields("a == 1 and b == 2 or c == 3") == [[("a", (" 1",), ""), ("b", (" 2",), "")], [("c", (" 3",), "")]]
    assert fields("a == 1 or b == 2 and c == 3") == [[("a", (" 1",), "")], [("b", (" 2",), ""), ("c", (" 3",), "")]]


@pytest.mark.parametrize(
    ("text", "values", "attribute"),
    [
        ('region == "华东"', ("华东",), ""),
        ("region == 'it is \"x\"'", ('it is "x"',), ""),
        ('region in ["a", "b", " a "]', ("a", "b"), ""),
        ("region in [1, -2, true, False]", (" 1", " -2", " true", " false"), ""),
        ('region == ""', ("",), ""),
        ("region==user.id", (), "id"),
        ("region in user.地区", (), "地区"),
        ("region in user.sales-areas", (), "sales-areas"),
        ('region == "a or b == 1"', ("a or b == 1",), ""),
    ],
)
def test_a_comparison_is_read(text, values, attribute):
    assert fields(text) == [[("region", values, attribute)]]


@pytest.mark.parametrize("name", ["sales-region", "class", "is", "from", "users", "order"])
def test_a_field_may_have_any_name_that_a_schema_takes(name):
    assert fields(f"{name} == 1") == [[(name, (" 1",), "")]]


@pytest.mark.parametrize(
    ("text", "place", "hint"),
    [
        ("", "its end", "Compare a field"),
        ("region", "its end", "Compare a field"),
        ("region = 'a'", "'='", "=="),
        ("region != 'a'", "'!'", "Compare a field"),
        ("region == a", "'a'", "quotes"),
        ("region == 'a", '"\'"', "quotes"),
        ("region == 1.5", "'1'", "quotes"),
        ("region == 9999999999999999999", "'9999999999999999999'", "quotes"),
        ("region == 'a' or", "its end", "Compare a field"),
        ("region == 'a' region == 'b'", "'region'", "Compare a field"),
        ("region in 'a'", "\"'a'\"", "Compare a field"),
        ("region in []", "']'", "quotes"),
        ("region in ['a' 'b']", "\"'b'\"", "Compare a field"),
        ("region in ['a',]", "']'", "quotes"),
        ("user.id == owner", "'user.id'", "The field comes first"),
        ("not region == 'a'", "'not'", "There is no 'not'"),
        ("(region == 'a')", "'('", "no brackets"),
        ("region == 'a' and (b == 1 or c == 2)", "'('", "no brackets"),
        ("region == 'a')", "')'", "brackets are not needed"),
        ("region == 'a\\n'", '"\'"', "quotes"),
        ("region == user", "'user'", "quotes"),
        ("region == user.", "'user'", "quotes"),
        ("Region == 'a'", "'Region'", "Compare a field"),
        ("f(region) == 'a'", "'('", "Compare a field"),
        ("region == '" + "x" * 201 + "'", "xxx", "200 characters"),
    ],
)
def test_what_cannot_be_read_is_named_with_what_to_write(text, place, hint):
    with pytest.raises(WrongWhere) as caught:
        parse_where(text)
    assert place in caught.value.message
    assert hint in caught.value.hint


def test_its_sizes_are_limited_on_both_sides():
    assert len(parse_where(" or ".join(["a == 1"] * CONDITIONS_MAX))) == CONDITIONS_MAX
    with pytest.raises(WrongWhere, match="comparisons"):
        parse_where(" or ".join(["a == 1"] * (CONDITIONS_MAX + 1)))
    assert parse_where("a == 1".ljust(WHERE_LENGTH_MAX))
    with pytest.raises(WrongWhere, match="characters"):
        parse_where("a == 1".ljust(WHERE_LENGTH_MAX + 1))
    assert 2 * ATTRIBUTE_VALUES_MAX >= WHERE_LENGTH_MAX  # a longer list has no room


@given(st.one_of(st.text(max_size=60), st.text(alphabet="ab =!<>()[]'\",.\\user-1ï\n", max_size=60)))
def test_any_text_is_read_or_refused(text):
    with suppress(WrongWhere):
        assert parse_where(text)
