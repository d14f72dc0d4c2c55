import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from crdt_sync.errors import InvalidValue
from crdt_sync.limits import TEXT_BYTES_MAX
from crdt_sync.records import text_diff
from crdt_sync.records.text_diff import TOKENS_COMPARED_MAX, differences
from crdt_sync.records.text_field import TextField

ALPHABET = "ab ß é e\u0301 漢字 张 😀 👨‍👩‍👧 \u202e \n"
TEXTS = st.text(
    st.sampled_from(ALPHABET) | st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20
)
EDITS = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 8), TEXTS), max_size=8)


@given(TEXTS, EDITS)
def test_edits_by_code_point_do_what_they_do_to_a_python_string(office, start, edits):
    text = office.person(1).editor.text("notes")
    text.insert(0, start)
    model = start
    for position, count, insertion in edits:
        at = min(position, len(model))
        stop = min(at + count, len(model))
        text.delete(at, stop)
        text.insert(at, insertion)
        model = model[:at] + insertion + model[stop:]
        assert str(text) == model
        assert len(text) == len(model)


@given(TEXTS, EDITS, EDITS)
@settings(max_examples=60)
def test_concurrent_edits_converge_to_valid_text_that_keeps_both_insertions(office, start, first, second):
    base = office.person(1)
    base.editor["notes"] = start
    people = [office.person(writer, [base.document.diff()]) for writer in (2, 3)]
    for person, edits in zip(people, (first, second), strict=True):
        text = person.editor.text("notes")
        for position, count, insertion in edits:
            at = min(position, len(text))
            text.delete(at, min(at + count, len(text)))
            text.insert(at, insertion)
    markers = ("《😀甲》", "《張e\u0301乙》")
    for person, marker in zip(people, markers, strict=True):
        text = person.editor.text("notes")
        text.insert(len(text) // 2, marker)
    office.meet(*people)
    one, other = (str(person.editor.text("notes")) for person in people)
    assert one == other
    one.encode("utf-8")
    assert all(marker in one for marker in markers)


@given(TEXTS, TEXTS)
def test_the_differences_turn_one_text_into_the_other(old, new):
    result = old
    for start, stop, text in reversed(differences(old, new)):
        result = result[:start] + text + result[stop:]
    assert result == new
    assert differences(new, new) == []


@given(TEXTS, TEXTS)
def test_replacing_makes_the_text_equal(office, old, new):
    editor = office.person(1).editor
    editor["notes"] = old
    editor["notes"] = new
    assert str(editor.text("notes")) == new


def test_replacing_keeps_the_words_that_did_not_change_so_that_other_edits_survive(office):
    base = office.person(1)
    base.editor["notes"] = "Called on Monday. Wants an offer."
    one, other = (office.person(writer, [base.document.diff()]) for writer in (2, 3))
    one.editor["notes"] = "Called on Tuesday. Wants an offer."
    other.editor["notes"] = "Called on Monday. Wants a cheap offer 😀."
    office.meet(one, other)
    assert one.editor["notes"] == other.editor["notes"] == "Called on Tuesday. Wants a cheap offer 😀."


def test_a_very_long_difference_is_replaced_as_one():
    old = "start " + "a " * TOKENS_COMPARED_MAX + "end"
    new = "start " + "b " * TOKENS_COMPARED_MAX + "end"
    ((start, stop, text),) = differences(old, new)
    assert old[:start] + text + old[stop:] == new
    assert (start, len(old) - stop) == (6, 4)


@pytest.mark.parametrize(("start", "stop"), [(-1, 0), (0, 4), (2, 1)])
def test_indices_outside_the_text_are_refused(office, start, stop):
    text = office.person(1).editor.text("notes")
    text.insert(0, "née")
    with pytest.raises(InvalidValue, match="outside"):
        text.delete(start, stop)
    assert str(text) == "née"


def test_text_that_cannot_be_stored_is_refused_and_the_limit_holds_on_both_sides(office):
    text: TextField = office.person(1).editor.text("notes")
    for bad in ("\ud83d", "a\x00b"):
        with pytest.raises(InvalidValue):
            text.insert(0, bad)
    text.insert(0, "é" * (TEXT_BYTES_MAX // 2))
    with pytest.raises(InvalidValue, match="limit"):
        text.insert(0, "x")
    text.replace("")
    assert len(text) == 0


def test_of_what_is_longer_than_words_only_what_differs_is_replaced():
    assert differences("1" * 5000, "1" * 4997) == [(4997, 5000, "")]
    sentence = "客" * 100
    assert differences(sentence, f"{sentence[:50]}户{sentence[50:]}") == [(50, 50, "户")]


def test_repeated_words_are_compared_up_to_a_number_of_pairs(monkeypatch):
    old = " ".join(["word"] * 300)
    new = " ".join(f"word {number}" if number % 30 == 0 else "word" for number in range(300))
    assert len(differences(old, new)) > 1
    monkeypatch.setattr(text_diff, "PAIRS_COMPARED_MAX", 1000)
    ((start, stop, text),) = differences(old, new)
    assert old[:start] + text + old[stop:] == new


@example("0\n0", "1\n1")
@given(TEXTS, TEXTS)
def test_the_edits_turn_one_text_into_the_other(old, new):
    result, before = old, len(old)
    for start, stop, text in reversed(text_diff.edits(old, new)):
        assert start <= stop <= before
        result, before = result[:start] + text + result[stop:], start
    assert result == new


@pytest.mark.parametrize(
    ("start", "one", "other", "either"),
    [
        (
            "spricht gut Deutsch",
            "spricht jetzt auch Deutsch",
            "spricht aber Deutsch",
            {"spricht jetzt auch aber Deutsch", "spricht aber jetzt auch Deutsch"},
        ),
        (
            "spricht Deutsch",
            "spricht gut Deutsch",
            "spricht nur Deutsch",
            {"spricht gut nur Deutsch", "spricht nur gut Deutsch"},
        ),
        ("zahlt spät.", "zahlt bar.", "zahlt nie.", {"zahlt bar nie.", "zahlt nie bar."}),
        (
            "alter Satz der Firma",
            "Mein langer neuer Satz hier",
            "Ganz anderer Satz als vorher",
            {
                "Mein langer neuer Satz hierGanz anderer Satz als vorher",  # no blank is left of the old text
                "Ganz anderer Satz als vorherMein langer neuer Satz hier",
            },
        ),
    ],
)
@pytest.mark.parametrize("order", [(2, 3), (3, 2)])
def test_what_two_people_write_at_one_place_joins_no_words(office, start, one, other, either, order):
    base = office.person(1)
    base.editor["notes"] = start
    people = [office.person(writer, [base.document.diff()]) for writer in order]
    for person, text in zip(people, (one, other), strict=True):
        person.editor["notes"] = text
    office.meet(*people)
    assert {str(person.editor.text("notes")) for person in people} <= either
    assert len({str(person.editor.text("notes")) for person in people}) == 1
