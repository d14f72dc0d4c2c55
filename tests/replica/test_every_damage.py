"""One damaged byte in any value of a small store: what is intact stays, all else is named, a second look is clean."""

import random
from contextlib import nullcontext
from pathlib import Path

import pytest

from crdt_sync import Replica, bundled_schema
from crdt_sync.errors import StoreCorrupt
from crdt_sync.ids import new_record
from crdt_sync.replica.rescue import Rewriting
from crdt_sync.storage.lmdb import LmdbStore
from crdt_sync.storage.values import Batch, Change, OutboxEntry, Peer
from tests.damage import flipped, rows

RELAY, URL = b"r" * 16, "ws://relay"


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """Three records, one with a snapshot in a row of its own; a partner that lacks something of two of them."""
    path = tmp_path_factory.mktemp("whole") / "anna"
    rng = random.Random(2)
    with Replica.create(path, "anna", [bundled_schema("customers")]) as anna:
        names = sorted(new_record("customers", rng) for _ in range(3))
        for name in names:
            with anna.edit(name, create=True) as customer:
                customer.update({"name": f"Name {name[-4:]}", "visits": 1})
        for city in ("Köln", "Berlin"):
            for name in names:
                with anna.edit(name) as customer:
                    customer["city"] = city
        document = anna.document(names[2])
        change = Change(names[2], (), anna.id, "", 0, document.state_vector(), document.diff())
        entries = tuple((RELAY, OutboxEntry(name, b"\x00", 1)) for name in names[:2])
        anna.store.commit([Batch(changes=(change,), peers=(Peer(RELAY, b"e" * 16, 1, 1, URL),), outbox=entries)])
        anna.refresh_digests()
        anna.store.keep_index([b"page"])
    return path


def problems(whole: Path, tmp_path: Path, *tables: bytes) -> list[str]:
    """What is not as it should be after a repair of any one damaged byte."""
    with Replica.open(whole) as anna:
        before = {view.record: dict(view) for view in anna.list()}
    found = []
    for table, key, length in rows(whole):
        if tables and table not in tables:
            continue
        for place in (3,) if len(key) % 2 else (length - 1,):  # in the checksum, or in what it is of
            where = f"{table!r} {key!r} {place}"
            path = flipped(whole, tmp_path / "spoiled", table, key, place)
            with Replica.open_to_repair(path) as anna:
                mended = anna.repair()
                named = {loss.record for loss in mended.losses if loss.record} | set(mended.awaited)
                after = {view.record: dict(view) for view in anna.list()}
                changed = [name for name, values in before.items() if after.get(name) != values]
                found += [f"{where}: {name} is {after.get(name)}" for name in changed if name not in named]
                if anna.store.verify().findings:
                    found.append(f"{where}: {anna.store.verify().findings}")
                if anna.name != "anna" or "customers" not in anna.schemas:
                    found.append(f"{where}: {anna.name} {list(anna.schemas)}")
                if anna.repair().findings:
                    found.append(f"{where}: there is more to repair")
            with Replica.open(path) as anna:
                anna.refresh_digests()
                if len({view.record for view in anna.list()} | named) != len(before):
                    found.append(f"{where}: opened again, a record is missing")
    return found


def test_after_a_repair_nothing_intact_is_lost_and_a_second_look_is_clean(whole, tmp_path):
    assert problems(whole, tmp_path) == []


def test_a_repair_that_forgets_views_is_noticed(whole, tmp_path, monkeypatch):
    rescued = Rewriting.run
    monkeypatch.setattr(Rewriting, "run", lambda self, shown, opposed: ([], rescued(self, shown, opposed)[1]))
    assert problems(whole, tmp_path, b"log")


def test_without_repair_healthy_records_are_read_status_names_the_damaged_and_edits_go_on(whole, tmp_path):
    with Replica.open(whole) as anna:
        before = {view.record: dict(view) for view in anna.list()}
    for table, key, length in rows(whole):
        if table in {b"meta", b"store"}:
            continue
        path = flipped(whole, tmp_path / "spoiled", table, key, length - 1)
        with Replica.open(path) as anna:
            assert {view.record: dict(view) for view in anna.list()} == before, (table, key)
            anna.refresh_digests()
            status = anna.status()
            assert [partner.url for partner in status.partners] == ([] if table == b"peers" else [URL])
            for name in before:
                damaged = name in anna.store.damaged()
                with pytest.raises(StoreCorrupt) if damaged else nullcontext(), anna.edit(name) as customer:
                    customer["city"] = "Bonn"
                assert anna.get(name)["city"] == ("Berlin" if damaged else "Bonn")


def test_what_is_set_aside_is_kept_within_bounds(whole, tmp_path, monkeypatch):
    monkeypatch.setattr("crdt_sync.storage.lmdb.aside.DAMAGED_BYTES_MAX", 300)
    path = flipped(whole, tmp_path / "spoiled", b"log", (3).to_bytes(8, "big"), 30)
    with Replica.open(path) as anna:
        anna.repair()
    kept = [(key, length) for table, key, length in rows(path) if table == b"damaged"]
    assert [key for key, _ in kept] == [b"log\0" + (3).to_bytes(8, "big")]
    assert sum(len(key) + length for key, length in kept) <= 400
    with LmdbStore.open(path) as store:
        assert store.verify().findings == ()
