"""A relay's store encrypted by a key file: it is made and served so, kept so by what operators do, and decrypted."""

import json
import shutil

import pytest

from crdt_relay import maintenance
from crdt_relay.space import open_store
from crdt_sync.errors import KeyUnusable, StoreExists, StoreFormat, StoreKeyWrong
from crdt_sync.storage import Batch
from crdt_sync.storage.encryption import key_box
from tests.storage.conftest import make_change

from .test_cli import run

__all__ = ["run"]  # the fixture

MARKER = b"marker-of-a-customer"


@pytest.fixture
def data(tmp_path):
    with open_store(tmp_path / "data") as store:
        store.commit([Batch(changes=(make_change("customers/ann", MARKER, snapshot=MARKER + b"2"),))])
    return tmp_path / "data"


@pytest.fixture
def key_file(tmp_path):
    return tmp_path / "store.key"


def content(data):
    return b"".join(file.read_bytes() for file in data.rglob("*") if file.is_file())


def test_what_operators_do_works_on_an_encrypted_store_and_keeps_it_so(data, key_file, tmp_path):
    assert maintenance.encrypt(data, key_file) == {"data": str(data), "key_file": str(key_file)}
    assert maintenance.status(data)["records"] == 1
    assert maintenance.verify(data)["findings"] == []
    assert maintenance.compact(data)["dropped"] == 1
    with open_store(data) as store:
        assert maintenance.mend(store).findings == 0
    assert maintenance.backup(data, tmp_path / "backup")["records"] == 1
    assert maintenance.restore(tmp_path / "backup", data, replace=True)["records"] == 1
    for folder in (data, tmp_path / "backup"):
        assert MARKER not in content(folder)
        assert b"customers" not in content(folder)
    with open_store(data, key_file) as store:
        assert store.load("customers/ann").updates == (MARKER + b"2",)
    maintenance.decrypt(data)
    with open_store(data) as store:
        assert store.load("customers/ann").updates == (MARKER + b"2",)


def test_a_relay_that_never_ran_makes_its_store_encrypted(tmp_path, key_file):
    key_box.make_key_file(key_file)
    with open_store(tmp_path / "data", key_file) as store:
        assert store.cipher is not None
    maintenance.encrypt(tmp_path / "other", key_file)
    with open_store(tmp_path / "other", key_file) as store:
        assert store.cipher is not None


def test_a_key_file_that_is_wrong_or_gone_or_for_a_plain_store_is_told(data, key_file, tmp_path):
    key_box.make_key_file(tmp_path / "wrong")
    with pytest.raises(StoreFormat, match="is not encrypted") as raised:
        open_store(data, tmp_path / "wrong")
    assert "crdt-relay encrypt" in raised.value.hint
    maintenance.encrypt(data, key_file)
    with pytest.raises(StoreKeyWrong):
        open_store(data, tmp_path / "wrong")
    with pytest.raises(StoreExists, match="already"):
        maintenance.encrypt(data, key_file)
    key_file.unlink()
    with pytest.raises(KeyUnusable):
        open_store(data)


@pytest.mark.parametrize("backup_encrypted", [True, False])
def test_a_backup_is_restored_as_it_is_and_the_store_before_it_is_kept_with_its_key(
    data, key_file, tmp_path, backup_encrypted
):
    if backup_encrypted:
        maintenance.encrypt(data, key_file)
    maintenance.backup(data, tmp_path / "backup")
    shutil.rmtree(data)
    maintenance.encrypt(tmp_path / "data", tmp_path / "another.key")
    with open_store(data) as store:
        store.commit([Batch(changes=(make_change("customers/bob", b"before"),))])
    done = maintenance.restore(tmp_path / "backup", data, replace=True)
    assert key_box.exists(data) == backup_encrypted
    with open_store(data) as store:
        assert store.records("", 9) == ["customers/ann"]
        assert (store.cipher is not None) == backup_encrypted
    with open_store(tmp_path / "data" / done["previous"]) as store:
        assert store.records("", 9) == ["customers/bob"]


def test_the_command_encrypts_and_decrypts(data, key_file, run):
    assert run("encrypt", key_file, "--data", data)[0] == 0
    assert run("status", "--data", data)[0] == 0
    assert run("encrypt", key_file, "--data", data)[0] == 3
    shown = run("serve", "--data", data, "--store-key-file", key_file, "--show-config", "--json")
    assert json.loads(shown[1])["store_key_file"]["value"] == str(key_file)
    assert run("decrypt", "--data", data)[0] == 0
    assert run("decrypt", "--data", data)[0] == 3
