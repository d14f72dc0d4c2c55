import pytest

from crdt_sync.errors import InvalidValue
from crdt_sync.records import FieldSpec, normalise, parse_text

CASES = [
    ({}, " kept as typed ", " kept as typed "),
    ({}, "", None),
    ({"type": "integer"}, " 42 ", 42),
    ({"type": "decimal"}, "12.50", "12.5"),
    ({"type": "boolean"}, "Yes", True),
    ({"type": "boolean"}, "0", False),
    ({"type": "date"}, "2026-03-01", "2026-03-01"),
    ({"type": "datetime"}, "2026-03-01T09:30+01:00", "2026-03-01T08:30:00Z"),
    ({"type": "json"}, '{"b": 1, "a": [2]}', '{"a":[2],"b":1}'),
    ({"kind": "stage", "states": ("lead", "won")}, " won ", "won"),
    ({"kind": "text"}, "", ""),
    ({"kind": "counter"}, "7", 7),
]


@pytest.mark.parametrize(("spec", "text", "carrier"), CASES)
def test_typed_text_becomes_the_value_of_its_field(spec, text, carrier):
    spec = FieldSpec(**spec)
    assert normalise("x", spec, parse_text("x", spec, text)) == carrier


def test_the_members_of_a_set_are_separated_by_semicolons():
    assert parse_text("tags", FieldSpec(kind="set"), "vip; berlin;;") == ["vip", "berlin"]
    assert parse_text("years", FieldSpec(kind="set", type="integer"), "2024;2025") == [2024, 2025]


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ({"type": "integer"}, "4.2"),
        ({"type": "boolean"}, "perhaps"),
        ({"type": "json"}, "{"),
        ({"type": "json"}, "[" * 99_999),
    ],
)
def test_text_that_means_nothing_is_refused_with_a_hint(spec, text):
    with pytest.raises(InvalidValue, match="'x'") as caught:
        parse_text("x", FieldSpec(**spec), text)
    assert caught.value.hint
