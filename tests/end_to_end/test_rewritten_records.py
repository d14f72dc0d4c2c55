"""A record that was rewritten often: what is stored of it is more than a record may be, and it is served."""

import random

import pytest

from crdt_sync import sync
from crdt_sync.limits import KIB, UPDATE_BYTES_MAX
from crdt_sync.runtime.hosting import tails

REWRITES = 6


def note(number: int) -> str:
    words = random.Random(number)
    return " ".join(f"{words.getrandbits(32):08x}" for _ in range(52_000))


@pytest.mark.parametrize("counted_bytes", [tails._COUNTED_BYTES, 1 << 30], ids=["with snapshots", "without"])
def test_who_comes_later_gets_it_whole(pair, monkeypatch, counted_bytes):
    monkeypatch.setattr(tails, "_COUNTED_BYTES", counted_bytes)
    ann, bob, relay, address = pair.ann, pair.bob, pair.relay, pair.address
    with ann.edit("customers") as customer:
        customer["name"] = "Müller"
    record = customer.record
    sync(ann, address)
    for number in range(REWRITES):
        with ann.edit(record) as customer:
            customer["notes"] = note(number)
        sync(ann, address)
    stored = sum(map(len, relay.relay.store.load(record).updates))
    assert (stored > UPDATE_BYTES_MAX) is (counted_bytes > UPDATE_BYTES_MAX)
    assert stored > 400 * KIB
    assert sync(bob, address).missing == 0
    assert bob.get(record)["notes"] == note(REWRITES - 1)
    assert ann.receipt().root == bob.receipt().root
    with bob.edit(record) as customer:
        customer["city"] = "Bonn"
    sync(bob, address)
    sync(ann, address)
    assert ann.get(record)["city"] == "Bonn"
