"""A commit to any store is all or nothing, and lasts."""

import pytest

from crdt_sync.errors import InvalidRecordId, StoreClosed, UnknownRecord
from crdt_sync.storage import OutboxEntry, Peer, Root
from tests.storage.committing import ANN, BOB, PARTNER, put


def test_a_new_store_is_empty(store):
    assert (store.head(), store.count(), store.root()) == (0, 0, Root(0, 0, 0))
    assert store.record_head(ANN) is None
    assert store.load(ANN).head is None
    assert store.load(ANN).updates == ()
    assert (store.feed(0, 10), store.log(0, 10, 1000), store.records("", 10)) == ([], [], [])
    assert (len(store.replica), len(store.epoch)) == (16, 16)


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


def test_a_closed_store_refuses(opened, change):
    opened.store.close()
    opened.store.close()
    for call in (opened.store.head, opened.store.count, opened.store.root, opened.store.quarantined):
        with pytest.raises(StoreClosed):
            call()
    with pytest.raises(StoreClosed):
        put(opened.store, change(ANN, b"1"))
