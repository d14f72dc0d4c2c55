"""Tails: snapshots are due when they should be, without reading the store for each push."""

from collections import Counter

from crdt_sync.limits import QUICK_ITEM_BYTES_MAX, TAIL_UPDATES_MAX
from crdt_sync.protocol.hub import StoredUpdates
from crdt_sync.runtime.hosting.tails import Tails


def stored(record: str, updates: int, snapshot: bytes | None = None) -> StoredUpdates:
    return StoredUpdates(record, (b"u",) * updates, (bytes(16),) * updates, b"\x00", snapshot)


class Store(Counter[str]):
    def __init__(self, **tails: int) -> None:
        super().__init__(tails)
        self.reads = 0

    def tail(self, record: str) -> int:
        self.reads += 1
        return self[record]


def test_a_snapshot_is_due_at_the_limit_and_not_before() -> None:
    tails = Tails(Store(below=TAIL_UPDATES_MAX - 1, at=TAIL_UPDATES_MAX).tail)
    assert not tails.snapshot_due("below")
    assert tails.snapshot_due("at")


def test_what_is_on_its_way_to_the_disk_counts() -> None:
    tails = Tails(Store().tail)
    assert not tails.snapshot_due("a")
    tails.grow([stored("a", TAIL_UPDATES_MAX)])
    assert tails.snapshot_due("a")


def test_a_large_update_counts_as_several() -> None:
    tails = Tails(Store().tail)
    assert not tails.snapshot_due("a")
    large = StoredUpdates("a", (bytes(500_000),), (bytes(16),), b"\x00", None)
    tails.grow([large])
    assert not tails.snapshot_due("a")
    tails.grow([large])
    assert tails.snapshot_due("a")


def test_a_snapshot_ends_the_tail() -> None:
    tails = Tails(Store(a=TAIL_UPDATES_MAX).tail)
    assert tails.snapshot_due("a")
    tails.grow([stored("a", 1, b"snapshot")])
    assert not tails.snapshot_due("a")


def test_a_large_record_is_not_written_anew_before_its_tail_is_an_eighth_of_it() -> None:
    tails = Tails(Store().tail)
    tails.grow([stored("a", 1, bytes(8_000))])
    tails.grow([stored("a", TAIL_UPDATES_MAX)])
    assert not tails.snapshot_due("a")
    tails.grow([StoredUpdates("a", (bytes(1_000 - TAIL_UPDATES_MAX - 1),), (bytes(16),), b"\x00", None)])
    assert not tails.snapshot_due("a")
    tails.grow([stored("a", 1)])
    assert tails.snapshot_due("a")


def test_a_tail_of_an_eighth_is_long_enough_only_at_the_limit() -> None:
    tails = Tails(Store().tail)
    tails.grow([stored("a", 1, b"a small snapshot")])
    tails.grow([stored("a", TAIL_UPDATES_MAX - 1)])
    assert not tails.snapshot_due("a")
    tails.grow([stored("a", 1)])
    assert tails.snapshot_due("a")


def test_a_tail_of_eight_times_the_limit_is_the_longest() -> None:
    tails = Tails(Store().tail)
    tails.grow([stored("a", 1, bytes(1_000_000))])
    tails.grow([stored("a", 8 * TAIL_UPDATES_MAX - 1)])
    assert not tails.snapshot_due("a")
    tails.grow([stored("a", 1)])
    assert tails.snapshot_due("a")


def test_what_is_done_quickly_is_not_slow_for_its_tail() -> None:
    snapshot = QUICK_ITEM_BYTES_MAX - 2 * TAIL_UPDATES_MAX  # in which its tail is as long as a small record's
    tails = Tails(Store().tail)
    tails.grow([stored("a", 1, bytes(snapshot))])
    tails.grow([stored("a", TAIL_UPDATES_MAX)])
    assert tails.snapshot_due("a")


def test_a_record_is_read_once() -> None:
    store = Store()
    tails = Tails(store.tail)
    for _ in range(5):
        tails.snapshot_due("a")
        tails.grow([stored("a", 1)])
    assert store.reads == 1


def test_after_a_failed_commit_the_store_is_asked_again() -> None:
    store = Store()
    tails = Tails(store.tail)
    tails.snapshot_due("a")
    tails.grow([stored("a", TAIL_UPDATES_MAX)])
    tails.forget()
    assert not tails.snapshot_due("a")
    assert store.reads == 2
