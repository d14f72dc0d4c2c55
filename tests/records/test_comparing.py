"""Values that say the same are equal however they were typed, and nothing else is."""

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from crdt_sync import ids
from crdt_sync.records import FieldSpec
from crdt_sync.records.comparing import contains, filled, folded, identity, same_form

TEXT = st.text(max_size=20) | st.text("+0049 ()-./@ab \u00a0ａＡ０＋ﬁßｶﾞé\u0301İ", max_size=20)
FORMS = [
    ("Café", "Cafe\u0301"),
    ("Ｔｏｋｙｏ　１２", "Tokyo 12"),
    ("ガ", "ｶﾞ"),
    ("Ann  Smith", " Ann\u00a0Smith "),
    ("Ann@Example.COM ", "ann@example.com"),
    ("ann @ example.com", "ann@example.com"),
    ("+49 (0)30 / 901-820", "+4930901820"),
    ("0049 30 901820", "+49 30 901820"),
    ("0049 (0) 30 901820", "+49 30 901820"),
    ("030 901 820", "(030) 901820"),
]
CASES = [("Müller", "MÜLLER"), ("Straße", "STRASSE"), ("vip", "VIP"), ("ﬁn", "fin"), ("10²", "102")]
APART = [
    ("901820", "90 1820"),  # no mark of a phone number: it may be anything
    ("+49 30 901820", "030 901820"),  # nobody says in which country
    ("01-23", "012-3"),
    ("2026-01-02", "20260102"),
    ("a b@c d", "ab@cd"),
    ("Ann", "Anna"),
    ("İ", "i"),
]


@pytest.mark.parametrize(("one", "other"), FORMS)
def test_forms_of_one_text_are_equal_everywhere(one, other):
    assert same_form(one) == same_form(other)
    assert folded(one) == folded(other)


@pytest.mark.parametrize(("one", "other"), CASES)
def test_case_and_compatible_letters_are_found_but_kept_apart_where_a_person_decides(one, other):
    assert folded(one) == folded(other)
    assert same_form(one) != same_form(other)


@pytest.mark.parametrize(("one", "other"), APART)
def test_other_texts_are_apart(one, other):
    assert folded(one) != folded(other)
    assert same_form(one) != same_form(other)


@example("\ufb01\u0300@0")  # folding its case takes a ligature apart, and what follows joins the last letter
@given(TEXT)
def test_folding_and_forming_twice_change_nothing(text):
    assert folded(folded(text)) == folded(text)
    assert same_form(same_form(text)) == same_form(text)


@given(TEXT)
def test_what_has_one_form_is_found_as_one(text):
    assert folded(unicodedata.normalize("NFD", text)) == folded(text)
    assert same_form(unicodedata.normalize("NFD", text)) == same_form(text)


@given(st.text(st.characters(max_codepoint=126, min_codepoint=32), min_size=1, max_size=20))
def test_a_folded_key_names_the_record_that_it_named_before_there_was_folding(text):
    """But for phone numbers, blanks inside, and what is no plain text, which had ids of their own spelling."""
    if folded(text) == text.strip().casefold():
        assert ids.natural_record("people", [folded(text)]) == ids.natural_record("people", [text])


@pytest.mark.parametrize(
    ("text", "sought", "found"),
    [
        ("+49 30 901820", "901820", True),
        ("+49 30 901820", "30 901", True),
        ("+49 30 901820", "+49309", True),
        ("+49 30 901820", "39018", False),
        ("12 34", "1234", False),
        ("Cafe\u0301 Müller", "café mü", True),
        ("+49 30 901820", "x30", False),
    ],
)
def test_words_are_found_in_every_form(text, sought, found):
    assert contains(text, folded(sought)) is found


def test_only_texts_have_forms():
    assert identity("Cafe\u0301", FieldSpec()) == identity("Café", FieldSpec())
    assert identity("Cafe\u0301", None) != identity("Café", None)
    for spec in (
        FieldSpec(type="json"),
        FieldSpec(type="enum", choices=("a",)),
        FieldSpec(kind="stage", states=("a",)),
    ):
        assert identity("Cafe\u0301", spec) != identity("Café", spec)
    assert identity(1, FieldSpec()) == identity(1, FieldSpec()) != identity("1", FieldSpec())


@pytest.mark.parametrize(
    "text", ["", " \t\n", "\u200b", "\u00a0\u2060", "\ufeff", "\u3164", "\u2800", "\ufe0f", "\u00ad\u202e"]
)
def test_what_nobody_sees_says_nothing(text):
    assert not filled(text)
    assert filled(f"{text}a{text}")


def test_what_is_seen_says_something():
    assert all(map(filled, ("0", "李", "é", "e\u0301", "नि", "👩\u200d🔬", "-", 0, False, [])))
    assert not filled(None)
