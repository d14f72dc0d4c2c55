"""Every record is loaded in a worker, in the time that it has there; what cannot be is named with its authors."""

import asyncio

import pytest

from crdt_sync import limits
from crdt_sync.records import Document
from crdt_sync.runtime.loadable import unloadable
from crdt_sync.runtime.worker.process import WorkerUnavailable
from crdt_sync.storage.memory import MemoryStore
from crdt_sync.storage.values import SEVERAL_ORIGINS, Batch, Change
from tests.records.gate.test_walks import crowded
from tests.records.raw_updates import text, update
from tests.runtime.worker.conftest import Writer

ANN, EVE = bytes(15) + b"a", bytes(15) + b"e"


def put(store, record, updates, *, snapshot=None, origin=ANN, actor="", at=1_700_000_000_000_000):
    vector = b"\x00" if snapshot == b"\xff" else Document.load(updates).state_vector()
    store.commit([Batch(changes=(Change(record, tuple(updates), origin, actor, at, vector, snapshot),))])


@pytest.fixture
def store():
    """300 honest records, on two pages."""
    store = MemoryStore()
    for number in range(300):
        put(store, f"customers/{number}", [Writer(number + 1).write(str(number))])
    return store


def test_a_sound_store_has_none(store):
    assert asyncio.run(unloadable(store)) == []


def test_what_is_no_record_is_named_with_who_wrote_it(store):
    put(store, "customers/x", [update([text("t.a", "x" * 50)])], origin=EVE, actor="eve")
    put(store, "customers/x", [update([text("t.a", "y")], writer=8)], origin=ANN)
    put(store, "customers/x", [update([text("t.a", "z")], writer=9)], origin=SEVERAL_ORIGINS, snapshot=b"\xff")
    (found,) = asyncio.run(unloadable(store))
    assert (found.record, found.bytes) == ("customers/x", 1)
    assert [(each.replica, each.name, each.updates) for each in found.authors] == [
        (EVE.hex(), "eve", 1), (ANN.hex(), "", 1), ("", "", 1),
    ]  # fmt: skip
    assert f"eve {EVE.hex()} (1 updates" in found.written_by
    assert "several replicas" in found.written_by


def test_what_takes_longer_to_load_than_a_worker_has_is_named_and_the_rest_is_not(store, monkeypatch):
    monkeypatch.setattr(limits, "INTEGRATION_US", 150_000)
    monkeypatch.setattr(limits, "INTEGRATION_US_PER_KIB", 0)
    monkeypatch.setattr(limits, "INTEGRATION_AGAIN_FACTOR", 1)
    put(store, "customers/dear", [crowded(2_000, 2_000)], origin=EVE)
    (found,) = asyncio.run(unloadable(store))
    assert found.record == "customers/dear"
    assert found.authors[0].replica == EVE.hex()


def test_only_those_that_are_named_are_looked_at(store):
    put(store, "customers/x", [update([text("t.a", "x")])], snapshot=b"\xff")
    assert asyncio.run(unloadable(store, ["customers/1", "customers/2"])) == []
    assert [each.record for each in asyncio.run(unloadable(store, ["customers/x"]))] == ["customers/x"]


def test_where_no_worker_can_be_had_nothing_is_claimed(store):
    async def none():
        raise WorkerUnavailable("no process can be started")

    with pytest.raises(WorkerUnavailable):
        asyncio.run(unloadable(store, None, none))
