"""Texts that two sides edited: both edits where they are apart, else none is cut up."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdt_sync.records.memory.merged_text import cleanly_merged_text, with_changes
from crdt_sync.records.text_diff import differences


@pytest.mark.parametrize(
    ("base", "ours", "theirs", "merged"),
    [
        ("alter Text komplett", "Mein eigener langer Satz", "Ganz anderer Inhalt", None),
        ("Ruft vor 10 Uhr an", "Nicht mehr anrufen, verzogen", "Ruft vor 11 Uhr an", None),
        (
            "zahlt spät",
            "zahlt spät\nWichtig: immer anrufen!",
            "zahlt pünktlich",
            "zahlt pünktlich\nWichtig: immer anrufen!",
        ),
        ("zahlt spät", "zahlt pünktlich", "zahlt spät\nneu", "zahlt pünktlich\nneu"),
        ("zahlt spät", "Neu!\nzahlt spät", "hat spät", "Neu!\nhat spät"),
        ("met in May.", "met in May. Likes tea.", "met in early May.", "met in early May. Likes tea."),
        ("we met in May.", "we met in May. Likes tea.", "we have met in May.", "we have met in May. Likes tea."),
        ("a b c d e f", "A b c d e f", "a b c d e F", "A b c d e F"),
        ("10:30 Uhr", "11:30 Uhr", "10:45 Uhr", None),
        ("eins", "eins\nmine", "eins\ntheirs", "eins\nmine\ntheirs"),
        ("eins", "mine\neins", "theirs\neins", "mine\ntheirs\neins"),
        ("eins\nzwei", "eins\nmine\nzwei", "eins\nZWEI", "eins\nmine\nZWEI"),
        ("eins\nzwei", "eins\nZWEI", "eins\ntheirs\nzwei", "eins\ntheirs\nZWEI"),
        ("eins", "eins mine", "eins theirs", None),
        ("cake was very nice", "cake was not very nice", "cake was very old", "cake was not very old"),
        ("cake was nice", "cake was very nice", "cake is nice", None),
        ("cake was nice", "cake really was nice", "cake is nice", None),
        ("allergic to nuts", "allergic to no nuts", "allergic to fish", None),
        ("pays cash on delivery", "pays cash only on delivery", "pays late on delivery", None),
        ("call old Mr Meyer", "call Mr Meyer", "call old old Mr Meyer", None),
        ("alter Text", "alter Text mit Zusatz", "Ganz anderer Inhalt", None),
        ("alter Text", "Mein Zusatz, alter Text", "Ganz anderer Inhalt", None),
        ("alter Text", "Mein Satz", "alter Text und neuer", None),
        ("eins", "", "eins zwei", None),
        ("eins zwei", "eins drei", "eins drei", "eins drei"),
        ("Ruft an und zahlt bar", "Kommt selbst und geht wieder", "Ruft nie an und zahlt bar", None),
        (
            "Ruft oft an und zahlt immer bar",
            "Kommt gern selbst und geht früh wieder",
            "Ruft oft an und bald zahlt immer bar",
            None,
        ),
    ],
)
def test_two_edits_are_merged_where_they_are_apart(base, ours, theirs, merged):
    assert cleanly_merged_text(base, ours, theirs) == merged


words = st.lists(st.sampled_from(["a", "b", "c", "und", "\n", ". ", "x:y"]), max_size=12).map(" ".join)
typed = st.lists(st.sampled_from(["M1", "M2", "M3", "\n", "M4, M5"]), min_size=1, max_size=4).map(" ".join)


@given(words, st.lists(st.tuples(st.integers(0, 40), st.integers(0, 12), typed), min_size=1, max_size=3), words)
def test_what_a_person_typed_stands_as_it_was_typed(base, edits, theirs):
    ours = base
    for place, length, text in edits:
        start = min(place, len(ours))
        ours = f"{ours[:start]} {text} {ours[start + length :]}"
    merged = cleanly_merged_text(base, ours, theirs)
    if merged is not None:
        assert typed_runs(merged) == typed_runs(ours)


def typed_runs(text: str) -> list[str]:
    """What of a text was typed here, without the words of others around it."""
    return [" ".join(run.split()) for run in re.findall(r"M\d(?:\W*M\d)*", text)]


def test_a_merge_of_whatever_words_would_be_seen_to_cut_up_what_was_typed():
    base, ours = "alter Text komplett", "M1 M2 M3 M4"
    merged = with_changes(base, differences(base, ours), differences(base, "Ganz anderer Inhalt"))
    assert typed_runs(merged) != typed_runs(ours)
