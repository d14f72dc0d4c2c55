"""What a mask shows of a field, as entries of a document of its own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdt_sync.limits import MASKED_LENGTH_MAX, MASKED_VALUES_MAX
from crdt_sync.policy.masks import MASKS
from crdt_sync.records import Document, parse_schema
from crdt_sync.records.masking import can_be_masked, masked_entries, masked_schema, write_masked
from crdt_sync.records.reading import reading_of

SCHEMA = parse_schema(
    """
collection = "people"
version = 1
[fields.name]
[fields.iban]
section = "finance"
[fields.number]
type = "integer"
section = "finance"
[fields.account]
kind = "review"
section = "finance"
[fields.stage]
kind = "stage"
states = ["applied for", "in the making", "in use now"]
section = "finance"
[fields.paid]
kind = "counter"
section = "finance"
[fields.a-name-of-its-own-that-takes-some-room]
section = "finance"
""",
    "a test",
)
FINANCE = SCHEMA.sections["finance"]
STAMP = 1_700_000_000_000_000


def holding(field: str, *entries: list[object]) -> Document:
    document = Document(7)
    with document.transaction() as transaction:
        array = document.array(transaction, f"c.{field}")
        for entry in entries:
            array.insert(transaction, array.len(transaction), entry)
    return document


@pytest.mark.parametrize(
    ("field", "value", "shown"),
    [
        ("iban", "DE02120300000000202051", "****2051"),
        ("iban", "12", "****"),
        ("iban", "", None),
        ("iban", None, None),
        ("iban", "x" * MASKED_LENGTH_MAX + "1234", "****"),
        ("iban", "\x00\x1b[31m\u202e 12345678\n", "****5678"),
        ("number", 4930901820, "****1820"),
        ("number", True, "****"),
        ("account", ["not", "value"], "****alue"),
    ],
)
def test_a_value_is_shown_in_part_with_who_wrote_it_and_when(field, value, shown):
    found = masked_entries(holding(field, [value, STAMP, "anna", ["more"]]), FINANCE, field, "last4")
    assert found == ([[shown, STAMP, "anna"]] if shown else [])


def test_a_field_that_holds_nothing_shows_nothing():
    assert masked_entries(Document(7), FINANCE, "iban", "last4") == []
    assert masked_entries(holding("iban", ["no entry"]), FINANCE, "iban", "last4") == []


def test_of_an_ordinary_field_the_latest_value_is_shown_alone():
    document = holding("iban", ["DE00000001", STAMP, "anna"], ["DE00000002", STAMP + 1, "ben"])
    assert masked_entries(document, FINANCE, "iban", "last4") == [["****0002", STAMP + 1, "ben"]]


def test_values_that_wait_for_a_decision_keep_their_order_whatever_that_follows_from():
    document = holding("stage", ["in the making", STAMP, "anna"], ["applied for", STAMP + 5, "ben"])
    found = masked_entries(document, FINANCE, "stage", "last4")
    assert found == [["****king", STAMP, "anna"], ["****dfor", STAMP - 1, "ben"]]
    row = Document(8)
    assert write_masked(row, "stage", found)
    reading = reading_of(row, masked_schema(SCHEMA, "stage"))
    assert reading.values == {"stage": "****king"}
    assert [entry.value for entry in reading.conflicts[0].entries] == ["****king", "****dfor"]


def test_however_many_values_wait_a_few_are_shown():
    document = holding("account", *([f"DE{number:08}", STAMP + number, "anna"] for number in range(100)))
    found = masked_entries(document, FINANCE, "account", "last4")
    assert len(found) == MASKED_VALUES_MAX
    assert found[0] == ["****0099", STAMP + 99, "anna"]


def test_which_fields_can_be_shown_in_part():
    assert [name for name in SCHEMA.fields if can_be_masked(SCHEMA, name, "last4")] == [
        "iban",
        "number",
        "account",
        "stage",
    ]
    assert (masked_schema(SCHEMA, "name"), masked_schema(SCHEMA, "paid"), masked_schema(SCHEMA, "no")) == (None,) * 3


def test_what_is_written_is_what_is_held_and_once_only():
    row = Document(8)
    assert not write_masked(row, "iban", [])
    for entries in ([["****1", 2, "a"], ["****2", 1, "b"]], [["****3", 3, "c"]], []):
        assert write_masked(row, "iban", entries)
        assert not write_masked(row, "iban", entries)
        assert row.contents().get("c.iban", []) == entries


@given(
    st.sampled_from(list(MASKS)),
    st.sampled_from(["iban", "account"]),
    st.lists(st.tuples(st.text(min_size=8, max_size=30), st.integers(0, 3), st.sampled_from("abc")), max_size=5),
)
def test_no_value_is_ever_in_what_a_mask_shows(mask, field, written):
    document = holding(field, *([value, stamp, actor] for value, stamp, actor in written))
    row = Document(8)
    write_masked(row, field, masked_entries(document, FINANCE, field, mask))
    reading = reading_of(row, masked_schema(SCHEMA, field))
    whole = reading_of(document, FINANCE)
    assert all(value.strip().encode() not in row.diff() or not value.strip() for value, *_ in written)
    shown = [conflict.entries for conflict in reading.conflicts]
    assert not shown or len(shown[0]) <= len(whole.conflicts[0].entries)
    assert reading.values.keys() <= whole.values.keys()
