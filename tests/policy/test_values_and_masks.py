"""What equals what, and what a mask shows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdt_sync.limits import FILTER_VALUE_LENGTH_MAX
from crdt_sync.policy.masks import MASKS, masked, weaker
from crdt_sync.policy.values import EMPTY, form, told


@pytest.mark.parametrize(
    ("one", "other"),
    [("Ko\u0308ln", "Köln"), (" North ", "North"), ("Ｎ１", "N1"), ("a  b", "a b"), (None, ""), (1.0, 1), ("", "  ")],
)
def test_what_people_do_not_see_makes_no_difference(one, other):
    assert form(one) == form(other)


def test_texts_numbers_and_truths_are_never_the_same():
    values = [1, "1", True, "true", False, 0, None, "North", "north"]
    assert len({form(value) for value in values}) == len(values)


@pytest.mark.parametrize("value", [1.5, float("nan"), float("inf"), 2**53, ["a"], {"a": 1}, b"a", "x" * 201])
def test_what_no_filter_shows_equals_nothing(value):
    assert form(value) is None


def test_the_longest_text_that_is_compared():
    assert form("x" * FILTER_VALUE_LENGTH_MAX) is not None


@given(st.one_of(st.text(), st.integers(), st.floats(), st.booleans(), st.none(), st.binary()))
def test_a_form_is_one_text_and_forming_a_text_twice_changes_nothing(value):
    found = form(value)
    assert found is None or isinstance(found, str)
    if isinstance(value, str) and found is not None:
        assert form(found) == found
        assert not found.startswith(" ")


def test_a_form_is_told_as_it_is_written():
    assert [told(form(value) or EMPTY) for value in ("a", 1, True, None)] == ["'a'", "1", "true", "''"]


@pytest.mark.parametrize(
    ("mask", "text", "shown"),
    [
        ("phone", "13812341234", "138****1234"),
        ("phone", "+86 138 1234 1234", "861****1234"),
        ("phone", "030 901821", "****1821"),
        ("phone", "901821", "****"),
        ("phone", "call Anna", "****"),
        ("phone", "１３８１２３４１２３４", "１３８****１２３４"),
        ("last4", "DE02 1203 0000 0000 2020 51", "****2051"),
        ("last4", "1234567", "****"),
        ("last4", "12345678", "****5678"),
        ("last4", "----", "****"),
        ("last4", "  ", ""),
        ("phone", "", ""),
    ],
)
def test_a_mask_shows_a_part(mask, text, shown):
    assert masked(mask, text) == shown


@given(st.sampled_from(list(MASKS)), st.text(max_size=40))
def test_a_mask_always_hides_four_characters_and_never_tells_the_length(mask, text):
    shown = masked(mask, text)
    kept = shown.replace("*", "")
    assert sum(each.isalnum() for each in text) >= len(kept) + (4 if kept else 0)
    assert shown == "" or shown.count("*") == 4


def test_of_two_masks_the_one_that_shows_more_counts():
    assert weaker("last4", "phone") == weaker("phone", "last4") == "phone"
