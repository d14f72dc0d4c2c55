import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdt_sync.exchange.guard import guard, is_formula, unguard


@pytest.mark.parametrize("text", ["=1+1", "+49 30", "-1", "@x", "\tx", "\rx", "＝1", "'=1", "''+1"])
def test_what_a_spreadsheet_might_run_gets_an_apostrophe(text):
    assert guard(text) == "'" + text


@pytest.mark.parametrize("text", ["", "Ann", "1=1", "'", "'s", "''x"])
def test_other_text_is_left_alone(text):
    assert guard(text) == unguard(text) == text


@pytest.mark.parametrize("text", ["=HYPERLINK(1)", "@SUM(1)", "+cmd|x", "-A1", "＝1"])
def test_what_does_more_than_a_sign_is_a_formula(text):
    assert is_formula(text)


@pytest.mark.parametrize("text", ["", "Ann", "+49 30 1234567", "-1.50", "'=1", "1=1"])
def test_numbers_with_a_sign_and_other_text_are_no_formulas(text):
    assert not is_formula(text)


@given(st.text(st.sampled_from("'=+-@\tax")))
def test_guarding_can_be_undone_exactly(text):
    assert unguard(guard(text)) == text
