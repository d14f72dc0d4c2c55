"""What a siege may leave behind in a store is noticed: damage, what no worker can load, and edits that are gone."""

import pytest

from crdt_bench.campaign.siege.afterwards import wrong
from crdt_sync.records import Document
from crdt_sync.runtime.loadable import unloadable
from crdt_sync.storage import Batch, Change, LmdbStore, MemoryStore
from crdt_sync.storage.lmdb.codec import seq_key
from tests.runtime.worker.conftest import Writer
from tests.storage.lmdb.test_corruption import edit, flip

HONEST = "customers/honest"


def put(store, record, *updates, snapshot=None):
    vector = Document.load(updates).state_vector()
    store.commit([Batch(changes=(Change(record, updates, bytes(16), "", 1, vector, snapshot),))])


@pytest.fixture
def edits():
    writer = Writer(7)
    return [writer.write(f"edit {number}") for number in range(5)]


@pytest.fixture
def store(edits):
    """Where what an honest device pushed is, beside the same update as ten records of an attacker."""
    store = MemoryStore()
    put(store, HONEST, *edits)
    same = Writer(8).write("the same")
    for number in range(10):
        put(store, f"customers/{number}", same)
    return store


def test_nothing_is_wrong_with_a_store_that_has_what_was_acknowledged(store, edits):
    assert wrong(store, {HONEST: edits}) == []


def test_of_records_with_the_same_bytes_a_worker_loads_one(store, monkeypatch):
    loaded = []

    async def noted(store, records):
        loaded.extend(records)
        return await unloadable(store, records)

    monkeypatch.setattr("crdt_bench.campaign.siege.afterwards.unloadable", noted)
    assert wrong(store, {}) == []
    assert loaded == ["customers/0", HONEST]


def test_a_record_among_them_that_no_worker_can_load_is_found(store):
    put(store, "customers/5", Writer(9).write("x"), snapshot=b"\xff")
    assert wrong(store, {}) == ["no worker can load customers/5"]


@pytest.mark.parametrize("lost", range(5))
def test_an_acknowledged_edit_that_is_gone_is_found(edits, lost):
    store = MemoryStore()
    if lost:
        put(store, HONEST, *edits[:lost])
    assert wrong(store, {HONEST: edits}) == [
        f"{5 - lost} of 5 edits of {HONEST} are gone, though acknowledged",
    ]


def test_what_is_damaged_is_found(tmp_path, edits):
    path = tmp_path / "relay"
    with LmdbStore.open(path, create=True) as store:
        put(store, HONEST, *edits)
    edit(path, b"log", seq_key(3), flip(131))
    with LmdbStore.open(path) as store:
        found = wrong(store, {HONEST: edits})
    assert found == [
        "verify: entry 3 of 'log', of customers/honest, does not match its checksum",
        "verify: entry 3 of 'log' does not match its checksum",
        f"5 of 5 edits of {HONEST} are gone, though acknowledged",
    ]
