"""The directory of a store: finding it, making it, and copying it as a whole."""

import mmap
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from crdt_sync.errors import StoreExists, StoreFailed, StoreForbidden, StoreInUse, StoreMissing
from crdt_sync.files import sync_folder
from crdt_sync.storage.lmdb.environment import DATA_NAME, Environment
from crdt_sync.storage.lmdb.failures import translate
from crdt_sync.storage.lmdb.identity import mark_copied

_PAGE_BYTES = mmap.PAGESIZE  # what LMDB makes its pages of here
_PAGE_BYTES_AT = 40  # in the first header: of those of this file
_PAGE_BYTES_POSSIBLE = range(512, 64 * 1024 + 1)
_UNFINISHED_BYTES_MAX = 8 * _PAGE_BYTES  # two headers and the first tables
_UNFINISHED_NAME = DATA_NAME + ".unfinished"
_SECTOR_BYTES = 512  # what a disk writes whole or not at all; LMDB's header of a file is shorter
_MAGIC = (0xBEEFC0DE).to_bytes(4, sys.byteorder)


def exists(path: Path) -> bool:
    """Whether `path` holds the data file of a store. One without both of its headers never was: the disk was full.

    Raises `OSError` where that cannot be told: this user may not look there, or it is a file.
    """
    data = path / DATA_NAME
    try:
        size = data.stat().st_size
    except FileNotFoundError:
        return False
    try:
        with data.open("rb") as file:
            return size >= 2 * _page_bytes(file.read(_SECTOR_BYTES))
    except OSError:
        return True  # opening it says what is wrong


def _page_bytes(header: bytes) -> int:
    """How large the pages of a data file are, by its first header: it may come from another kind of machine."""
    told = int.from_bytes(header[_PAGE_BYTES_AT : _PAGE_BYTES_AT + 4], sys.byteorder)
    return told if _MAGIC in header and told in _PAGE_BYTES_POSSIBLE else _PAGE_BYTES


def prepare(path: Path, create: bool) -> None:
    """Make the directory when a store is to be created in it; else raise `StoreMissing` if there is none."""
    try:
        if not create and not exists(path):
            raise StoreMissing(f"there is no store in {path}", "Create one first, or name another directory.")
    except OSError as error:
        raise translate(error, path) from error
    if create:
        _make(path)


def _make(path: Path) -> None:
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        found = translate(error, path)
        if type(found) is StoreFailed:  # what is not about this user, the disk's room or a file in the way
            raise StoreForbidden(
                f"no directory can be made at {path}: {error.strerror}", "Name another one for the store."
            ) from error
        raise found from error


def discard_unfinished(path: Path) -> None:
    """Put aside a data file of which the power or a full disk left only a part while its first pages were written.

    LMDB takes it for that of another program. It was never synced, so nothing was acknowledged; it is kept beside
    the new one all the same. The caller holds the store's lock.
    """
    data = path / DATA_NAME
    try:
        if not data.exists() or data.stat().st_size > _UNFINISHED_BYTES_MAX:
            return
        content = data.read_bytes()
        first = content[:_SECTOR_BYTES]
        page = _page_bytes(first)
        second = content[page : page + _SECTOR_BYTES]
        if content and (not any(first) or (_MAGIC in first and not any(second))):
            data.replace(path / _UNFINISHED_NAME)
    except OSError as error:
        raise translate(error, path) from error


def make_durable(path: Path) -> None:
    """Sync the directory and its parent: a file whose name is not on disk is lost with the power."""
    try:
        for directory in (path, path.parent):
            sync_folder(directory)
    except OSError as error:
        raise translate(error, path) from error


@contextmanager
def claimed(partial: Path) -> Iterator[None]:
    """Make `partial` an empty directory that nobody else fills meanwhile; what an interrupted process left in it goes.

    The claim lasts for the block, also where the directory is renamed in it. What is left of it after an error goes.
    Raises `StoreInUse` where another process has claimed it, and `OSError`.
    """
    partial.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(partial, os.O_RDONLY)
    try:
        from filelock import lock_descriptor  # noqa: PLC0415 - only who makes a store needs it

        if not lock_descriptor(handle, blocking=False) or not _is_at(handle, partial):
            raise StoreInUse(f"{partial} is being written by another process", "Wait until it has ended.")
        for left in partial.iterdir():
            left.unlink()
    except BaseException:
        os.close(handle)
        raise
    try:
        yield
    except BaseException:
        with suppress(OSError):
            if _is_at(handle, partial):
                shutil.rmtree(partial)
        raise
    finally:
        os.close(handle)


def _is_at(handle: int, path: Path) -> bool:
    """Whether the open directory is still the one at `path`: whoever had it may have renamed it."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def copy(environment: Environment, path: Path) -> None:
    """Copy into `path`, which appears only when it is complete, marked as a copy and on disk.

    Raises `StoreExists`, `StoreInUse` while another copy to the same place is made, and any `StoreError`.
    """
    if path.exists():
        raise StoreExists(f"{path} exists already", "Name a directory that does not exist yet.")
    partial = path.with_name(path.name + ".partial")
    try:
        with claimed(partial):
            environment.copy(partial)
            os.chmod(partial / DATA_NAME, 0o600)
            _mark(partial, environment.map_bytes)
            make_durable(partial)
            partial.rename(path)
            make_durable(path)
    except OSError as error:
        raise translate(error, path) from error


def _mark(path: Path, map_bytes: int) -> None:
    twin = Environment(path, map_bytes)
    try:
        twin.write(mark_copied)
    finally:
        twin.close()
