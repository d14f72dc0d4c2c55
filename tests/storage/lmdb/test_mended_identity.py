"""A store without a whole replica id is mended, however large it is and however full its map."""

import random

import lmdb
import pytest

from crdt_sync import limits
from crdt_sync.storage import Batch, LmdbStore
from crdt_sync.storage.lmdb.mended_identity import mend_identity
from crdt_sync.storage.values import Change
from tests.damage import flip_bit

_RECORDS = 400  # of 30 kB: more than the 10 MiB that LMDB takes for a map unless told otherwise


@pytest.fixture
def damaged(tmp_path):
    """A compact copy of a store of 12 MB, which has no free pages, with a damaged replica id."""
    rng = random.Random(1)
    with LmdbStore.open(tmp_path / "store", create=True) as store:
        for start in range(0, _RECORDS, 20):
            changes = [
                Change(f"customers/{number}", (rng.randbytes(30_000),), bytes(16), "", 1, b"\0", None)
                for number in range(start, start + 20)
            ]
            store.commit([Batch(changes=tuple(changes))])
        replica = store.replica
    flip_bit(tmp_path / "store", b"store", b"replica")
    (tmp_path / "copy").mkdir()
    with lmdb.open(str(tmp_path / "store"), max_dbs=32) as environment:
        environment.copy(str(tmp_path / "copy"), compact=True)
    return tmp_path / "copy", replica


@pytest.mark.parametrize("map_bytes", [limits.MAP_BYTES_FIRST, 1 << 20])
def test_a_full_store_over_ten_mebibytes_gets_a_new_replica_id(damaged, map_bytes):
    path, replica = damaged
    assert mend_identity(path, lambda: 1, map_bytes=map_bytes) == ("replica",)
    with LmdbStore.open(path) as store:
        assert store.replica != replica
        assert store.count() == _RECORDS
        assert store.load("customers/399").head is not None
