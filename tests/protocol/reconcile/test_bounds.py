"""Bounds lie between the neighbours that they separate, and are short."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from crdt_sync.ids import RECORD_LENGTH_MAX
from crdt_sync.protocol.reconcile.bounds import is_bound, separator, shared_length

IDS = st.from_regex(r"\Aa/[a-b.~]{1,6}\Z") | st.from_regex(r"\A[a-z][a-z0-9_-]{0,47}/[A-Za-z0-9._~-]{1,79}\Z")


@given(IDS, IDS)
def test_a_separator_lies_between_its_neighbours(one, other):
    assume(one != other)
    left, right = min(one, other), max(one, other)
    bound = separator(left, right)
    assert left <= bound < right
    assert is_bound(bound)
    assert len(bound) <= shared_length(left, right) + 2 or bound == left


@pytest.mark.parametrize(
    ("left", "right", "bound"),
    [
        ("a/b", "a/bc", "a/b"),
        ("a/abc", "a/bcd", "a/b"),
        ("a/abcdef", "a/abd", "a/abc\x7f"),
        ("a/abc", "a/abd", "a/abc"),
        ("a/9999", "b/0000", "b"),
    ],
)
def test_separators_of_known_neighbours(left, right, bound):
    assert separator(left, right) == bound


@given(st.text("ab", max_size=8), st.text("ab", max_size=8), st.integers(0, 9))
def test_the_guess_does_not_change_what_is_shared(left, right, guess):
    length = shared_length(left, right, guess)
    assert left[:length] == right[:length]
    assert left[: length + 1] != right[: length + 1] or length == min(len(left), len(right))


def test_what_can_be_a_bound_has_both_sides_of_its_limits():
    for good in ("!", "~", "\x7f", "a/b", "x" * RECORD_LENGTH_MAX):
        assert is_bound(good)
    for bad in ("", " ", "\x80", "a\n", "é", "x" * (RECORD_LENGTH_MAX + 1)):
        assert not is_bound(bad)
