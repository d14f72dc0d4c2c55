"""One damaged byte in any value of a device or of its relay, a repair and a sync: whatever was acknowledged is there on
both sides, or was named.
"""

from pathlib import Path
from typing import cast

import pytest

from crdt_relay import maintenance
from crdt_sync import Replica, bundled_schema
from crdt_sync.replica import repair as repairs
from crdt_sync.storage.lmdb import LmdbStore
from crdt_sync.storage.lmdb.mended_identity import mend_identity
from crdt_sync.storage.memory import MemoryStore
from tests.damage import copied, flip_bit, rows
from tests.replica.wire import MemoryRelay, VirtualTime, exchange

WHOLE, AHEAD, NEW, REPAIRED = "customers/whole", "customers/ahead", "customers/new", "customers/repaired"
RECORDS = (WHOLE, AHEAD, NEW, REPAIRED)


@pytest.fixture(scope="module")
def stores(tmp_path_factory) -> tuple[Path, Path]:
    """A device and its relay: it holds what the relay has all of, has a part of, has not, and what a repair wrote."""
    path = tmp_path_factory.mktemp("stores")
    with Replica.create(path / "anna", "anna", [bundled_schema("customers")]) as anna:
        for record in (WHOLE, AHEAD, REPAIRED):
            with anna.edit(record, create=True) as customer:
                customer.update({"name": record[-5:], "visits": 1, "tags": ["vip"]})
            with anna.edit(record) as customer:
                customer["city"] = "Köln"
        with LmdbStore.open(path / "relay", create=True) as store:
            for _ in range(2):
                exchange(anna, MemoryRelay(VirtualTime(anna.wall_clock()), cast(MemoryStore, store)))
            for record in (AHEAD, NEW):
                with anna.edit(record, create=True) as customer:
                    customer.update({"name": record[-5:], "city": "Berlin"})
                    customer.increment("visits")
            seq = anna.store.record_head(REPAIRED).seq
        anna.store.keep_index([b"page"])
    flip_bit(path / "anna", b"log", seq.to_bytes(8, "big"))
    with Replica.open(path / "anna") as anna:
        mended = anna.repair()
        assert set(mended.awaited) == {REPAIRED}
    return path / "anna", path / "relay"


def shown(replica: Replica) -> dict[str, dict[str, object]]:
    return {view.record: dict(view) for view in replica.list()}


EXPECTED = {
    WHOLE: {"name": "whole", "visits": 1, "tags": ["vip"], "city": "Köln"},
    AHEAD: {"name": "ahead", "visits": 2, "tags": ["vip"], "city": "Berlin"},
    NEW: {"name": "s/new", "visits": 1, "city": "Berlin"},
    REPAIRED: {"name": "aired", "visits": 1, "tags": ["vip"], "city": "Köln"},
}


Row = tuple[bytes, bytes, int]


def single(path: Path) -> list[tuple[Row, ...]]:
    """Each value that can be damaged, by itself."""
    return [(row,) for row in rows(path)]


def problems(stores: tuple[Path, Path], tmp_path: Path, side: int, damages: list[tuple[Row, ...]]) -> list[str]:
    """What is not as it should be after each of these damages to a side was repaired, and both were synced."""
    found = []
    for damage in damages:
        where = " and ".join(f"{table!r} {key!r}" for table, key, _ in damage)
        paths = [copied(whole, tmp_path / whole.name) for whole in stores]
        for table, key, length in damage:
            flip_bit(paths[side], table, key, length - 1)
        mend_identity(paths[1], lambda: 1)
        with LmdbStore.open(paths[1]) as store:
            if side == 1:
                maintenance.mend(store)
                found += [f"{where}: the relay has more to repair"] if maintenance.mend(store).findings else []
            with Replica.open_to_repair(paths[0]) as anna:
                losses = [] if side == 1 else list(anna.repair().losses)
                relay = MemoryRelay(VirtualTime(anna.wall_clock()), cast(MemoryStore, store))
                for _ in range(3):
                    line = exchange(anna, relay)
                settled = anna.settle()
                losses += settled.losses
                exchange(anna, relay)
                named_here = {loss.record for loss in losses}
                for record, values in EXPECTED.items():
                    if shown(anna).get(record) != values and record not in named_here:
                        found.append(f"{where}: {record} is {shown(anna).get(record)}")
                if side == 1 and losses:
                    found.append(f"{where}: {losses}")
                if settled.awaited:
                    found.append(f"{where}: still awaited {settled.awaited}")
                if not line.settled:
                    found.append(f"{where}: the sync does not settle")
                anna.refresh_digests()
                if store.count() != anna.store.count():
                    found.append(f"{where}: the relay holds {store.count()} records, the device {anna.store.count()}")
                for record in RECORDS:
                    held = store.record_head(record)
                    if record in shown(anna) and (held is None or held.state_vector != vector(anna, record)):
                        found.append(f"{where}: the relay lacks something of {record}")
                found += [
                    f"{where}: {finding}" for finding in (*anna.store.verify().findings, *store.verify().findings)
                ]
                found += [f"{where}: there is more to repair"] if anna.repair().findings else []
    return found


def vector(replica: Replica, record: str) -> bytes:
    return replica.store.record_head(record).state_vector


def test_whatever_is_damaged_on_a_device_a_repair_and_a_sync_bring_back_or_name(stores, tmp_path):
    assert problems(stores, tmp_path, 0, single(stores[0])) == []


def test_nothing_is_doubled_where_what_is_known_of_the_relay_is_damaged_too(stores, tmp_path):
    log = [row for row in rows(stores[0]) if row[0] == b"log"]
    known = [row for row in rows(stores[0]) if row[0] in {b"peers", b"outbox"}]
    assert problems(stores, tmp_path, 0, [(of_it, entry) for of_it in known for entry in log]) == []


def test_what_is_damaged_beside_the_state_of_the_store_is_brought_back_or_named_too(stores, tmp_path):
    state = next(row for row in rows(stores[0]) if row[:2] == (b"store", b"state"))
    others = [row for row in rows(stores[0]) if row[0] in {b"heads", b"views", b"outbox", b"peers"}]
    assert problems(stores, tmp_path, 0, [(state, other) for other in others]) == []


def test_whatever_is_damaged_at_a_relay_a_repair_and_a_sync_bring_back(stores, tmp_path):
    assert problems(stores, tmp_path, 1, single(stores[1])) == []


def test_a_repair_that_goes_back_to_what_it_can_read_is_noticed(stores, tmp_path, monkeypatch):
    monkeypatch.setattr(repairs, "is_complete", lambda *_: True)
    monkeypatch.setattr(repairs, "_forget_cursors", lambda *_: None)
    assert problems(stores, tmp_path, 0, single(stores[0]))
