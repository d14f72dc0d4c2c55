"""A store is encrypted and decrypted as a whole, or not at all, wherever it is cut short."""

import os
import shutil
from pathlib import Path

import pytest

from crdt_sync import files
from crdt_sync.errors import StoreExists, StoreInUse, StoreMissing
from crdt_sync.storage import Batch, LmdbStore, OutboxEntry, Peer
from crdt_sync.storage.encryption import key_box
from crdt_sync.storage.lmdb import changing
from tests.storage.conftest import KEY, make_change

PARTNER = b"p" * 16
MARKER = b"marker-of-a-customer"


@pytest.fixture
def plain(lmdb_path):
    """A store with something in every database, and what else shows records beside it."""
    with LmdbStore.open(lmdb_path, create=True) as store:
        changes = tuple(
            make_change(f"customers/{n}", MARKER + b"%d" % n * 50, view=MARKER, digest=b"d" * 16 if n % 2 else None)
            for n in range(60)
        )
        store.commit(
            [
                Batch(
                    changes=changes,
                    peers=(Peer(PARTNER, b"e" * 16, 5, 6),),
                    outbox=((PARTNER, OutboxEntry("customers/1", b"sv", 3)),),
                    meta={"schema/customers": MARKER},
                )
            ]
        )
        store.keep_index([b"page"])
        store.quarantine("customers/7")
    (lmdb_path / "exports").mkdir()
    (lmdb_path / "exports" / "1.export.gz").write_bytes(MARKER)
    (lmdb_path / "format-2-2026-01-01").mkdir()
    (lmdb_path / "format-2-2026-01-01" / "data.mdb").write_bytes(MARKER)
    (lmdb_path / "up.log").write_bytes(MARKER)
    return lmdb_path


@pytest.fixture
def box(tmp_path):
    key_box.make_key_file(tmp_path / "wrapping-key")
    return key_box.by_key_file(KEY, tmp_path / "wrapping-key")


def content(path):
    with LmdbStore.open(path) as store:
        assert store.verify().findings == ()
        records = store.records("", 100)
        return (
            store.replica, store.known_lives, store.head(), store.root(), store.log(0, 100, 1 << 30), store.peers(),
            store.feed(0, 100), [store.load(record) for record in records], store.views("", 100), store.stale(100),
            store.outbox(PARTNER, "", 100), store.outbox_count(PARTNER), store.meta_keys(""), store.quarantined(),
            store.kept_index(), [(each.database, each.key, each.value) for each in store.set_aside()],
        )  # fmt: skip


def everything(path):
    return b"".join(file.read_bytes() for file in path.rglob("*") if file.is_file())


def test_an_encrypted_store_holds_what_the_plain_one_held_and_shows_none_of_it(plain, box):
    before, told = content(plain), []
    changing.encrypt(plain, KEY, box, lambda done, total: told.append((done, total)))
    assert MARKER not in everything(plain)
    assert content(plain) == before
    assert told[-1][0] <= told[-1][1]
    changing.decrypt(plain)
    assert content(plain) == before
    assert not key_box.exists(plain)


def test_what_was_written_after_it_is_decrypted_too(plain, box):
    changing.encrypt(plain, KEY, box)
    with LmdbStore.open(plain) as store:
        store.commit([Batch(changes=(make_change("orders/1", b"later"),))])
    changing.decrypt(plain)
    with LmdbStore.open(plain) as store:
        assert store.cipher is None
        assert store.load("orders/1").updates == (b"later",)


def test_it_is_refused_where_nothing_is_to_be_done_or_another_program_has_the_store(plain, box):
    with pytest.raises(StoreMissing, match="not encrypted"):
        changing.decrypt(plain)
    with LmdbStore.open(plain), pytest.raises(StoreInUse):
        changing.encrypt(plain, KEY, box)
    changing.encrypt(plain, KEY, box)
    with pytest.raises(StoreExists, match="encrypted already"):
        changing.encrypt(plain, KEY, box)


class PowerCut(BaseException):
    """The process ends here."""


class Cutting:
    """Lets so many calls through that change what is on disk, and then none: as when the process was killed."""

    def __init__(self, monkeypatch, calls):
        self.left = calls
        self.cut = False
        for place, name in (
            (os, "replace"), (os, "link"), (os, "fsync"), (os, "rename"), (os, "unlink"), (os, "rmdir"), (os, "mkdir"),
            (changing, "_put"), (Path, "unlink"), (Path, "rename"), (Path, "rmdir"),
            (shutil, "rmtree"),
        ):  # fmt: skip
            monkeypatch.setattr(place, name, self._counted(getattr(place, name)))

    def _counted(self, call):
        def counted(*arguments, **options):
            if self.cut or self.left == 0:
                self.cut = True
                raise PowerCut
            self.left -= 1
            return call(*arguments, **options)

        return counted


@pytest.mark.parametrize("decrypts", [False, True])
def test_cut_short_anywhere_it_is_as_before_or_done_and_can_be_done_again(plain, box, tmp_path, decrypts):
    before = content(plain)
    if decrypts:
        changing.encrypt(plain, KEY, box)
    change = (lambda: changing.decrypt(plain, KEY)) if decrypts else lambda: changing.encrypt(plain, KEY, box)
    cuts, seen = 0, set()
    while True:
        with pytest.MonkeyPatch.context() as patched:
            cutting = Cutting(patched, cuts)
            try:
                change()
            except PowerCut:
                pass
            else:
                break
        assert cutting.cut
        assert content(plain) == before
        with LmdbStore.open(plain) as store:
            encrypted = store.cipher is not None
        seen.add(encrypted)
        assert key_box.exists(plain) == encrypted
        if encrypted != decrypts:  # it is done: nothing is left to do but what the opening did
            assert not changing.is_left(plain)
            assert encrypted is False or MARKER not in everything(plain)
            (changing.encrypt(plain, KEY, box) if decrypts else changing.decrypt(plain, KEY))
            if not decrypts:
                (plain / "up.log").write_bytes(MARKER)
        cuts += 1
    assert seen == {True, False}
    assert cuts > 10


def test_the_plain_file_is_destroyed_only_after_the_encrypted_one_is_in_its_place(plain, box, monkeypatch):
    destroyed = []

    def destroy(path):
        if path.name == "data.mdb.before":
            assert changing.encrypted_by(plain) is not None
            destroyed.append(path.read_bytes())
        files.destroy(path)

    monkeypatch.setattr(changing, "destroy", destroy)
    changing.encrypt(plain, KEY, box)
    assert len(destroyed) == 1
    assert MARKER in destroyed[0]


def test_a_destroyed_file_is_written_over_before_its_name_goes(tmp_path, monkeypatch):
    file, other = tmp_path / "file", tmp_path / "other"
    file.write_bytes(MARKER * 1000)
    os.link(file, other)
    files.destroy(file)
    assert not file.exists()
    assert not any(other.read_bytes())
    assert other.stat().st_size == len(MARKER) * 1000
