"""Whatever part of the unsynced writes survives a power cut, the store opens and holds what it acknowledged."""

import random

import pytest

from crdt_bench.campaign import power_cuts
from crdt_bench.campaign.power_images import cut
from crdt_bench.campaign.power_recording import Event, Resize, Said, Sync, Write, missing

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing() or "strace is there")


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_every_image_holds_what_was_acknowledged(seed):
    tally = power_cuts.run(seed, 100)
    assert tally.findings == []
    assert tally.ran == 100
    assert tally.outcomes["with the commit under way"] > 0


def test_every_image_of_an_encrypted_store_holds_what_was_acknowledged():
    tally = power_cuts.run(4, 60, steps=30, encrypted=True)
    assert tally.findings == []
    assert tally.outcomes["as acknowledged"] > 0


def test_a_store_that_does_not_sync_is_noticed():
    assert power_cuts.run(1, 20, sync=False, steps=20).findings


def test_what_was_synced_always_survives_and_what_was_not_may():
    synced: list[Event] = [Write(0, b"a" * 1024, False), Sync(), Said("stored")]
    events = [*synced, Write(0, b"b" * 1024, False), Said("stored")]
    contents = {cut(events, 4, random.Random(seed)).content for seed in range(60)}
    sectors = {(content[:512], content[512:]) for content in contents}
    assert sectors == {(first * 512, second * 512) for first in (b"a", b"b") for second in (b"a", b"b")}
    assert {cut(events, 3, random.Random(seed)).said for seed in range(9)} == {("stored",)}


def test_a_length_that_was_not_synced_may_be_lost():
    events: list[Event] = [Write(0, b"a" * 512, True), Resize(4096), Said("stored")]
    assert {len(cut(events, 2, random.Random(seed)).content) for seed in range(40)} == {512, 4096}


@pytest.mark.parametrize("seed", [0, 5])  # where the first pages were torn while the store was made
def test_a_creation_torn_in_its_first_pages_can_be_repeated(seed):
    assert power_cuts.run(seed, 180, steps=2).findings == []
