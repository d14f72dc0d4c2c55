"""What records show, on disk: kept in databases of their own, and not believed once another release has written."""

from crdt_sync.storage import Batch, LmdbStore, Placement
from crdt_sync.storage.lmdb import shown
from tests.storage.committing import ANN
from tests.storage.conftest import make_change

FIELDS = Placement(b"region")


def kept(path):
    store = LmdbStore.open(path, create=True, map_bytes=1 << 26)
    store.commit([Batch(placement=Placement(b"region", "")), Batch(placement=FIELDS)])
    store.commit([Batch(changes=(make_change(ANN, b"1")._replace(fields=b"region", forms={"region": "North"}),))])
    return store


def test_a_store_that_keeps_no_places_has_no_database_for_them(lmdb_store, change):
    lmdb_store.commit([Batch(changes=(change(ANN, b"1")._replace(fields=b"region", forms={"region": "North"}),))])
    assert lmdb_store._environment.read(lambda _, tables: tables.placed) is None


def test_what_a_release_that_keeps_no_places_has_written_makes_all_unknown(lmdb_path, monkeypatch):
    store = kept(lmdb_path)
    with monkeypatch.context() as older:
        older.setattr(shown.Placing, "changed", lambda *_args, **_kwargs: None)
        older.setattr(shown.Placing, "finish", lambda *_: None)
        store.commit([Batch(changes=(make_change(ANN, b"2"),))])
    assert store.placement() is None
    store.commit([Batch(changes=(make_change(ANN, b"3")._replace(fields=b"region", forms={"region": "South"}),))])
    assert store.placement() == Placement(b"", "")
    store.close()


def damage(store, table, key):
    def work(txn, tables):
        value = bytearray(txn.get(key, db=getattr(tables.placed, table)))
        value[-1] ^= 1
        txn.put(key, bytes(value), db=getattr(tables.placed, table))

    store._environment.write(work)


def test_a_damaged_row_is_found_and_a_repair_has_all_read_anew(lmdb_path):
    store = kept(lmdb_path)
    damage(store, "shown", ANN.encode())
    assert {finding.database for finding in store.verify().findings} == {"shown", "places"}
    assert store.rebuild() == ()
    assert (store.verify().findings, store.placement(), store.whereabouts(ANN, 0)) == ((), None, None)
    store.close()


def test_a_record_that_is_at_a_place_where_it_is_not_is_found(lmdb_path):
    store = kept(lmdb_path)
    store._environment.write(lambda txn, tables: txn.put(b"p" * 16 + ANN.encode(), b"", db=tables.placed.places))
    assert [finding.database for finding in store.verify().findings] == ["places"]
    store.close()
