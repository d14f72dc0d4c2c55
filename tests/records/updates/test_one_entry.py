import random
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crdt_bench.load.updates import COLLECTION, EditedRecord
from crdt_sync.clock import HybridClock
from crdt_sync.errors import UpdateRefused
from crdt_sync.limits import STAMP_MAX, UPDATE_BYTES_MAX
from crdt_sync.records import bundled_schema, scan
from crdt_sync.records.updates import one_entry
from crdt_sync.records.updates.one_entry import scan_quickly
from crdt_sync.records.updates.state_vector import CLOCK_MAX
from crdt_sync.records.updates.varint import UINT_MAX
from tests.records.raw_updates import uint, value

SCRIPTS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 11), st.integers(0, 5)), max_size=30)
CLOCKS = st.sampled_from([0, 1, 127, 128, 300, CLOCK_MAX - 1, CLOCK_MAX, CLOCK_MAX + 1, UINT_MAX, UINT_MAX + 1])
STAMPS = st.sampled_from(
    [0.0, -0.0, -5.0, 1.5, 1.79e15, float(STAMP_MAX), STAMP_MAX * 1.01, float("inf"), -float("inf"), float("nan")]
)
VALUES = st.sampled_from(
    [
        *(None, True, 5, -5, 100, 2**40, 1.5, float("nan"), "", "Müller", "x" * 127, "x" * 128, [1], {"a": 1}),
        *(b"\x77\x01\xff", b"\x74\x01a", b"\x7f", b"\x7b", b"\x00"),
    ]
)
ACTORS = st.sampled_from(["", "anna", "Jürgen", "x" * 200, None, b"\x77\x02\xc3"])


def edits(count: int) -> list[bytes]:
    """As a device sends them that overwrites fields."""
    edited = EditedRecord(random.Random(5), bundled_schema(COLLECTION), HybridClock(lambda: 1_790_000_000_000_000))
    return [edited.next_update() for _ in range(count)]


def told(read, update: bytes):
    """What it says, or the refusal with its text."""
    try:
        return read(update)
    except UpdateRefused as refusal:
        return refusal.reason, refusal.message


def test_edits_that_overwrite_a_field_are_read_without_the_reader(monkeypatch):
    updates = edits(200)[5:]
    expected = [scan(update) for update in updates]
    monkeypatch.setattr(one_entry, "scan", None)
    assert [scan_quickly(update) for update in updates] == expected


@given(CLOCKS, CLOCKS, CLOCKS, CLOCKS, CLOCKS, CLOCKS, STAMPS, VALUES, ACTORS, st.integers(0, 2), st.booleans())
@settings(max_examples=200)
def test_every_form_of_such_an_update_is_read_or_refused_as_by_scan(
    writer, clock, left_writer, left_clock, first, count, stamp, content, actor, deleted, more
):
    ranges = uint(writer) + uint(deleted) + (uint(first) + uint(count)) * deleted
    update = b"".join(
        (
            b"\x01\x01", uint(writer), uint(clock), b"\x88", uint(left_writer), uint(left_clock), b"\x01\x75\x03",
            value(content), struct.pack(">Bd", 123, stamp), value(actor),
            b"\x01" + ranges if deleted else b"\x00", b"\x00" * more,
        )
    )  # fmt: skip
    assert told(scan_quickly, update) == told(scan, update)


@given(st.randoms(use_true_random=False))
@settings(max_examples=20)
def test_changed_and_cut_edits_are_read_or_refused_as_by_scan(chance):
    for update in edits(12):
        mutant = bytearray(update)
        for _ in range(chance.randint(0, 3)):
            mutant[chance.randrange(len(mutant))] = chance.randrange(256)
        if chance.random() < 0.3:
            del mutant[chance.randrange(len(mutant)) :]
        assert told(scan_quickly, bytes(mutant)) == told(scan, bytes(mutant))


@given(SCRIPTS)
def test_what_people_write_is_read_as_by_scan(office, script):
    for person in office.play(script):
        for update in person.sent:
            assert scan_quickly(update) == scan(update)


@pytest.mark.parametrize("update", [b"", b"\x00\x00", b"\x01\x01", b"\x00" * (UPDATE_BYTES_MAX + 1)])
def test_what_is_no_such_update_is_left_to_scan(update):
    assert told(scan_quickly, update) == told(scan, update)
