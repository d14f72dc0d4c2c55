"""What is read of a store, and what is not."""

from crdt_sync.storage import Batch
from crdt_sync.storage.lmdb import reads

ANN, BOB = "customers/ann", "customers/bob"


def test_how_much_is_new_is_told_without_reading_it(lmdb_store, change, monkeypatch):
    lmdb_store.commit([Batch(changes=(change(ANN, b"x" * 100_000), change(BOB, b"y")))])
    lmdb_store.commit([Batch(changes=(change(BOB, b"z" * 50_000),))])

    def read(*_):
        raise AssertionError("an update was read")

    with monkeypatch.context() as patched:
        patched.setattr(reads, "log_body", read)
        assert lmdb_store.behind(0) == (2, 150_001)
    assert lmdb_store.behind(2) == (1, 50_000)
