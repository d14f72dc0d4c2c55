"""Delete sets: written as they are read, and what one holds beyond another."""

import pycrdt
from hypothesis import given
from hypothesis import strategies as st

from crdt_sync.records.updates.delete_set import encode_delete_set, merge_ranges, read_deletes, without
from crdt_sync.records.updates.update import scan

operations = st.dictionaries(st.integers(0, 2**53 - 1), st.sets(st.integers(0, 40), min_size=1), max_size=3)


def ranges(operations):
    return {writer: merge_ranges([(clock, 1) for clock in clocks]) for writer, clocks in operations.items()}


def single(deletes):
    return {
        (writer, place) for writer, found in deletes.items() for begin, n in found for place in range(begin, begin + n)
    }


@given(operations)
def test_what_is_written_is_read_again(some):
    assert read_deletes(b"\x00" + encode_delete_set(ranges(some))) == ranges(some)


@given(operations, operations)
def test_without_leaves_exactly_what_is_not_known(some, known):
    rest = without(ranges(some), ranges(known))
    assert single(rest) == single(ranges(some)) - single(ranges(known))
    assert all(found == merge_ranges(list(found)) and found for found in rest.values())


@given(operations, operations)
def test_nothing_is_left_of_what_is_known(some, more):
    both = {writer: some.get(writer, set()) | more.get(writer, set()) for writer in {*some, *more}}
    assert without(ranges(some), ranges(both)) == {}


def test_a_writer_whose_deletions_have_no_length_is_read_in_what_yrs_makes_of_it():
    updates = [bytes.fromhex(update) for update in ("00020701000002010102", "000107010000")]
    assert scan(pycrdt.merge_updates(*updates)).deletes == {7: [], 2: [(1, 2)]}
