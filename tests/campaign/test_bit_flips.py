"""A flipped bit of a stored value is never read as data."""

import pytest

from crdt_bench.campaign import bit_flips
from crdt_sync.storage.lmdb import aside
from crdt_sync.storage.lmdb.codec import Seal


@pytest.mark.parametrize("seed", [1, 2])
def test_every_flipped_bit_of_a_value_is_detected(seed):
    tally = bit_flips.run(seed, 1000)
    assert tally.findings == []
    assert tally.ran == 1000
    assert tally.outcomes["detected"] > 900


def test_a_flipped_bit_anywhere_in_the_file_is_never_wrong_data_that_verification_misses():
    tally = bit_flips.run_anywhere(1, 60)
    assert tally.findings == []
    assert tally.ran == 60


def test_a_store_that_does_not_check_its_seals_is_noticed(monkeypatch):
    monkeypatch.setattr(Seal, "open", lambda seal, key, value, record=None: value[16:])
    assert bit_flips.run(1, 60).findings


def test_a_second_look_after_a_repair_finds_nothing_and_no_other_record_is_touched():
    tally = bit_flips.run_repaired(1, 30)
    assert tally.findings == []
    assert set(tally.outcomes) == {"nothing damaged", "one record set aside"}


def test_a_repair_that_leaves_damaged_log_entries_where_they_are_is_noticed(monkeypatch):
    monkeypatch.setattr(aside._Aside, "move", lambda self, database, table, key: None)
    assert bit_flips.run_repaired(1, 30).findings


def test_bits_of_an_encrypted_store_are_no_worse():
    tally = bit_flips.run(3, 400, encrypted=True)
    assert tally.findings == []
    assert tally.outcomes["detected"] > 300
    assert bit_flips.run_repaired(2, 20, encrypted=True).findings == []
