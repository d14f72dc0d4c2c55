"""Opening a store: who may, what is found, and what the errors say."""

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import lmdb
import pytest

from crdt_sync.errors import (
    StoreCorrupt,
    StoreExists,
    StoreFailed,
    StoreForbidden,
    StoreFormat,
    StoreInUse,
    StoreMissing,
)
from crdt_sync.storage import Batch, LmdbStore
from crdt_sync.storage.lmdb import directory, identity, upgrade
from crdt_sync.storage.lmdb.codec import STORE
from crdt_sync.storage.lmdb.environment import Environment
from crdt_sync.storage.lmdb.identity import FORMAT_KEY, NAME

OPEN = (
    "import sys; from pathlib import Path; from crdt_sync.storage import LmdbStore; LmdbStore.open(Path(sys.argv[1]))"
)


def open_elsewhere(path, **options):
    return subprocess.run(
        [sys.executable, "-c", OPEN, str(path)], capture_output=True, text=True, check=False, **options
    )


def plant(path: Path, table: bytes, key: bytes, value: bytes | None) -> None:
    """Change a closed store behind its back."""
    with lmdb.open(str(path), max_dbs=16) as environment, environment.begin(write=True) as transaction:
        handle = environment.open_db(table, txn=transaction)
        if value is None:
            transaction.delete(key, db=handle)
        else:
            transaction.put(key, value, db=handle)


def test_a_directory_without_a_store_is_named_as_missing(tmp_path):
    for path in (tmp_path / "nowhere", tmp_path):
        with pytest.raises(StoreMissing, match="no store"):
            LmdbStore.open(path)
    assert not (tmp_path / "nowhere").exists()


def test_a_store_is_not_created_over_another(lmdb_store, lmdb_path):
    lmdb_store.close()
    with pytest.raises(StoreExists):
        LmdbStore.open(lmdb_path, create=True)
    LmdbStore.open(lmdb_path).close()


def test_a_creation_that_was_interrupted_can_be_repeated(lmdb_path):
    lmdb_path.mkdir()
    lmdb.open(str(lmdb_path)).close()
    with pytest.raises(StoreMissing):
        LmdbStore.open(lmdb_path)
    store = LmdbStore.open(lmdb_path, create=True, replica=b"r" * 16)
    assert store.replica == b"r" * 16
    store.close()


def test_a_creation_whose_last_sync_failed_holds_nothing_open(lmdb_path, monkeypatch):
    def failing(path):
        raise StoreFailed("planted")

    with monkeypatch.context() as planted:
        planted.setattr(directory, "make_durable", failing)
        with pytest.raises(StoreFailed, match="planted"):
            LmdbStore.open(lmdb_path, create=True)
    LmdbStore.open(lmdb_path).close()


def test_a_disk_without_room_for_the_holders_name_opens_nevertheless(lmdb_store, lmdb_path, monkeypatch):
    lmdb_store.close()

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    LmdbStore.open(lmdb_path).close()


def test_a_second_opener_in_the_same_process_is_refused_by_name(lmdb_store, lmdb_path):
    with pytest.raises(StoreInUse, match=f"in use by process {os.getpid()}"):
        LmdbStore.open(lmdb_path)


def test_a_second_opener_in_another_process_is_refused_until_the_first_closes(lmdb_store, lmdb_path):
    refused = open_elsewhere(lmdb_path)
    assert f"StoreInUse: {lmdb_path} is in use by process {os.getpid()}" in refused.stderr
    lmdb_store.close()
    assert open_elsewhere(lmdb_path).returncode == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_user_without_permission_is_told_so(lmdb_store, lmdb_path, tmp_path):
    lmdb_store.close()
    imported = "import filelock, pathlib\nfrom crdt_sync.storage import LmdbStore\n"
    script = "import os\nos.setuid(65534)\n"
    result = subprocess.run(
        [sys.executable, "-c", f"{imported}{script}{OPEN}", str(lmdb_path)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "StoreForbidden: no permission" in result.stderr


@pytest.mark.parametrize(
    ("name", "error", "told"),
    [
        ("n" * 300, StoreForbidden, "no directory can be made at .*: File name too long"),
        ("loop/store", StoreForbidden, "no directory can be made at .*symbolic links"),
        ("nothing", StoreFormat, "is a link to nothing"),
        ("file", StoreFormat, "is a file"),
        ("file/store", StoreFormat, "lies in a file"),
    ],
)
def test_a_place_where_no_directory_can_be_made_is_told_with_the_reason(tmp_path, name, error, told):
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "nothing").symlink_to("nowhere")
    (tmp_path / "file").touch()
    with pytest.raises(error, match=told) as raised:
        directory.prepare(tmp_path / name, create=True)
    assert "restart" not in raised.value.hint


def test_a_directory_that_may_not_be_written_is_told_so(tmp_path, monkeypatch):
    def refuse(*_arguments):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(StoreForbidden, match="no permission"):
        LmdbStore.open(tmp_path / "store", create=True)


def test_a_file_that_is_no_store_is_refused_and_left_as_it_is(tmp_path):
    (tmp_path / "data.mdb").write_bytes(b"a letter to the customer" * 1000)
    with pytest.raises(StoreFormat, match="not a store"):
        LmdbStore.open(tmp_path)
    assert (tmp_path / "data.mdb").read_bytes() == b"a letter to the customer" * 1000


def test_the_database_of_another_program_is_refused_and_left_as_it_is(tmp_path):
    plant(tmp_path, b"theirs", b"k", b"v")
    for create in (False, True):
        with pytest.raises(StoreFormat, match="another program"):
            LmdbStore.open(tmp_path, create=create)
    with lmdb.open(str(tmp_path), max_dbs=16) as environment, environment.begin() as transaction:
        assert list(transaction.cursor().iternext(values=False)) == [b"theirs"]


@pytest.mark.parametrize(("version", "message"), [(b"6", "format 6; this program knows"), (b"1", "old store format 1")])
def test_another_format_version_is_refused(lmdb_store, lmdb_path, version, message):
    lmdb_store.close()
    plant(lmdb_path, b"store", b"format", STORE.close(b"format", b"crdt-sync store " + version))
    with pytest.raises(StoreFormat, match=message):
        LmdbStore.open(lmdb_path)
    plant(lmdb_path, b"store", b"format", STORE.close(b"format", b"crdt-sync store 2"))
    LmdbStore.open(lmdb_path).close()


def test_a_truncated_file_is_an_error_and_not_a_crash(lmdb_store, lmdb_path, change):
    lmdb_store.commit([Batch(changes=tuple(change(f"customers/{n}", b"u" * 3000) for n in range(50)))])
    lmdb_store.close()
    data = lmdb_path / "data.mdb"
    os.truncate(data, data.stat().st_size // 2)
    script = OPEN + ".verify(); print('verified')"
    result = subprocess.run([sys.executable, "-c", script, str(lmdb_path)], capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "StoreCorrupt" in result.stderr


def test_a_damaged_state_is_derived_anew_under_a_new_epoch(lmdb_store, lmdb_path, change):
    lmdb_store.commit([Batch(changes=(change("customers/ann", b"1", digest=b"d" * 16),))])
    before = (lmdb_store.head(), lmdb_store.root(), lmdb_store.replica)
    epoch = lmdb_store.epoch
    lmdb_store.close()
    plant(lmdb_path, b"store", b"state", b"damaged")
    store = LmdbStore.open(lmdb_path)
    assert (store.head(), store.root(), store.replica) == before
    assert store.epoch != epoch
    store.commit([Batch(changes=(change("customers/ann", b"2"),))])
    assert store.verify().findings == ()
    store.close()


def test_a_damaged_replica_id_is_an_error(lmdb_store, lmdb_path):
    lmdb_store.close()
    plant(lmdb_path, b"store", b"replica", b"damaged")
    with pytest.raises(StoreCorrupt, match="replica"):
        LmdbStore.open(lmdb_path)
    with pytest.raises(StoreCorrupt, match="replica"):  # and the lock was released
        LmdbStore.open(lmdb_path)


@pytest.mark.usefixtures("format_2")
def test_a_store_that_holds_a_renewed_record_is_refused_by_earlier_releases(lmdb_store, lmdb_path, change):
    def formatted() -> bytes:
        return lmdb_store._environment.read(
            lambda transaction, tables: STORE.open(FORMAT_KEY, transaction.get(FORMAT_KEY, db=tables.store))
        )

    lmdb_store.commit([Batch(changes=(change("customers/ann", b"1"),))])
    assert formatted() == NAME + b"2"
    fresh = change("customers/ann", b"whole", snapshot=b"whole")._replace(renewed=True, lineage=77)
    lmdb_store.commit([Batch(changes=(fresh,))])
    assert formatted() == NAME + b"3"
    lmdb_store.close()
    again = LmdbStore.open(lmdb_path)
    assert again.record_head("customers/ann").lineage == 77
    again.close()


@pytest.fixture
def renewed(change):
    return Batch(changes=(change("customers/ann", b"whole", snapshot=b"whole")._replace(renewed=True, lineage=77),))


def copies(path):
    return sorted(each.name for each in path.iterdir() if each.name.startswith("format-"))


@pytest.mark.usefixtures("format_2")
def test_a_store_is_copied_before_its_format_is_raised(lmdb_store, lmdb_path, change, renewed, monkeypatch, caplog):
    lmdb_store._now = lambda: 1_700_000_000_000_000
    lmdb_store.commit([Batch(changes=(change("customers/ann", b"1", snapshot=b"1"),))])
    lmdb_store.commit([renewed])
    lmdb_store.commit([renewed])
    assert copies(lmdb_path) == ["format-2-2023-11-14"]
    assert str(lmdb_path / "format-2-2023-11-14") in caplog.text
    monkeypatch.setattr(identity, "NEWEST", 2)  # an earlier release
    lmdb_store.close()
    with pytest.raises(StoreFormat, match="format 3") as refused:
        LmdbStore.open(lmdb_path)
    assert "format-2-2023-11-14" in refused.value.hint
    with LmdbStore.open(lmdb_path / "format-2-2023-11-14") as before:
        assert before.load("customers/ann").updates == (b"1",)
        assert (before.replica, before.verify().findings) == (lmdb_store.replica, ())
        assert before.epoch != lmdb_store.epoch


@pytest.mark.usefixtures("format_2")
def test_an_empty_store_is_not_copied(lmdb_store, lmdb_path, renewed):
    lmdb_store.commit([renewed])
    assert copies(lmdb_path) == []


def test_a_store_that_is_made_now_needs_no_upgrade(lmdb_store, lmdb_path, change, renewed):
    lmdb_store.commit([Batch(changes=(change("customers/ann", b"1", snapshot=b"1"),))])
    lmdb_store.commit([renewed])
    assert copies(lmdb_path) == []


@pytest.mark.usefixtures("format_2")
def test_a_copy_of_an_upgrade_that_failed_is_made_anew(lmdb_store, lmdb_path, change, renewed, monkeypatch):
    lmdb_store._now = lambda: 1_700_000_000_000_000
    lmdb_store.commit([Batch(changes=(change("customers/ann", b"1", snapshot=b"1"),))])
    with monkeypatch.context() as patched:
        patched.setattr(identity, "_put", _refuse)
        with pytest.raises(OSError, match="power"):
            lmdb_store.commit([renewed])
    lmdb_store.commit([Batch(changes=(change("customers/ann", b"2", snapshot=b"2"),))])
    lmdb_store.commit([renewed])
    assert copies(lmdb_path) == ["format-2-2023-11-14"]
    with LmdbStore.open(lmdb_path / "format-2-2023-11-14") as before:
        assert before.load("customers/ann").updates == (b"2",)


def _refuse(*_arguments):
    raise OSError("the power went")


@pytest.mark.usefixtures("format_2")
@pytest.mark.parametrize("left", ["cut off", "no room", "refused", "free space not told", "size not told"])
def test_without_room_for_a_copy_the_store_goes_on_and_says_so(
    lmdb_store, lmdb_path, change, renewed, monkeypatch, caplog, left
):
    lmdb_store._now = lambda: 1_700_000_000_000_000
    lmdb_store.commit([Batch(changes=(change("customers/ann", b"1", snapshot=b"1"),))])
    if left == "cut off":  # a copy that was being made when the power went: it is made anew
        (lmdb_path / "format-2-2023-11-14.partial").mkdir()
        (lmdb_path / "format-2-2023-11-14.partial" / "data.mdb").write_bytes(b"the first half")
    elif left == "no room":
        monkeypatch.setattr(upgrade, "UPGRADE_ROOM_BYTES", 1 << 60)
    elif left == "free space not told":
        monkeypatch.setattr(shutil, "disk_usage", _refuse)
    elif left == "size not told":
        monkeypatch.setattr(Environment, "size_bytes", _refuse)
    else:
        monkeypatch.setattr(directory, "claimed", _refuse)
    lmdb_store.commit([renewed])
    assert copies(lmdb_path) == (["format-2-2023-11-14"] if left == "cut off" else [])
    assert ("without a copy" in caplog.text) == (left != "cut off")
    assert lmdb_store.record_head("customers/ann").lineage == 77
