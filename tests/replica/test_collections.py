"""Which collections have records here and no schema, at a bounded cost."""

from crdt_sync.replica import collections
from crdt_sync.replica.collections import Schemaless, schemaless
from crdt_sync.storage.memory import MemoryStore
from crdt_sync.storage.values import Batch, Change


def store_of(*records: str) -> MemoryStore:
    store = MemoryStore()
    changes = (Change(record, (b"\0\0",), b"o" * 16, "", 0, b"\0", b"\0\0", b"{}") for record in records)
    store.commit([Batch(changes=tuple(changes))])
    return store


def test_they_are_counted_by_name_and_known_ones_are_skipped() -> None:
    store = store_of("a-b/1", "a/1", "a/z", "a0/1", "b/1", "b/2", "c/1")
    assert schemaless(store, {"b"}) == (
        Schemaless("a-b", 1, True),
        Schemaless("a", 2, True),
        Schemaless("a0", 1, True),
        Schemaless("c", 1, True),
    )
    assert schemaless(store, {"b"}, "a") == (Schemaless("a", 2, True),)
    assert schemaless(store, {"b"}, "b") == schemaless(store, {"b"}, "x") == ()


def test_a_partner_that_makes_up_collections_and_records_costs_no_more_than_the_limits(monkeypatch) -> None:
    monkeypatch.setattr(collections, "STATUS_ENTRIES_MAX", 3)
    monkeypatch.setattr(collections, "SCHEMALESS_NAMED_MAX", 2)
    store = store_of(*(f"a/{number}" for number in range(9)), "b/1", "b/2", "c/1")
    assert schemaless(store, ()) == (Schemaless("a", 3, False), Schemaless("b", 1, False))
    assert schemaless(store_of("a/1", "a/2", "a/3"), ()) == (Schemaless("a", 3, True),)
