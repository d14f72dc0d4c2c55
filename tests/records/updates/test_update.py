import base64
import itertools
import json
import struct
from typing import Any

import pycrdt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycrdt import Array, Doc, Map, Text

from crdt_sync.errors import UpdateRefused
from crdt_sync.limits import NESTING_MAX, STAMP_MAX, UPDATE_BYTES_MAX
from crdt_sync.records import Document, scan, values_of
from crdt_sync.records.updates import state_vector
from crdt_sync.records.updates.delete_set import merge_ranges

SCRIPTS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 11), st.integers(0, 5)), max_size=30)
ENTRY = b"\x01\x01\x09\x00\x08\x01\x03c.a\x01"  # one writer, one item of one value, in the root c.a


def entry(value: bytes) -> bytes:
    return ENTRY + value + b"\x00"


def number(value: float) -> bytes:
    return b"\x7b" + struct.pack(">d", value)


def refusal_of(data):
    """The code of the refusal, empty when the update was read; anything else that is raised fails the test."""
    try:
        scan(data)
    except UpdateRefused as refusal:
        return refusal.reason
    return ""


@given(SCRIPTS)
def test_what_a_scan_says_of_a_record_is_what_yrs_says(office, script):
    for person in office.play(script):
        document = person.document
        found = scan(document.diff())
        ends = {writer: end for writer, (_, end) in found.clients.items()}
        assert state_vector.encode(ends) == document.state_vector()
        assert {writer: start for writer, (start, _) in found.clients.items()} == dict.fromkeys(ends, 0)
        assert {writer: merge_ranges(ranges) for writer, ranges in found.deletes.items()} == document.deletes()
        assert not found.skips
        timeline: Any = values_of(document).get("timeline", [])
        stamps = [entry["at"] for entry in timeline]
        assert found.stamps >= max(stamps, default=0)
        with document.transaction() as transaction:
            assert found.roots <= set(document.root_names(transaction))


@given(SCRIPTS)
def test_each_single_edit_starts_where_its_writer_stopped(office, script):
    for person in office.play(script):
        clock = 0
        for update in person.sent:
            for start, end in scan(update).clients.values():
                assert start == clock
                clock = end


@given(SCRIPTS, st.randoms(use_true_random=False))
@settings(max_examples=60)
def test_mutated_bytes_are_read_or_refused_and_never_read_beyond_what_yrs_would(office, script, random):
    update = bytearray(office.play(script)[0].document.diff())
    for _ in range(20):
        mutant = bytearray(update)
        for _ in range(random.randint(1, 3)):
            mutant[random.randrange(len(mutant))] = random.randrange(256)
        if random.random() < 0.3:
            del mutant[random.randrange(len(mutant)) :]
        assert refusal_of(bytes(mutant)) in ("", "malformed")


@given(st.binary(max_size=60))
@settings(max_examples=300)
def test_any_bytes_are_read_or_refused(data):
    assert refusal_of(data) in ("", "malformed")


@given(SCRIPTS)
def test_every_truncation_of_an_update_is_refused(office, script):
    update = office.play(script)[0].document.diff()
    for length in range(min(len(update), 200)):
        with pytest.raises(UpdateRefused):
            scan(update[:length])
    with pytest.raises(UpdateRefused, match="trailing"):
        scan(update + b"\x00")


def test_the_highest_stamp_of_several_entries_is_found():
    first, second = entry(b"\x75\x03\x7e" + number(70_000) + b"\x77\x01a"), entry(b"\x75\x03\x7e\x7d\x05\x77\x01a")
    assert scan(first).stamps == 70_000
    assert scan(second).stamps == 5
    both = ENTRY[:-1] + b"\x02" + first[len(ENTRY) : -1] + second[len(ENTRY) : -1] + b"\x00"
    assert scan(both).stamps == 70_000
    assert scan(both).clients == {9: (0, 2)}


@pytest.mark.parametrize("stamp", [float("nan"), float("inf"), float(STAMP_MAX + 1), 1e300])
def test_a_stamp_that_is_no_time_is_refused(stamp):
    with pytest.raises(UpdateRefused, match="stamp"):
        scan(entry(b"\x75\x03\x7e" + number(stamp) + b"\x77\x01a"))


def test_the_latest_possible_stamp_is_read():
    assert scan(entry(b"\x75\x03\x7e" + number(STAMP_MAX) + b"\x77\x01a")).stamps == STAMP_MAX


def test_nesting_is_limited_on_both_sides():
    def nested(depth):
        return entry(b"\x75\x01" * depth + b"\x7e")

    scan(nested(NESTING_MAX))
    with pytest.raises(UpdateRefused, match="nested"):
        scan(nested(NESTING_MAX + 1))


def test_the_size_is_limited_on_both_sides():
    for extra, reason in ((0, "malformed"), (1, "too_large")):
        with pytest.raises(UpdateRefused) as caught:
            scan(b"\xff" * (UPDATE_BYTES_MAX + extra))
        assert caught.value.reason == reason


@pytest.mark.parametrize(
    "make",
    [lambda: Map({"b": 1}), lambda: Array([1]), lambda: Text("b"), Doc],
    ids=["map", "array", "text", "document"],
)
def test_nested_types_and_documents_are_refused(make):
    doc = Doc()
    doc.get("m", type=Map)["a"] = make()
    with pytest.raises(UpdateRefused, match="kind"):
        scan(doc.get_update())


def test_formats_and_embeds_are_refused():
    doc = Doc()
    doc.get("t", type=Text).insert(0, "bold", {"bold": True})
    with pytest.raises(UpdateRefused, match="kind"):
        scan(doc.get_update())
    doc = Doc()
    doc.get("t", type=Text).insert_embed(0, {"image": 1})
    with pytest.raises(UpdateRefused, match="kind"):
        scan(doc.get_update())


def test_an_update_with_a_gap_inside_says_so():
    doc, parts = Doc(client_id=7), []
    for number_ in range(3):
        before = doc.get_state()
        doc.get("c.a", type=Array).append(number_)
        parts.append(doc.get_update(before))
    assert scan(pycrdt.merge_updates(parts[0], parts[2])).skips
    assert not scan(pycrdt.merge_updates(*parts)).skips


def test_deleted_runs_are_counted_as_compact():
    document = Document(7)
    with document.transaction() as transaction:
        document.text(transaction, "t.a").insert(transaction, 0, "x" * 1000)
    assert scan(document.diff()).compact == 0
    with document.transaction() as transaction:
        document.text(transaction, "t.a").remove_range(transaction, 0, 1000)
    assert scan(document.diff()).compact == 1000


def test_updates_of_yjs_itself_are_read_or_refused(shared_data):
    vectors = json.loads((shared_data / "vectors" / "yjs_compat_vectors.json").read_text())
    read = 0
    for case in vectors["docs"]:
        update = base64.b64decode(case["update_v1_base64"])
        if refusal_of(update):
            continue
        found = scan(update)
        doc = Doc()
        doc.apply_update(update)
        assert state_vector.encode(
            {writer: end for writer, (_, end) in found.clients.items()}
        ) == state_vector.normalise(doc.get_state())
        read += 1
    assert vectors["docs"]
    assert read < len(vectors["docs"])


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 6)), max_size=12))
def test_merged_ranges_are_sorted_apart_and_cover_the_same(ranges):
    merged = merge_ranges(ranges)
    assert {at for clock, length in merged for at in range(clock, clock + length)} == {
        at for clock, length in ranges for at in range(clock, clock + length)
    }
    assert all(one[0] + one[1] < other[0] for one, other in itertools.pairwise(merged))


def test_collected_runs_and_deletions_that_the_delete_set_leaves_out_are_refused():
    with pytest.raises(UpdateRefused, match="kind 0"):
        scan(b"\x01\x01\x09\x00\x00\x05\x01\x09\x01\x00\x05")
    deleted = b"\x01\x01\x09\x00\x01\x01\x03c.a\x05"
    assert scan(deleted + b"\x01\x09\x01\x00\x05").clients == {9: (0, 5)}
    for deletes in (b"\x00", b"\x01\x09\x01\x00\x04", b"\x01\x08\x01\x00\x05"):
        with pytest.raises(UpdateRefused, match="delete set"):
            scan(deleted + deletes)


def test_an_ordinary_update_names_its_writer_and_what_it_deletes(one_entry_update):
    found = scan(one_entry_update)
    assert found.clients == {(1 << 52) + 5: (1, 2)}
    assert found.deletes == {(1 << 52) + 5: [(0, 1)]}
    assert found.roots == frozenset()
