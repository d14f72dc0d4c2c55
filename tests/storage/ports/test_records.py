"""The records of any store: what they load, in which lineage, and what is shown of them."""

import pytest

from crdt_sync.storage import Head
from tests.storage.committing import ANN, BOB, CID, put


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


def test_a_record_id_may_have_128_characters(store, change):
    put(store, change("x" * 128, b"1"))
    assert store.load("x" * 128).updates == (b"1",)


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


def test_history_lists_every_update_of_a_record(store, change):
    put(store, change(ANN, b"1"), change(BOB, b"2"), change(ANN, b"3", snapshot=b"whole"), change(ANN, b"4"))
    assert [(entry.seq, entry.update) for entry in store.history(ANN)] == [(1, b"1"), (3, b"3"), (4, b"4")]
    assert [entry.previous for entry in store.history(ANN)] == [0, 1, 3]
    assert store.history("customers/nobody") == []
