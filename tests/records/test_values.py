import json
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdt_sync.errors import InvalidValue
from crdt_sync.limits import INTEGER_EXACT_MAX, JSON_DEPTH_MAX, TEXT_BYTES_MAX, VALUE_BYTES_MAX
from crdt_sync.records import Document, FieldSpec, canonical, normalise, restore, values_of
from crdt_sync.records.values import DECIMAL_DIGITS_MAX, INTEGER_BITS_MAX, decimal_carrier

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=50)
INTEGERS = st.integers(-(2**100), 2**100)
DECIMALS = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**30), max_value=10**30, places=12)
ZONES = st.integers(-840, 840).map(lambda minutes: timezone(timedelta(minutes=minutes)))
MOMENTS = st.datetimes(min_value=datetime(2, 1, 1), max_value=datetime(9998, 1, 1), timezones=ZONES)  # noqa: DTZ001
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
BY_TYPE = {
    "string": TEXTS,
    "integer": INTEGERS,
    "decimal": DECIMALS,
    "boolean": st.booleans(),
    "date": st.dates(),
    "datetime": MOMENTS,
    "json": JSON.filter(lambda value: value is not None),
}


def through_the_crdt(carrier):
    """Write a carrier, send it to another replica, read it back there."""
    document = Document(1)
    with document.transaction() as transaction:
        document.array(transaction, "c.x").insert(transaction, 0, [carrier, 1, "ann"])
    return values_of(Document.load([document.diff()]))["x"]


@pytest.mark.parametrize("kind", BY_TYPE)
def test_a_value_comes_back_from_another_replica_with_its_type(kind):
    spec = FieldSpec(type=kind)

    @given(BY_TYPE[kind])
    def check(value):
        carrier = normalise("x", spec, value)
        assert isinstance(carrier, (str, int, bool))
        travelled = through_the_crdt(carrier)
        assert (travelled, type(travelled)) == (carrier, type(carrier))
        restored = restore(spec, travelled)
        assert restored == value
        assert type(restored) is type(value)
        assert normalise("x", spec, restored) == carrier

    check()


@given(DECIMALS, st.integers(0, 6))
def test_equal_decimals_have_one_carrier(value, zeros):
    longer = Decimal(format(value, "f") + "0" * zeros)
    assert longer == value
    assert decimal_carrier(longer) == decimal_carrier(value)


@pytest.mark.parametrize(
    ("given_value", "carrier"),
    [("12.50", "12.5"), ("-0.00", "0"), ("1E+3", "1000"), (100, "100"), (0.1, "0.1"), (" 7 ", "7")],
)
def test_a_decimal_is_written_one_way(given_value, carrier):
    assert normalise("amount", FieldSpec(type="decimal"), given_value) == carrier


def test_integers_are_numbers_while_javascript_holds_them_exactly_and_text_beyond():
    spec = FieldSpec(type="integer")
    assert normalise("x", spec, INTEGER_EXACT_MAX) == INTEGER_EXACT_MAX
    assert normalise("x", spec, INTEGER_EXACT_MAX + 1) == str(INTEGER_EXACT_MAX + 1)
    assert normalise("x", spec, -INTEGER_EXACT_MAX - 1) == str(-INTEGER_EXACT_MAX - 1)


def test_a_moment_is_carried_in_utc():
    moment = datetime(2026, 3, 1, 9, 30, tzinfo=timezone(timedelta(hours=1)))
    assert normalise("x", FieldSpec(type="datetime"), moment) == "2026-03-01T08:30:00Z"
    assert restore(FieldSpec(type="datetime"), "2026-03-01T08:30:00Z") == moment.astimezone(UTC)


def nested(depth):
    value: object = 1
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("spec", "value"),
    [
        ({}, 42),
        ({}, "half \ud83d"),
        ({}, "a\x00b"),
        ({}, "x" * (VALUE_BYTES_MAX + 1)),
        ({}, b"bytes"),
        ({"required": True}, None),
        ({"type": "integer"}, True),
        ({"type": "integer"}, "42"),
        ({"type": "integer"}, 1.5),
        ({"type": "integer"}, 1 << INTEGER_BITS_MAX),
        ({"type": "decimal"}, "1,50"),
        ({"type": "decimal"}, "NaN"),
        ({"type": "decimal"}, float("inf")),
        ({"type": "decimal"}, "1e999999999"),
        ({"type": "decimal"}, Decimal(1).scaleb(-DECIMAL_DIGITS_MAX - 1)),
        ({"type": "decimal"}, True),
        ({"type": "boolean"}, 1),
        ({"type": "date"}, "01.03.2026"),
        ({"type": "date"}, datetime(2026, 3, 1, tzinfo=UTC)),
        ({"type": "datetime"}, "2026-03-01T09:30:00"),
        ({"type": "datetime"}, date(2026, 3, 1)),
        ({"type": "datetime"}, datetime.max.replace(tzinfo=timezone(timedelta(hours=-5)))),
        ({"type": "enum", "choices": ("en", "de")}, "fr"),
        ({"type": "reference"}, "no slash"),
        ({"type": "reference", "collection": "customers"}, "orders/1"),
        ({"kind": "stage", "states": ("lead", "won")}, "lost"),
        ({"type": "json"}, float("nan")),
        ({"type": "json"}, {1: 2}),
        ({"type": "json"}, {"a": {2}}),
        ({"type": "json"}, nested(JSON_DEPTH_MAX + 1)),
        ({"type": "json"}, "\udc00"),
        ({"type": "json"}, 10**5000),
        ({"kind": "text"}, "x" * (TEXT_BYTES_MAX + 1)),
        ({"kind": "set"}, None),
    ],
    ids=lambda given: type(given).__name__,
)
def test_a_value_that_does_not_fit_is_refused_with_its_field_named(spec, value):
    with pytest.raises(InvalidValue, match="'phone'"):
        normalise("phone", FieldSpec(**spec), value)


@pytest.mark.parametrize(
    ("spec", "value"),
    [
        ({}, "x" * VALUE_BYTES_MAX),
        ({"kind": "text"}, "x" * TEXT_BYTES_MAX),
        ({"type": "json"}, nested(JSON_DEPTH_MAX)),
        ({"type": "integer"}, (1 << INTEGER_BITS_MAX) - 1),
        ({"type": "decimal"}, Decimal(1).scaleb(-DECIMAL_DIGITS_MAX)),
    ],
    ids=lambda given: type(given).__name__,
)
def test_a_value_at_its_limit_is_accepted_and_comes_back(spec, value):
    spec = FieldSpec(**spec)
    assert restore(spec, normalise("x", spec, value)) == value


@pytest.mark.parametrize("kind", [*BY_TYPE, "enum", "reference"])
def test_restoring_never_raises_and_returns_what_does_not_fit(kind):
    spec = FieldSpec(type=kind, choices=("a",) if kind == "enum" else ())

    @given(JSON)
    def check(carrier):
        restore(spec, carrier)

    check()
    for odd in ("not a number", "[" * 50_000, "9" * 5000, ["x"], {"y": 1}, None, "NaN", "2026-13-01"):
        restored = restore(spec, odd)
        assert restored == odd or kind == "json"


@given(JSON)
def test_canonical_text_is_json_and_ignores_the_order_of_keys(value):
    assert json.loads(canonical(value)) == value
    if isinstance(value, dict):
        assert canonical(dict(reversed(list(value.items())))) == canonical(value)


def test_sets_and_logs_are_restored_member_by_member():
    assert restore(FieldSpec(kind="set", type="decimal"), ["1.5", "2"]) == [Decimal("1.5"), Decimal(2)]
    log = [{"value": '{"a":1}', "at": 5, "by": "ann"}]
    assert restore(FieldSpec(kind="log", type="json"), log) == [{"value": {"a": 1}, "at": 5, "by": "ann"}]
