"""Disks that are full before a store is made, and what others have put in the place of its files."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from crdt_sync.errors import StoreExists, StoreForbidden, StoreMissing
from crdt_sync.storage.lmdb import LmdbStore, directory
from crdt_sync.storage.lmdb.shared import opened_to_read
from tests.mounts import mounted, remounted

OPEN = """
import pathlib, sys
from crdt_sync.errors import StoreFull
from crdt_sync.storage.lmdb import LmdbStore, directory
from crdt_sync.storage.lmdb.shared import opened_to_read
try:
    LmdbStore.open(pathlib.Path(sys.argv[1]), create=True)
except StoreFull:
    print("full")
"""


def opened(program, path):
    """Exit code and output of a process that opens a store."""
    done = subprocess.run([sys.executable, "-c", program, str(path)], check=False, capture_output=True, timeout=60)
    return done.returncode, done.stdout


@pytest.mark.parametrize("kib", [4, 8, 16, 24])
def test_a_new_store_on_a_full_disk_is_refused_and_ends_nothing(tmp_path, kib):
    with mounted(tmp_path / "small", f"size={kib}k") as disk:
        for _ in range(2):  # what the first try left is no hindrance
            assert opened(OPEN, disk / "store") == (0, b"full\n")


@pytest.mark.parametrize("kib", [4, 8, 16, 24])
def test_once_there_is_room_it_is_made_as_if_nothing_had_been_there(tmp_path, kib):
    with mounted(tmp_path / "small", f"size={kib}k") as disk:
        assert opened(OPEN, disk / "store") == (0, b"full\n")
        remounted(disk, "size=4m")
        with pytest.raises(StoreMissing):  # as the relay asks, before it makes one
            LmdbStore.open(disk / "store")
        LmdbStore.open(disk / "store", create=True).close()
        LmdbStore.open(disk / "store").close()


@pytest.mark.parametrize("page", [16, 64])
def test_a_small_store_is_one_where_memory_has_larger_pages_than_where_it_was_made(tmp_path, monkeypatch, page):
    path = tmp_path / "store"
    with LmdbStore.open(path, create=True) as store:
        replica = store.replica
    monkeypatch.setattr(directory, "_PAGE_BYTES", page * 1024)
    monkeypatch.setattr(directory, "_UNFINISHED_BYTES_MAX", 8 * page * 1024)
    assert LmdbStore.exists(path)
    with pytest.raises(StoreExists):
        LmdbStore.open(path, create=True)
    with LmdbStore.open(path) as store:
        assert store.replica == replica


def test_a_store_that_this_user_may_not_even_look_for_is_forbidden_to_who_only_reads(tmp_path, monkeypatch):
    def refuse(path, *_, **__):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "stat", refuse)
    monkeypatch.setattr(os, "statvfs", refuse)
    with pytest.raises(StoreForbidden):
        opened_to_read(tmp_path / "locked" / "store")


def test_a_store_whose_table_of_readers_has_no_room_says_so(tmp_path):
    with mounted(tmp_path / "small", "size=200k") as disk:
        LmdbStore.open(disk / "store", create=True).close()
        (disk / "store" / "lock.mdb").unlink()
        with (disk / "rest").open("wb") as rest:
            while True:
                try:
                    os.write(rest.fileno(), bytes(4096))
                except OSError:
                    break
        assert opened(OPEN.replace(", create=True", ""), disk / "store") == (0, b"full\n")


@pytest.mark.parametrize("name", ["lock", "lock.mdb"])
def test_a_link_in_the_place_of_a_lock_is_not_followed(tmp_path, name):
    LmdbStore.open(tmp_path / "store", create=True).close()
    other = tmp_path / "precious"
    other.write_text("not to be written over")
    (tmp_path / "store" / name).unlink()
    (tmp_path / "store" / name).symlink_to(other)
    with pytest.raises(StoreForbidden, match="is a link"):
        LmdbStore.open(tmp_path / "store")
    assert other.read_text() == "not to be written over"
