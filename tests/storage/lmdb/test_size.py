"""What a record takes on disk, as docs/storage.md says."""

import random

import pytest

from crdt_bench.contents import fill
from crdt_sync.storage import Batch, LmdbStore
from crdt_sync.storage.values import Change

_VECTOR = bytes([1, *[128] * 7, 1, 16])  # of one writer


@pytest.mark.parametrize(("record_bytes", "times"), [(1000, 1.65), (1500, 1.56), (3000, 1.47)])
def test_bytes_that_cannot_be_packed_take_little_more_than_they_are(tmp_path, record_bytes, times):
    rng = random.Random(1)
    with LmdbStore.open(tmp_path / "store", create=True) as store:
        changes = []
        for number in range(500):
            update = rng.randbytes(record_bytes)
            record = f"customers/{number:026}"
            changes.append(
                Change(record, (update,), bytes(16), "anna", 1, _VECTOR, snapshot=update, digest=rng.randbytes(16))
            )
        store.commit([Batch(changes=tuple(changes))])
        store.copy(tmp_path / "copy")
        used = store.size_bytes() / (500 * record_bytes)
    with LmdbStore.open(tmp_path / "copy") as copy:
        compact = copy.size_bytes() / (500 * record_bytes)
    assert compact == pytest.approx(times, rel=0.1)
    assert used <= 1.2 * compact


def test_customers_that_arrive_whole_take_less_than_their_bytes_and_their_views_half_as_much_again(tmp_path):
    used = {}
    for views in (False, True):
        with LmdbStore.open(tmp_path / f"store {views}", create=True) as store:
            size = fill(store, 500, 3, views=views)
            store.copy(tmp_path / f"copy {views}")
        with LmdbStore.open(tmp_path / f"copy {views}") as copy:
            used[views] = copy.size_bytes() / size
    assert used[False] == pytest.approx(0.8, rel=0.1)
    assert used[True] == pytest.approx(1.4, rel=0.1)
