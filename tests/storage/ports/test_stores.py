"""How stores are made and opened, whatever their kind."""

import pytest

from crdt_sync.errors import StoreExists, StoreInUse, StoreMissing
from crdt_sync.storage import Batch


def test_a_store_is_there_once_it_was_made(stores, tmp_path):
    path = tmp_path / "store"
    assert not stores.exists(path)
    with pytest.raises(StoreMissing):
        stores.open(path)
    stores.open(path, create=True).close()
    assert stores.exists(path)
    with pytest.raises(StoreExists):
        stores.open(path, create=True)


def test_a_store_is_open_once_at_a_time(stores, tmp_path):
    first = stores.open(tmp_path / "store", create=True)
    with pytest.raises(StoreInUse):
        stores.open(tmp_path / "store")
    first.close()
    stores.open(tmp_path / "store").close()


def test_stores_of_two_paths_have_nothing_in_common(stores, tmp_path):
    one, other = stores.open(tmp_path / "one", create=True), stores.open(tmp_path / "other", create=True)
    one.commit([Batch(meta={"k": b"v"})])
    assert (one.meta("k"), other.meta("k")) == (b"v", None)
    one.close()
    other.close()
