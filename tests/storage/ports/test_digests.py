"""The digests of any store, and the root over all of them."""

import pytest

from crdt_sync.storage import ChangedDigests, Root
from tests.storage.committing import ANN, BOB, CID, leaf, put


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
