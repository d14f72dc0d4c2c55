"""What people type differently without noticing has one spelling."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdt_sync.spelling import one_spelling, spaced_once


@pytest.mark.parametrize(
    ("typed", "spelt"),
    [
        ("Ko\u0308ln", "Köln"),
        ("Ｎ１　区", "N1 区"),
        ("ｱ", "ア"),
        ("  a \t b ", "a b"),
        ("ﬁ²", "ﬁ²"),
        ("aB", "aB"),
        ("", ""),
    ],
)
def test_width_composition_and_blanks_make_no_difference_and_all_else_does(typed, spelt):
    assert one_spelling(typed) == spelt


@given(st.text())
def test_spelling_twice_changes_nothing(text):
    assert one_spelling(one_spelling(text)) == one_spelling(text)
    assert spaced_once(one_spelling(text)) == one_spelling(text)
