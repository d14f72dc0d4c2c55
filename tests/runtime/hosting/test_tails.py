"""Tails: snapshots are due when they should be, without reading the store for each push."""

from collections import Counter

from crdt_sync.limits import TAIL_SNAPSHOT_BYTES, TAIL_UPDATES_MAX
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


def test_after_a_large_snapshot_the_next_is_due_later_in_proportion() -> None:
    tails = Tails(Store(a=TAIL_UPDATES_MAX).tail)
    assert tails.snapshot_due("a")
    tails.grow([stored("a", 1, bytes(100 * TAIL_SNAPSHOT_BYTES))])
    tails.grow([stored("a", TAIL_UPDATES_MAX + 99)])
    assert not tails.snapshot_due("a")
    tails.grow([stored("a", 1)])
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
