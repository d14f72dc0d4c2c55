"""Carriers that anybody may have written and no device of ours reads are shown as they are, and stop nothing."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdt_sync.cli.values import plain, shown
from crdt_sync.errors import InvalidValue
from crdt_sync.exchange.cells import json_value, sheet_value, text_cell
from crdt_sync.limits import JSON_DEPTH_MAX
from crdt_sync.records.field_values import normalise, restore
from crdt_sync.records.schema import FieldSpec

JSON = FieldSpec(type="json")
LOG = FieldSpec(kind="log", type="json")
TIME = FieldSpec(type="datetime")
UNREADABLE = [
    "1e999",
    "-1e999",
    "[1e999]",
    "NaN",
    "Infinity",
    '"\\ud800"',
    '{"\\udfff": 1}',
    "1" * 5000,
    "[" * 300 + "]" * 300,
    '{"a":' * 960 + "1" + "}" * 960,
    "[" * 100_000 + "]" * 100_000,
    "[" * (JSON_DEPTH_MAX + 2) + "]" * (JSON_DEPTH_MAX + 2),
    "no JSON",
    "",
]
TIMES = ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"]


def tell(spec, carrier):
    """Every form in which a value leaves this program: to people, to programs, and in tables."""
    value = restore(spec, carrier)
    shown(value).encode()
    json.dumps(plain(value), allow_nan=False, ensure_ascii=False).encode()
    text_cell(spec, carrier).encode()
    json.loads(json_value(spec, carrier), parse_constant=pytest.fail)
    json_value(spec, carrier).encode()
    return value


@pytest.mark.parametrize("carrier", UNREADABLE, ids=range(len(UNREADABLE)))
def test_json_that_nobody_can_have_entered_is_its_text(carrier):
    assert tell(JSON, carrier) == carrier
    (line,) = tell(LOG, [{"value": carrier, "at": 1, "by": "eve"}])
    assert line["value"] == carrier
    assert sheet_value(carrier) == carrier


@pytest.mark.parametrize("carrier", TIMES)
def test_a_time_that_is_none_in_utc_is_its_text(carrier):
    assert tell(TIME, carrier) == carrier


def test_json_at_the_limit_of_depth_is_read_and_beyond_it_is_text():
    for depth in (JSON_DEPTH_MAX, JSON_DEPTH_MAX + 1):
        text = "[" * depth + "1" + "]" * depth
        try:
            normalise("a", JSON, json.loads(text))
            enters = True
        except InvalidValue:
            enters = False
        assert (restore(JSON, text) != text) is enters


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=5))
def test_what_a_person_enters_is_read(value):
    try:
        carrier = normalise("a", JSON, value)
    except InvalidValue:
        return
    assert tell(JSON, carrier) == value


@given(st.text(alphabet='[]{}",:\\ud80019e+-.NaIfinty ', max_size=40))
def test_no_text_stops_anything(carrier):
    for spec in (JSON, TIME, FieldSpec(type="decimal"), FieldSpec(type="integer"), FieldSpec(type="date")):
        tell(spec, carrier)
