"""A wiped store is gone for good: its key first, whatever cuts it short."""

import pytest

from crdt_sync.errors import KeyUnusable, StoreInUse
from crdt_sync.storage import Batch, LmdbStore, wiping
from crdt_sync.storage.encryption import key_box
from tests.storage.conftest import encrypted_store, make_change


@pytest.fixture
def path(lmdb_path):
    with encrypted_store(lmdb_path) as store:
        store.commit([Batch(changes=(make_change("customers/ann", b"update"),))])
    for name in ("token", "relay.toml", "up.log"):
        (lmdb_path / name).write_text("secret")
    (lmdb_path / "exports").mkdir()
    (lmdb_path / "exports" / "1.export.gz").write_text("secret")
    return lmdb_path


def test_nothing_of_a_store_is_left(path):
    assert wiping.wipe(path) == wiping.Wiped(key=True, left=())
    assert not path.exists()


def test_a_plain_store_is_wiped_too(tmp_path):
    LmdbStore.open(tmp_path / "plain", create=True).close()
    assert wiping.wipe(tmp_path / "plain") == wiping.Wiped(key=False, left=())


def test_files_that_are_no_stores_stay_and_so_does_what_links_lead_to(path, tmp_path):
    (path / "my-notes.txt").write_text("mine")
    (tmp_path / "elsewhere").write_text("not ours")
    (path / "exports" / "link").symlink_to(tmp_path / "elsewhere")
    assert wiping.wipe(path).left == ("my-notes.txt",)
    assert (path / "my-notes.txt").read_text() == "mine"
    assert (tmp_path / "elsewhere").read_text() == "not ours"


def test_the_key_goes_first_and_what_was_cut_short_can_be_done_again(path, monkeypatch):
    kept = (path / "store-key").read_bytes()

    def power_cut(file):
        assert not (path / "store-key").exists()
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(wiping, "destroy", power_cut)
        with pytest.raises(KeyboardInterrupt):
            wiping.wipe(path)
    assert kept
    assert LmdbStore.exists(path)
    with pytest.raises(KeyUnusable, match="is gone"):
        key_box.read(path)
    wiping.wipe(path)
    assert not path.exists()


def test_a_store_that_is_open_is_not_wiped(path):
    with LmdbStore.open(path), pytest.raises(StoreInUse):
        wiping.wipe(path)
    assert (path / "store-key").exists()
