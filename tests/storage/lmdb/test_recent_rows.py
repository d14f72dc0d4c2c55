"""What records show, as it is kept in memory: never older than what a reader has seen on the disk."""

import pytest

from crdt_sync.errors import StoreClosed
from crdt_sync.policy.values import Whereabouts
from crdt_sync.storage.lmdb import LmdbStore, recent_rows
from crdt_sync.storage.lmdb.recent_rows import RecentRows
from crdt_sync.storage.lmdb.shared import SharedStore
from crdt_sync.storage.places import Row
from crdt_sync.storage.values import Batch, Change, Placement

NORTH, SOUTH = Row({"region": "North"}, 1), Row({"region": "South"}, 1)
ANN, BEN = "customers/ann", "customers/ben"


def change(record, region, number=1):
    return Change(record, (b"u%d" % number,), b"o" * 16, "", 1, b"\x00", forms={"region": region}, fields=b"region")


@pytest.fixture
def store(tmp_path):
    with LmdbStore.open(tmp_path / "s", create=True, map_bytes=1 << 24) as opened:
        opened.commit([Batch(placement=Placement(b"region", "")), Batch(placement=Placement(b"region"))])
        opened.commit([Batch(changes=(change(ANN, "North"), change(BEN, "North")))])
        yield opened


def counted(store, monkeypatch):
    """Counts reads of the disk."""
    read, count = store._environment.read, []
    monkeypatch.setattr(store._environment, "read", lambda work: count.append(1) or read(work))
    return count


def test_what_was_committed_last_is_told_without_the_disk(store, monkeypatch):
    count = counted(store, monkeypatch)
    assert store.whereabouts(ANN, 9).forms == {"region": "North"}
    assert [each.forms for each in store.whereabouts_of([BEN, ANN], 9)] == [{"region": "North"}] * 2
    store.commit([Batch(changes=(change(ANN, "South", 2),))])
    assert store.whereabouts(ANN, 0) == Whereabouts({"region": "South"}, ({"region": "North"},), new=True)
    assert not count
    assert store.whereabouts("customers/nobody", 0) is None
    assert count == [1]


def test_what_changes_is_not_known_until_the_commit_is_over():
    rows = RecentRows()
    rows.keep({b"a": NORTH, b"b": NORTH}, rows.moment)
    rows.forget([b"a"])
    assert (rows.row(b"a"), rows.row(b"b")) == (None, NORTH)
    assert rows.known([b"b", b"a"]) is None
    rows.end()
    rows.keep({b"a": SOUTH}, rows.moment)
    assert rows.known([b"a", b"b"]) == {b"a": SOUTH, b"b": NORTH}


@pytest.mark.parametrize("asked", ["before", "meanwhile"])
def test_what_was_read_while_a_commit_changed_something_is_not_kept(asked):
    rows = RecentRows()
    moment = rows.moment
    rows.forget([b"a"])
    if asked == "meanwhile":
        moment = rows.moment
        rows.keep({b"a": NORTH}, moment)
        assert rows.row(b"a") is None
    rows.end()
    rows.keep({b"a": NORTH}, moment)
    assert rows.row(b"a") is None


def test_a_write_that_changed_nothing_leaves_all_as_it_was():
    rows = RecentRows()
    moment = rows.moment
    rows.end()
    rows.keep({b"a": NORTH}, moment)
    assert rows.row(b"a") == NORTH


def test_memory_is_bounded(monkeypatch):
    monkeypatch.setattr(recent_rows, "ROWS_MAX", 3)
    rows = RecentRows()
    rows.keep({b"a": NORTH, b"b": NORTH}, rows.moment)
    rows.keep({b"c": NORTH, b"d": NORTH}, rows.moment)
    assert [rows.row(key) for key in (b"a", b"b", b"c", b"d")] == [None, None, NORTH, NORTH]
    rows.keep({bytes([number]): NORTH for number in range(4)}, rows.moment)
    assert rows.row(b"c") is None


def test_a_repair_and_another_placement_forget_all(store, monkeypatch):
    store.commit([Batch(placement=Placement(b"region", ""))])
    assert store.whereabouts(ANN, 0) is None
    store.commit([Batch(forms={ANN: (1, {"region": "West"})})])
    assert store.whereabouts(ANN, 9).forms == {"region": "West"}
    store.replace([ANN], Batch())
    assert store.whereabouts(ANN, 0) is None


def test_nothing_is_told_once_the_store_is_closed(store):
    assert store.whereabouts(ANN, 0) is not None
    store.close()
    with pytest.raises(StoreClosed):
        store.whereabouts(ANN, 0)


def test_who_reads_beside_an_owner_asks_the_disk_each_time(store, tmp_path, monkeypatch):
    store.close()
    beside = SharedStore.beside(tmp_path / "s")
    count = counted(beside, monkeypatch)
    for _ in range(2):
        assert beside.whereabouts(ANN, 9).forms == {"region": "North"}
        assert beside.whereabouts_of([ANN], 9)[0].forms == {"region": "North"}
    assert count == [1] * 4
    beside.own()
    assert beside.whereabouts(ANN, 9) == beside.whereabouts(ANN, 9)
    beside.close()
