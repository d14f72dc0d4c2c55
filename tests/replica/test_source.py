"""What an accepting session reads of a store."""

import random

import pytest

from crdt_sync.errors import UpdateRefused
from crdt_sync.replica import StoreSource
from crdt_sync.storage.memory import MemoryStore
from crdt_sync.storage.values import Batch, Change


@pytest.fixture
def source() -> StoreSource:
    store = MemoryStore(rng=random.Random(1))
    for number in range(3):
        change = Change(f"customers/{number}", (b"\x00\x00",), bytes(15) + b"x", "", 1, b"\x00", b"\x00\x00")
        store.commit([Batch(changes=(change,))])
    return StoreSource(store, lambda _: None)


def test_followers_read_no_further_than_the_host_has_answered(source) -> None:
    assert (source.head(), source.followed()) == (3, 3)
    source.followed_max = 2
    assert (source.head(), source.followed()) == (3, 2)
    log = source.log(0, 10, 1 << 20)
    assert log is not None
    assert [entry.seq for entry in log] == [1, 2]
    assert [change.seq for change in source.feed(0, 10)] == [1, 2, 3]


def test_a_record_whose_bytes_are_none_is_passed_over_and_told() -> None:
    store, told = MemoryStore(rng=random.Random(1)), []
    change = Change("customers/1", (b"\xff\xff\xff",), bytes(15) + b"x", "", 1, b"\x00", b"\xff\xff\xff")
    store.commit([Batch(changes=(change,))])
    source = StoreSource(store, told.append)
    assert source.diff("customers/1", b"\x01\x01\x01") is None
    assert [corrupt.record for corrupt in told] == ["customers/1"]


def test_a_state_vector_that_cannot_be_read_is_no_damage(source) -> None:
    with pytest.raises(UpdateRefused):
        source.diff("customers/1", b"\xff")
