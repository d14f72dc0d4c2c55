"""The directory of a store: finding it, making it, and copying it as a whole."""

import os
import shutil
from pathlib import Path

from crdt_sync.errors import StoreExists, StoreMissing
from crdt_sync.storage.lmdb.environment import DATA_NAME, Environment
from crdt_sync.storage.lmdb.failures import translate
from crdt_sync.storage.lmdb.identity import mark_copied


def exists(path: Path) -> bool:
    """Whether `path` holds the data file of a store."""
    return (path / DATA_NAME).exists()


def prepare(path: Path, create: bool) -> None:
    """Make the directory when a store is to be created in it; else raise `StoreMissing` if there is none."""
    try:
        if create:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        elif not exists(path):
            raise StoreMissing(f"there is no store in {path}", "Create one first, or name another directory.")
    except OSError as error:
        raise translate(error, path) from error


def make_durable(path: Path) -> None:
    """Sync the directory and its parent: a file whose name is not on disk is lost with the power."""
    try:
        for directory in (path, path.parent):
            handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
    except OSError as error:
        raise translate(error, path) from error


def copy(environment: Environment, path: Path) -> None:
    """Copy into `path`, which appears only when it is complete, marked as a copy and on disk."""
    if path.exists():
        raise StoreExists(f"{path} exists already", "Name a directory that does not exist yet.")
    partial = path.with_name(path.name + ".partial")
    try:
        if partial.exists():
            shutil.rmtree(partial)  # left by a copy that was interrupted
        partial.mkdir(mode=0o700, parents=True)
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
