import json
import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from crdt_sync.cli.safe_text import json_line, lines, name, names, one_line
from crdt_sync.cli.values import label
from crdt_sync.records import parse_schema

_BIDIRECTIONAL = set("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def _dangerous(text: str) -> set[str]:
    return {c for c in text if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") or c in _BIDIRECTIONAL}


def test_escapes_are_shown_not_obeyed():
    assert one_line("a\x1b[2Jb\x9bc") == "a\\x1b[2Jb\\x9bc"


def test_line_breaks_are_marked_in_a_cell_and_kept_in_a_text():
    assert one_line("a\r\nb\nc\td") == "a⏎b⏎c d"
    assert lines("a\r\nb\nc\rd") == "a\nb\nc\\x0dd"


def test_text_that_turns_the_reading_direction_is_escaped():
    assert one_line("gpj\u202eexe") == "gpj\\u202eexe"


def test_letters_of_every_script_and_joined_emoji_stay():
    for text in ("王小明", "नमस्ते", "👩‍👩‍👧", "می‌خواهم", "Łódź", "שלום"):
        assert one_line(text) == text


@given(st.text(st.characters()))
def test_nothing_dangerous_is_left(text):
    assert not _dangerous(one_line(text))
    assert _dangerous(lines(text)) <= {"\n"}


@given(st.text(st.characters()))
def test_json_is_one_safe_line_that_says_the_same(text):
    line = json_line({"value": text})
    assert not _dangerous(line)
    assert json.loads(line) == {"value": text}


def test_a_name_that_nobody_here_gave_forges_no_line_and_fills_no_screen():
    assert name("c\n\x1b[31m\u202e") == "c⏎\\x1b[31m\\u202e"
    assert name("f" * 100_000) == "f" * 60 + "…"
    assert names(["a", "b"]) == "a, b"
    assert names([str(number) for number in range(300)]).endswith("10, 11 and 288 more")


def test_a_label_of_a_schema_that_came_begins_no_line() -> None:
    schema = parse_schema('collection = "shops"\nversion = 1\n[fields.a]\nlabel = "A\\n\\u001b[2JB"\n', "x")
    assert label(schema, "a") == "A⏎\\x1b[2JB"
