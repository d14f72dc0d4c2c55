"""What only the store in memory does."""

import pytest

from crdt_sync.errors import StoreError
from crdt_sync.storage import Batch, MemoryStore, OutboxEntry

ANN, PARTNER = "customers/ann", b"p" * 16


def test_a_clone_goes_its_own_way(change):
    store = MemoryStore()
    store.commit([Batch(changes=(change(ANN, b"1"),), outbox=((PARTNER, OutboxEntry(ANN, b"", 1)),))])
    twin = store.clone()
    assert (twin.replica, twin.epoch) == (store.replica, store.epoch)
    store.commit([Batch(changes=(change(ANN, b"2"),), outbox_done=((PARTNER, ANN, 1),))])
    twin.commit([Batch(changes=(change("customers/bob", b"3"),))])
    assert (store.load(ANN).updates, twin.load(ANN).updates) == ((b"1", b"2"), (b"1",))
    assert (store.records("", 9), twin.records("", 9)) == ([ANN], [ANN, "customers/bob"])
    assert (store.outbox_count(PARTNER), twin.outbox_count(PARTNER)) == ((0, 0), (1, 0))
    store.close()
    assert twin.head() == 2


def test_there_is_no_file_to_copy(tmp_path):
    with pytest.raises(StoreError, match="memory"):
        MemoryStore().copy(tmp_path / "copy")
