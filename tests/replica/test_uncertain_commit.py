"""A commit that fails may nevertheless be found whole; what it holds must reach the partners all the same."""

import random

import pytest

from crdt_sync import Replica, bundled_schema
from crdt_sync.errors import StoreFailed
from crdt_sync.replica import Event
from crdt_sync.storage.memory import MemoryStore
from crdt_sync.storage.port import Batch, Committed


class DoubtfulStore(MemoryStore):
    doubtful = False

    def commit(self, batches: list[Batch]) -> list[Committed]:  # type: ignore[override]
        committed = super().commit(batches)
        if self.doubtful:
            raise StoreFailed("the disk failed after all was written")
        return committed


def test_sessions_hear_of_an_edit_whose_commit_failed_and_is_found_whole() -> None:
    store = DoubtfulStore(rng=random.Random(1))
    store.commit([Batch(meta={"name": b"anna"})])
    replica = Replica.over(store, lambda: 1_700_000_000_000_000, random.Random(1))
    replica.add_schema(bundled_schema("customers"))
    heard: list[Event] = []
    replica.subscribe(heard.extend)
    store.doubtful = True
    with pytest.raises(StoreFailed), replica.edit("customers") as customer:
        customer["name"] = "Ann"
    (record,) = store.records("", 10)
    assert heard == [Event("edited", record)]
