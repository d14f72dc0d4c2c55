"""A commit that fails may nevertheless be found whole; what it holds must reach the partners all the same."""

import random
from collections.abc import Sequence

import pytest

from crdt_sync import Replica, bundled_schema
from crdt_sync.errors import StoreFailed
from crdt_sync.protocol.effects import Integrate, Welcomed
from crdt_sync.replica import Event
from crdt_sync.replica.partner import Partner
from crdt_sync.storage.memory import MemoryStore
from crdt_sync.storage.values import Batch, Committed


class DoubtfulStore(MemoryStore):
    doubtful = False

    def commit(self, batches: Sequence[Batch]) -> list[Committed]:
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


@pytest.mark.parametrize("found", [True, False])
def test_a_gone_relay_is_left_for_good_when_the_commit_that_says_so_is_found_whole(found: bool) -> None:
    store = DoubtfulStore(rng=random.Random(1))
    store.commit([Batch(meta={"name": b"anna"})])
    replica = Replica.over(store, lambda: 1_700_000_000_000_000, random.Random(1))
    replica.add_schema(bundled_schema("customers"))
    before = Partner(replica, "ws://relay")
    before.welcomed(Welcomed(b"1" * 16, b"e" * 16, 0, comparing=True, resumed=False))
    before.integrate(Integrate(1, (), 5, 5, owe=False))
    after = Partner(replica, "ws://relay")
    with pytest.MonkeyPatch.context() as patch:
        if found:
            patch.setattr(store, "doubtful", True)
        else:
            patch.setattr(store, "commit", _refuse)
        with pytest.raises(StoreFailed):
            after.welcomed(Welcomed(b"2" * 16, b"f" * 16, 0, comparing=True, resumed=False))
    with replica.edit("customers") as customer:
        customer["name"] = "Ann"
    assert bool(store.outbox(b"1" * 16, "", 9)) != found, "who is left is owed nothing, who is not is owed all"
    assert store.outbox(b"2" * 16, "", 9)


def _refuse(batches: list[Batch]) -> list[Committed]:
    raise StoreFailed("the disk is gone")
