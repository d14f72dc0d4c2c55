"""The log of any store: sequence numbers, the feed, cursors and their lives."""

from crdt_sync.limits import BEHIND_SIZED_MAX
from crdt_sync.storage import Batch, FeedEntry
from tests.storage.committing import ANN, BOB, CID, put


def test_every_update_gets_the_next_sequence_number_across_batches(store, change):
    committed = store.commit(
        [Batch(changes=(change(ANN, b"1", b"2"), change(BOB, b"3"))), Batch(changes=(change(ANN, b"4"),))]
    )
    assert [done.seqs for done in committed] == [((1, 2), (3,)), ((4,),)]
    assert store.head() == 4
    assert store.count() == 2


def test_the_feed_holds_only_the_newest_entry_of_each_record(store, change):
    put(store, change(ANN, b"1"), change(BOB, b"2"), change(CID, b"3"))
    put(store, change(ANN, b"4", b"5", state_vector=b"newest"))
    entries = store.feed(0, 10)
    assert [(entry.seq, entry.record) for entry in entries] == [(2, BOB), (3, CID), (5, ANN)]
    assert entries[-1] == FeedEntry(5, ANN, b"newest")
    assert [entry.seq for entry in store.feed(2, 1)] == [3]
    assert store.feed(5, 10) == store.feed(99, 10) == store.feed(0, 0) == []


def test_what_lies_behind_a_place_in_the_feed_is_counted_with_its_bytes(store, change):
    put(store, change(ANN, b"1" * 10), change(BOB, b"2" * 20))
    put(store, change(ANN, b"3" * 30, b"4" * 40), change(CID, b"5" * 50, snapshot=b"s" * 7))
    assert [store.behind(after) for after in range(6)] == [(3, 107), (3, 97), (2, 77), (2, 47), (1, 7), (0, 0)]
    put(store, change(ANN, b"6" * 60, snapshot=b"s" * 9), change(ANN, b"7" * 5))
    assert [store.behind(after) for after in (0, 5, 6, 7, 99)] == [(3, 41), (1, 14), (1, 5), (0, 0), (0, 0)]


def test_much_that_lies_behind_is_reckoned_from_its_first_records(store, change):
    many = [
        change(f"customers/k{number:05}", b"u" * (10 if number < BEHIND_SIZED_MAX else 12)) for number in range(5000)
    ]
    put(store, *many)
    assert store.behind(0) == (5000, 50_000)
    assert store.behind(4000) == (1000, 12_000)
    put(store, *many[:500])
    assert store.behind(4999) == (501, 5026)  # of 64 records one has 12 bytes: 642 * 501 / 64
    assert store.behind(100) == (5000, 60_000)  # more than are counted: a bound


def test_of_large_records_few_are_looked_at_to_reckon_what_lies_behind(store, change, monkeypatch):
    monkeypatch.setattr("crdt_sync.storage.behind.BEHIND_BYTES_MAX", 100)
    put(store, change(ANN, b"1" * 60), change(BOB, b"2" * 80), change(CID, b"3" * 999))
    assert store.behind(0) == (3, 210)  # of the first two


def test_the_log_is_read_without_gaps_and_within_limits(store, change):
    put(store, *(change(ANN, bytes([number]) * 10) for number in range(5)))
    assert [entry.seq for entry in store.log(0, 10, 1000)] == [1, 2, 3, 4, 5]
    assert [entry.seq for entry in store.log(1, 2, 1000)] == [2, 3]
    assert [entry.seq for entry in store.log(0, 10, 20)] == [1, 2]
    assert [entry.seq for entry in store.log(0, 10, 19)] == [1]
    assert [entry.seq for entry in store.log(0, 10, 1)] == [1]
    assert store.log(5, 10, 1000) == store.log(0, 0, 1000) == []
    entry = store.log(4, 1, 1000)[0]
    assert (entry.record, entry.update, entry.actor) == (ANN, b"\x04" * 10, "anna")
    assert (entry.origin, entry.received_at) == (b"o" * 16, 1_700_000_000_000_000)


def test_a_renewed_epoch_lasts(opened):
    before = opened.store.epoch
    after = opened.store.renew_epoch()
    assert before != after == opened.store.epoch == opened.reopen().epoch
