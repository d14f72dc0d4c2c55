"""What a record takes on disk, as docs/storage.md says."""

import random

import pytest

from crdt_sync.storage import Batch, LmdbStore
from crdt_sync.storage.values import Change

_VECTOR = bytes([1, *[128] * 7, 1, 16])  # of one writer


@pytest.mark.parametrize(("record_bytes", "times"), [(1000, 1.65), (1500, 1.56), (3000, 1.47)])
def test_records_that_arrive_whole_take_little_more_than_their_bytes(tmp_path, record_bytes, times):
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
