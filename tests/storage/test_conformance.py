"""What every store does: one suite over the store in memory and the store on disk."""

import hashlib

import pytest

from crdt_sync.errors import ForeignSpace, InvalidRecordId, LogCompacted, StoreClosed, UnknownRecord
from crdt_sync.ids import Space, own_space
from crdt_sync.limits import BEHIND_SIZED_MAX
from crdt_sync.storage import Batch, ChangedDigests, FeedEntry, Head, LmdbStore, OutboxEntry, Peer, Root

ANN, BOB, CID = "customers/ann", "customers/bob", "customers/cid"
PARTNER, OTHER = b"p" * 16, b"q" * 16


def put(store, *changes, **rest):
    return store.commit([Batch(changes=changes, **rest)])[0].seqs


def leaf(record, digest):
    return int.from_bytes(hashlib.blake2b(record.encode() + b"\0" + digest, digest_size=32).digest(), "big")


def test_a_new_store_is_empty(store):
    assert (store.head(), store.count(), store.root()) == (0, 0, Root(0, 0, 0))
    assert store.record_head(ANN) is None
    assert store.load(ANN).head is None
    assert store.load(ANN).updates == ()
    assert (store.feed(0, 10), store.log(0, 10, 1000), store.records("", 10)) == ([], [], [])
    assert (len(store.replica), len(store.epoch)) == (16, 16)


def test_every_update_gets_the_next_sequence_number_across_batches(store, change):
    committed = store.commit(
        [Batch(changes=(change(ANN, b"1", b"2"), change(BOB, b"3"))), Batch(changes=(change(ANN, b"4"),))]
    )
    assert [done.seqs for done in committed] == [((1, 2), (3,)), ((4,),)]
    assert store.head() == 4
    assert store.count() == 2


def test_a_record_loads_its_updates_in_order(store, change):
    put(store, change(ANN, b"1"), change(BOB, b"x"), change(ANN, b"22", state_vector=b"sv"))
    stored = store.load(ANN)
    assert stored.updates == (b"1", b"22")
    assert stored.head == Head(seq=3, state_vector=b"sv", snapshot_seq=0, tail=2, tail_bytes=3)
    assert store.record_head(ANN) == stored.head


@pytest.mark.parametrize("snapshot", [b"whole", b"2", b""])
def test_a_snapshot_covers_its_change_and_empties_the_tail(store, change, snapshot):
    put(store, change(ANN, b"1"))
    put(store, change(ANN, b"1", b"2", snapshot=snapshot))
    assert store.load(ANN).updates == (snapshot,)
    assert store.record_head(ANN) == Head(3, b"\x01\x07\x05", 3, 0, 0)
    put(store, change(ANN, b"tail"))
    assert store.load(ANN).updates == (snapshot, b"tail")
    assert store.record_head(ANN) == Head(4, b"\x01\x07\x05", 3, 1, 4)
    put(store, change(ANN, b"more", snapshot=b"anew"))
    assert store.load(ANN).updates == (b"anew",)


def test_snapshots_follow_each_other_in_and_out_of_the_log_within_one_commit(store, change):
    put(store, change(ANN, b"u1", snapshot=b"u1"), change(ANN, b"u2", snapshot=b"whole"), change(ANN, b"u3"))
    assert store.load(ANN).updates == (b"whole", b"u3")
    put(store, change(ANN, b"u4", snapshot=b"whole2"), change(ANN, b"u5", snapshot=b"u5"))
    assert store.load(ANN).updates == (b"u5",)


def test_a_snapshot_without_updates_changes_neither_feed_nor_digest(store, change):
    put(store, change(ANN, b"1", digest=b"d" * 16), change(BOB, b"2"))
    assert put(store, change(ANN, snapshot=b"whole", state_vector=b"sv")) == ((),)
    assert store.load(ANN).updates == (b"whole",)
    assert store.record_head(ANN) == Head(1, b"sv", 1, 0, 0)
    assert store.digest(ANN) == b"d" * 16
    assert [entry.seq for entry in store.feed(0, 10)] == [1, 2]
    assert store.head() == 2


def test_a_change_without_updates_of_an_unknown_record_is_refused_and_nothing_is_stored(store, change):
    with pytest.raises(UnknownRecord):
        put(store, change(ANN, b"1"), change(BOB, snapshot=b"whole"), meta={"k": b"v"})
    assert (store.head(), store.count(), store.meta("k")) == (0, 0, None)


@pytest.mark.parametrize("record", ["", "x" * 129, "customers/\0", "customers/ü"])
def test_a_record_id_that_cannot_be_a_key_is_refused_and_nothing_is_stored(store, change, record):
    with pytest.raises(InvalidRecordId):
        put(store, change(ANN, b"1"), change(record, b"2"))
    assert store.head() == 0
    assert store.record_head(record) is None
    assert store.view(record) is None


def test_a_record_id_may_have_128_characters(store, change):
    put(store, change("x" * 128, b"1"))
    assert store.load("x" * 128).updates == (b"1",)


@pytest.mark.parametrize("length", [15, 17])
def test_ids_and_digests_have_sixteen_bytes(store, change, length):
    wrong = b"w" * length
    with pytest.raises(ValueError, match="16 bytes"):
        put(store, change(ANN, b"1", digest=wrong))
    with pytest.raises(ValueError, match="16 bytes"):
        put(store, change(ANN, b"1"), digests={ANN: wrong})
    with pytest.raises(ValueError, match="16 bytes"):
        put(store, peers=(Peer(wrong, b"e" * 16, 0, 0),))
    with pytest.raises(ValueError, match="16 bytes"):
        put(store, outbox=((wrong, OutboxEntry(ANN, b"", 1)),))
    assert store.head() == 0


def test_the_feed_holds_only_the_newest_entry_of_each_record(store, change):
    put(store, change(ANN, b"1"), change(BOB, b"2"), change(CID, b"3"))
    put(store, change(ANN, b"4", b"5", state_vector=b"newest"))
    entries = store.feed(0, 10)
    assert [(entry.seq, entry.record) for entry in entries] == [(2, BOB), (3, CID), (5, ANN)]
    assert entries[-1] == FeedEntry(5, ANN, b"newest")
    assert [entry.seq for entry in store.feed(2, 1)] == [3]
    assert store.feed(5, 10) == store.feed(99, 10) == store.feed(0, 0) == []


def test_digests_of_what_changed_are_of_one_moment_with_head_and_root(opened, change):
    put(opened.store, change(ANN, b"1", digest=b"a" * 16), change(BOB, b"2"), change(CID, b"3", digest=b"c" * 16))
    put(opened.store, change(ANN, b"4", digest=b"d" * 16))
    for from_disk in (False, True):
        store = opened.reopen() if from_disk else opened.store
        assert store.changed_digests(1, 3, ()) == ChangedDigests(
            4, store.root(), {BOB: None, CID: b"c" * 16, ANN: b"d" * 16}
        )
        assert store.changed_digests(3, 1, ()).digests == {ANN: b"d" * 16}
        assert store.changed_digests(3, 1, (CID, "customers/unknown")).digests == {ANN: b"d" * 16, CID: b"c" * 16}
        assert store.changed_digests(4, 9, ()) == ChangedDigests(4, store.root(), {})
        assert store.changed_digests(0, 2, ()) is None
    put(store, digests={BOB: b"b" * 16})
    assert store.changed_digests(1, 9, ()).digests[BOB] == b"b" * 16
    store.quarantine(CID)
    assert store.changed_digests(1, 9, ()).digests == {BOB: b"b" * 16, ANN: b"d" * 16}
    assert store.changed_digests(4, 9, ()).root == store.root()


def test_of_more_changes_than_are_remembered_the_disk_is_asked(opened, change, monkeypatch):
    monkeypatch.setattr("crdt_sync.storage.lmdb.recent.RECORDS_MAX", 2)
    for number, record in enumerate((ANN, BOB, CID, ANN, BOB), start=1):
        put(opened.store, change(record, b"u", digest=bytes([number]) * 16))
    for after, expected in ((0, {3, 4, 5}), (2, {3, 4, 5}), (3, {4, 5}), (4, {5}), (5, set())):
        assert {digest[0] for digest in opened.store.changed_digests(after, 9, ()).digests.values()} == expected


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


def test_history_lists_every_update_of_a_record(store, change):
    put(store, change(ANN, b"1"), change(BOB, b"2"), change(ANN, b"3", snapshot=b"whole"), change(ANN, b"4"))
    assert [(entry.seq, entry.update) for entry in store.history(ANN)] == [(1, b"1"), (3, b"3"), (4, b"4")]
    assert [entry.previous for entry in store.history(ANN)] == [0, 1, 3]
    assert store.history("customers/nobody") == []


def test_records_views_and_digests_come_in_sorted_pages(store, change):
    names = [f"{collection}/{key}" for collection in ("orders", "customers") for key in "cab"]
    put(store, *(change(name, b"1", view=name.encode(), digest=b"d" * 16) for name in names))
    assert store.records("", 10) == sorted(names)
    assert store.records("customers/b", 2) == ["customers/c", "orders/a"]
    assert store.records("", 10, "orders/") == ["orders/a", "orders/b", "orders/c"]
    assert store.records("orders/a", 1, "orders/") == ["orders/b"]
    assert store.records("zzz", 10, "orders/") == store.records("", 10, "nothing") == store.records("", 0) == []
    assert store.records("x" * 600, 10) == []
    assert store.views("customers/a", 2) == [("customers/b", b"customers/b"), ("customers/c", b"customers/c")]
    assert store.views("", 1, "orders/") == [("orders/a", b"orders/a")]
    assert store.digests("orders/a", 1) == [("orders/b", b"d" * 16)]


def test_a_view_stays_until_it_is_replaced(store, change):
    put(store, change(ANN, b"1", view=b"one"))
    put(store, change(ANN, b"2"))
    assert store.view(ANN) == b"one"
    put(store, views={ANN: b"two", BOB: b"unknown"})
    assert (store.view(ANN), store.view(BOB)) == (b"two", None)
    assert store.views("", 10) == [(ANN, b"two")]


def test_an_update_without_a_digest_makes_the_digest_stale(store, change):
    put(store, change(ANN, b"1", digest=b"a" * 16), change(BOB, b"2"))
    assert store.root() == Root(1, leaf(ANN, b"a" * 16), 1)
    assert store.stale(10) == [BOB]
    put(store, change(ANN, b"3"), digests={BOB: b"b" * 16})
    assert store.root() == Root(1, leaf(BOB, b"b" * 16), 1)
    assert (store.stale(10), store.digest(ANN), store.digest(BOB)) == ([ANN], None, b"b" * 16)
    put(store, digests={ANN: b"c" * 16, "customers/nobody": b"d" * 16})
    assert store.root() == Root(2, (leaf(ANN, b"c" * 16) + leaf(BOB, b"b" * 16)) % 2**256, 0)
    put(store, digests={ANN: None})
    assert store.digests("", 10) == [(ANN, None), (BOB, b"b" * 16)]
    assert store.stale(0) == []


def test_partners_are_remembered(store):
    here, there = Peer(PARTNER, b"e" * 16, 7, 123, "wss://relay"), Peer(OTHER, b"f" * 16, 0, 0)
    put(store, peers=(there, here))
    assert (store.peer(PARTNER), store.peer(b"x" * 16)) == (here, None)
    assert store.peers() == [here, there]


def test_an_outbox_entry_leaves_only_with_the_edit_that_was_acknowledged(store):
    put(store, outbox=((PARTNER, OutboxEntry(ANN, b"sv", 1)), (OTHER, OutboxEntry(BOB, b"", 1))))
    put(store, outbox=((PARTNER, OutboxEntry(ANN, b"sv", 2)),))
    put(store, outbox_done=((PARTNER, ANN, 1), (PARTNER, CID, 1)))
    assert store.outbox_entry(PARTNER, ANN) == OutboxEntry(ANN, b"sv", 2)
    put(store, outbox_done=((PARTNER, ANN, 2),))
    assert store.outbox_entry(PARTNER, ANN) is None
    assert (store.outbox_count(PARTNER), store.outbox_count(OTHER)) == ((0, 0), (1, 0))


def test_an_outbox_counts_what_waits_and_what_was_refused(store):
    put(store, outbox=tuple((PARTNER, OutboxEntry(record, b"", 1)) for record in (CID, ANN, BOB)))
    put(store, outbox=((PARTNER, OutboxEntry(BOB, b"", 1, "too_large", "more than 2 MiB")),))
    assert store.outbox_count(PARTNER) == (3, 1)
    assert [entry.record for entry in store.outbox(PARTNER, ANN, 10)] == [BOB, CID]
    assert store.outbox(PARTNER, "", 2)[1] == OutboxEntry(BOB, b"", 1, "too_large", "more than 2 MiB")
    put(store, outbox_done=((PARTNER, BOB, 1),))
    assert store.outbox_count(PARTNER) == (2, 0)
    put(store, forget_outbox=(PARTNER,), outbox=((PARTNER, OutboxEntry(CID, b"", 9)),))
    assert store.outbox(PARTNER, "", 10) == [OutboxEntry(CID, b"", 9)]
    assert store.outbox_count(PARTNER) == (1, 0)


def test_metadata_is_kept_and_removed(store):
    put(store, meta={"schema": b"1", "other": b""})
    assert (store.meta("schema"), store.meta("other"), store.meta("none")) == (b"1", b"", None)
    put(store, meta={"schema": None})
    assert store.meta("schema") is None
    with pytest.raises(ValueError, match="511"):
        put(store, meta={"x" * 512: b""})


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


def test_everything_is_there_after_a_restart(opened, change):
    store = opened.store
    put(
        store, change(ANN, b"1", view=b"v", digest=b"d" * 16), meta={"k": b"v"}, peers=(Peer(PARTNER, b"e" * 16, 3, 4),)
    )
    before = (store.head(), store.root(), store.load(ANN), store.replica, store.epoch)
    store = opened.reopen()
    assert (store.head(), store.root(), store.load(ANN), store.replica, store.epoch) == before
    assert (store.view(ANN), store.meta("k"), store.peer(PARTNER).cursor) == (b"v", b"v", 3)
    assert put(store, change(ANN, b"2")) == ((2,),)


def test_a_renewed_epoch_lasts(opened):
    before = opened.store.epoch
    after = opened.store.renew_epoch()
    assert before != after == opened.store.epoch == opened.reopen().epoch


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


def test_a_closed_store_refuses(opened, change):
    opened.store.close()
    opened.store.close()
    for call in (opened.store.head, opened.store.count, opened.store.root, opened.store.quarantined):
        with pytest.raises(StoreClosed):
            call()
    with pytest.raises(StoreClosed):
        put(opened.store, change(ANN, b"1"))


def test_the_kept_index_is_replaced_whole_and_outlives_a_restart(opened, change):
    store = opened.store
    put(store, change(ANN, b"1", digest=b"a" * 16))
    assert store.kept_index() == []
    before = store.head(), store.root()
    store.keep_index([b"first" * 900, b"", b"third"])
    assert (store.head(), store.root()) == before
    store = opened.reopen()
    assert store.kept_index() == [b"first" * 900, b"", b"third"]
    assert store.verify().findings == ()
    store.keep_index([b"other"])
    assert store.kept_index() == [b"other"]
    put(store, change(ANN, b"2"))
    assert store.kept_index() == [b"other"], "how far it is behind is the caller's affair"
    store.keep_index([])
    assert store.kept_index() == []


@pytest.mark.parametrize("derive", [lambda store: store.rebuild(), lambda store: store.quarantine(ANN)])
def test_the_kept_index_goes_when_all_else_is_derived_anew(store, change, derive):
    put(store, change(ANN, b"1"))
    store.keep_index([b"page"])
    derive(store)
    assert store.kept_index() == []


# --- the space -----------------------------------------------------------------------------------------------


def test_a_store_has_a_space_of_its_own_until_it_joins_one_and_keeps_that(opened):
    own = opened.store.space
    assert own == own_space(opened.store.replica)
    assert not own.joined
    opened.store.join(PARTNER)
    opened.store.join(PARTNER)
    assert opened.store.space == Space(PARTNER, joined=True) == opened.reopen().space


def test_a_store_leaves_its_space_only_on_purpose(opened):
    opened.store.join(PARTNER)
    with pytest.raises(ForeignSpace):
        opened.store.join(OTHER)
    assert opened.reopen().space == Space(PARTNER, joined=True)
    opened.store.join(OTHER, leave=True)
    assert opened.reopen().space == Space(OTHER, joined=True)


def test_a_copy_of_a_store_is_of_its_space(opened, tmp_path):
    opened.store.join(PARTNER)
    if isinstance(opened.store, LmdbStore):
        opened.store.copy(tmp_path / "copy")
        with LmdbStore.open(tmp_path / "copy", map_bytes=1 << 26) as twin:
            assert twin.space == Space(PARTNER, joined=True)


def test_a_renewed_record_is_of_its_lineage_and_loads_nothing_of_the_one_before(opened, change):
    store = opened.store
    put(store, change(ANN, b"1", snapshot=b"1"), change(ANN, b"2"), change(BOB, b"x"))
    assert store.record_head(ANN).lineage == 0
    fresh = change(ANN, b"whole", snapshot=b"whole")._replace(renewed=True, lineage=77)
    put(store, fresh, digests={ANN: b"d" * 16})
    put(store, change(ANN, b"3"))
    for reopened in (False, True):
        each = opened.reopen() if reopened else store
        assert each.load(ANN).updates == (b"whole", b"3")
        assert each.record_head(ANN) == Head(5, b"\x01\x07\x05", 4, 1, 1, lineage=77)
        assert each.record_head(BOB).lineage == 0
        assert [entry.update for entry in each.history(ANN)] == [b"whole", b"3"]
        assert each.verify().findings == ()
    store = opened.store
    store.compact()
    assert [entry.seq for entry in store.log(2, 9, 999)] == [3, 4, 5]
    assert store.load(ANN).updates == (b"whole", b"3")
    put(store, change(ANN, b"again", snapshot=b"again")._replace(renewed=True, lineage=78))
    assert store.record_head(ANN).lineage == 78
    store.rebuild()
    assert store.record_head(ANN).lineage == 78


def test_updates_of_two_lineages_are_never_loaded_together(store, change):
    put(store, change(ANN, b"1"), change(BOB, b"2")._replace(lineage=5))
    for wrong in (
        change(ANN, b"3")._replace(lineage=77),
        change(ANN, b"3", snapshot=b"3")._replace(lineage=77),
        change(ANN, b"3")._replace(lineage=77, renewed=True),
        change(BOB, b"3")._replace(lineage=0),
    ):
        with pytest.raises(ValueError, match="another lineage"):
            put(store, change(CID, b"x"), wrong)
        assert store.head() == 2
    put(store, change(BOB, b"3")._replace(lineage=5), change(BOB, b"4"))
    assert store.record_head(BOB).lineage == 5
    store.quarantine(BOB)
    put(store, change(BOB, b"5"))
    assert store.record_head(BOB).lineage == 0
