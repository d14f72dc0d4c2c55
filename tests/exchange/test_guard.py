import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdt_sync.exchange.guard import guard, unguard


@pytest.mark.parametrize("text", ["=1+1", "+49 30", "-1", "@x", "\tx", "\rx", "＝1", "'=1", "''+1"])
def test_what_a_spreadsheet_might_run_gets_an_apostrophe(text):
    assert guard(text) == "'" + text


@pytest.mark.parametrize("text", ["", "Ann", "1=1", "'", "'s", "''x"])
def test_other_text_is_left_alone(text):
    assert guard(text) == unguard(text) == text


@given(st.text(st.sampled_from("'=+-@\tax")))
def test_guarding_can_be_undone_exactly(text):
    assert unguard(guard(text)) == text
