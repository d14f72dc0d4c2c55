"""`crdt-sync store`: a device's store is encrypted, used as before, locked, and wiped; nothing shows on its disk."""

import os

import pytest

from crdt_sync import Replica
from crdt_sync.limits import SCRYPT_COST
from crdt_sync.storage.encryption import key_box, unlocking
from tests.cli.conftest import spawn

# In names of records, of collections, of fields, of tables; in values, notes, tags, and in what was said of imports.
MARKERS = (b"markername", b"markernote", b"markertag", b"markerfile", b"markercollection", b"markerfield")
TABLE = "Number,Name,markerfield\n7,markername Anna,Bonn\n8,Ben,Ulm\n"


@pytest.fixture(autouse=True)
def _outside(tmp_path, monkeypatch):
    (tmp_path / "runtime").mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "runtime"))
    cheap = key_box.by_passphrase
    monkeypatch.setattr(key_box, "by_passphrase", lambda key, passphrase: cheap(key, passphrase, SCRYPT_COST >> 9))


@pytest.fixture
def encrypted(store, run, monkeypatch):
    """A store that a passphrase opens, and that is locked."""
    monkeypatch.setenv("CRDT_SYNC_NEW_PASSPHRASE", "three old words")
    assert run("store", "encrypt").code == 0
    return store


def unlocked(run, monkeypatch, passphrase="three old words"):
    with monkeypatch.context() as patched:
        patched.setenv("CRDT_SYNC_PASSPHRASE", passphrase)
        return run("store", "unlock", "--json")


def everything(path):
    return b"".join(file.read_bytes() for file in path.rglob("*") if file.is_file())


def used(run, tmp_path):
    """What a device does, with markers in all of it."""
    table, out = tmp_path / "markerfile.csv", tmp_path / "markerfile-out.csv"
    table.write_text(TABLE)
    record = run("set", "customers", "name=markername", "notes=markernote", "tags+=markertag", "--json").object[
        "record"
    ]
    assert run("import", table, "-c", "markercollection", "--key", "Number").code == 0
    assert run("export", out, "-c", "markercollection", "--for-editing", "--force").code == 0
    assert run("delete", record).code == 0
    assert run("import", tmp_path / "none.csv").code == 2
    return record, out


def test_no_marker_is_found_in_the_files_of_an_encrypted_store_and_each_in_those_of_a_plain_one(
    store, run, tmp_path, monkeypatch
):
    used(run, tmp_path)
    plain = everything(store)
    assert [marker for marker in MARKERS if marker not in plain] == []
    monkeypatch.setenv("CRDT_SYNC_NEW_PASSPHRASE", "three old words")
    assert run("store", "encrypt").code == 0
    assert unlocked(run, monkeypatch).code == 0
    record, _ = used(run, tmp_path)
    found = everything(store)
    assert [
        marker for marker in (*MARKERS, record.encode(), record.partition("/")[2].encode()) if marker in found
    ] == []


def test_a_locked_store_opens_for_nobody_and_an_unlocked_one_until_it_is_locked(encrypted, run, monkeypatch):
    for command in (["list"], ["set", "customers", "name=x"], ["status"], ["sync"]):
        result = run(*command, "--json")
        assert (result.code, '"store_locked"' in result.err) == (3, True), result.err
    assert unlocked(run, monkeypatch, "three odd words").code == 3
    assert unlocked(run, monkeypatch).code == 0
    assert run("store", "--json").object == {"encrypted": True, "by": "passphrase", "where": "", "unlocked": True}
    assert run("set", "customers", "name=x").code == 0
    assert run("store", "lock", "--json").object == {"locked": True, "was_unlocked": True, "open_in": None}
    assert run("list").code == 3
    assert run("store", "lock", "--json").object["was_unlocked"] is False


def test_a_wrong_passphrase_is_one_clear_error_and_changes_nothing(encrypted, run, monkeypatch):
    before = (encrypted / "data.mdb").read_bytes()
    monkeypatch.setenv("CRDT_SYNC_PASSPHRASE", "wrong")
    result = run("list")
    assert result.code == 3
    assert result.err.count("Error") == 1
    assert "the passphrase is not that of this store" in result.err
    assert (encrypted / "data.mdb").read_bytes() == before


def test_another_passphrase_writes_nothing_of_the_store_anew(encrypted, run, monkeypatch):
    data = (encrypted / "data.mdb").stat()
    monkeypatch.setenv("CRDT_SYNC_PASSPHRASE", "three old words")
    monkeypatch.setenv("CRDT_SYNC_NEW_PASSPHRASE", "three new words")
    assert run("store", "passwd").code == 0
    assert run("list").code == 3
    monkeypatch.setenv("CRDT_SYNC_PASSPHRASE", "three new words")
    assert (encrypted / "data.mdb").stat().st_mtime_ns == data.st_mtime_ns
    assert run("list").code == 0


def test_a_key_file_opens_the_store_by_itself(store, run, tmp_path):
    file = tmp_path / "key"
    assert run("store", "encrypt", "--key-file", file, "--json").object == {"encrypted": True, "by": "file"}
    assert run("set", "customers", "name=x").code == 0
    file.rename(tmp_path / "gone")
    assert "key_unusable" in run("list", "--json").err
    (tmp_path / "gone").rename(file)
    assert run("store", "decrypt", "--json").object == {"encrypted": False}
    assert run("list", "--json").object["fields"]["name"] == "x"
    assert run("store", "--json").object == {"encrypted": False}


def test_wrong_calls_are_told_what_is_wrong(store, run, tmp_path):
    assert "nobody to ask" in run("store", "encrypt").err
    assert "Keep one of them" in run("store", "encrypt", "--key-file", tmp_path / "k", "--keyring").err
    assert run("store", "decrypt").code == 2
    assert "is not encrypted" in run("store", "unlock").err
    assert "is not encrypted" in run("store", "passwd", "--key-file", tmp_path / "k2").err
    assert run("store", "wipe").code == 2
    assert run("--store", tmp_path / "none", "store", "wipe", "--yes").code == 3
    assert (tmp_path / "k").exists() is False


def test_an_edited_export_is_told_from_edits_here_in_an_encrypted_store_too(encrypted, run, tmp_path, monkeypatch):
    assert unlocked(run, monkeypatch).code == 0
    table, out = tmp_path / "a.csv", tmp_path / "out.csv"
    table.write_text("Number,Name,City\n7,Anna,Bonn\n8,Ben,Ulm\n")
    assert run("import", table, "--key", "Number").code == 0
    assert run("export", out, "--for-editing").code == 0
    record = run("find", "name=Ben", "--json").object["record"]
    assert run("set", record, "city=Kiel").code == 0
    out.write_text(out.read_text().replace("Bonn", "Berlin"))
    assert run("import", out, "--json").code == 0
    cities = {found["fields"]["name"]: found["fields"]["city"] for found in run("list", "--json").objects}
    assert cities == {"Anna": "Berlin", "Ben": "Kiel"}
    assert run("conflicts", "--json").objects == []


def test_others_go_through_the_owner_of_the_store_and_need_no_key(encrypted, run, monkeypatch):
    assert unlocked(run, monkeypatch).code == 0
    with Replica.open(encrypted) as replica:
        assert run("store", "lock", "--json").object["was_unlocked"] is True
        done = spawn("--store", encrypted, "set", "customers", "name=through", env={**os.environ})
        assert done.code == 0, done.err
        listed = spawn("--store", encrypted, "list", "--json", env={**os.environ})
        assert '"through"' in listed.out
        assert replica.count() == 1
    assert run("list").code == 3


def test_a_wiped_store_is_gone_with_its_key(encrypted, run, monkeypatch):
    assert unlocked(run, monkeypatch).code == 0
    identity = key_box.read(encrypted).id
    result = run("store", "wipe", "--yes", "--json")
    assert result.object == {"wiped": True, "key": True, "left": []}
    assert unlocking.remembered(identity) is None
    assert not encrypted.exists()
