"""Compaction, quarantine and copies of any store."""

import pytest

from crdt_sync.errors import LogCompacted
from crdt_sync.ids import Space
from crdt_sync.storage import Batch, LmdbStore, Root
from tests.storage.committing import ANN, BOB, PARTNER, put


def test_compaction_drops_what_a_snapshot_covers_and_no_feed_entry(store, change):
    put(store, change(ANN, b"1"), change(BOB, b"2"), change(ANN, b"3", snapshot=b"whole"), change(ANN, b"4"))
    feed = store.feed(0, 10)
    report = store.compact(before=2)
    assert (report.dropped, report.dropped_bytes, report.kept) == (1, 1, 3)
    report = store.compact()
    assert (report.dropped, report.kept) == (1, 2)
    assert store.load(ANN).updates == (b"whole", b"4")
    assert store.feed(0, 10) == feed
    assert [(entry.seq, entry.previous) for entry in store.history(ANN)] == [(4, 3)]
    with pytest.raises(LogCompacted, match="1"):
        store.log(0, 10, 100)
    assert [entry.seq for entry in store.log(1, 10, 100)] == [2]
    assert [entry.seq for entry in store.log(3, 10, 100)] == [4]
    assert store.verify().findings == ()


def test_compaction_keeps_a_log_entry_that_is_itself_the_snapshot(store, change):
    put(store, change(ANN, b"whole", snapshot=b"whole"))
    assert store.compact().dropped == 0
    assert store.load(ANN).updates == (b"whole",)
    put(store, change(ANN, b"2", snapshot=b"next"))
    assert store.compact().dropped == 2
    assert store.load(ANN).updates == (b"next",)
    assert put(store, change(ANN, b"3")) == ((3,),)


def test_what_was_kept_for_salvage_is_covered_like_the_rest_once_the_record_is_healed(opened, change):
    store = opened.store
    store.commit([Batch(changes=(change(ANN, b"old"),))])
    store.quarantine(ANN)
    assert store.compact().dropped == 0
    store.commit([Batch(changes=(change(ANN, b"whole", snapshot=b"whole"),))])
    report = store.compact()
    assert (report.dropped, report.dropped_bytes, report.kept) == (1, 3, 1)


def test_a_quarantined_record_is_unknown_until_a_change_heals_it(opened, change):
    store = opened.store
    put(store, change(ANN, b"1", digest=b"a" * 16, view=b"v"), change(BOB, b"2"), change(ANN, b"3", digest=b"a" * 16))
    store.quarantine(ANN)
    store = opened.reopen()
    assert store.quarantined() == [ANN]
    assert (store.record_head(ANN), store.view(ANN), store.digest(ANN), store.history(ANN)) == (None, None, None, [])
    assert (store.count(), store.root(), store.records("", 9)) == (1, Root(0, 0, 1), [BOB])
    assert [entry.record for entry in store.feed(0, 9)] == [BOB]
    assert [entry.update for entry in store.remains([ANN])[ANN].entries] == [b"1", b"3"]
    assert store.compact().dropped == 0
    put(store, change(ANN, b"whole", snapshot=b"whole", digest=b"n" * 16))
    assert store.quarantined() == []
    assert store.load(ANN).updates == (b"whole",)
    assert [entry.seq for entry in store.history(ANN)] == [4]
    assert (store.count(), store.root().count) == (2, 1)
    assert store.verify().findings == ()


def test_a_copy_of_a_store_is_of_its_space(opened, tmp_path):
    opened.store.join(PARTNER)
    if isinstance(opened.store, LmdbStore):
        opened.store.copy(tmp_path / "copy")
        with LmdbStore.open(tmp_path / "copy", map_bytes=1 << 26) as twin:
            assert twin.space == Space(PARTNER, joined=True)
