"""A store that is encrypted, or decrypted: all of it is written anew beside it, and then takes its place.

Rules:

1. Until the new data file is whole and on disk, nothing of the store is touched. It takes the place of the old one by
   one renaming; what was there before is destroyed only after that.
2. Whatever power cut comes, the store is as it was, or changed whole. `settle`, which every opening calls where
   something was left, finds out which by the id of the key that the data file names, and does the rest.
3. Rows are taken as they are, damaged ones too: what was damage before is damage after it.
4. The key is on disk before the first encrypted row counts, and is destroyed after the last one is gone.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import lmdb

from crdt_sync import limits
from crdt_sync.errors import StoreCorrupt, StoreExists, StoreMissing
from crdt_sync.files import destroy, sync_folder
from crdt_sync.storage.encryption import key_box
from crdt_sync.storage.encryption.key_box import CHANGING_NAME, Box
from crdt_sync.storage.encryption.unlocking import found_key
from crdt_sync.storage.lmdb import copies, directory, identity, shown
from crdt_sync.storage.lmdb.codec import STORE
from crdt_sync.storage.lmdb.environment import DATA_NAME, READERS_NAME, Environment, open_environment
from crdt_sync.storage.lmdb.failures import translate
from crdt_sync.storage.lmdb.lock import StoreLock
from crdt_sync.storage.lmdb.reads import walk
from crdt_sync.storage.lmdb.tables import TABLE_NAMES, Table, Tables, Transaction

_PARTIAL = "changing"
_BEFORE = "data.mdb.before"

Progress = Callable[[int, int], None]
"""Told how many rows of how many are done."""


def encrypt(path: Path, key: bytes, box: Box, progress: Progress | None = None) -> None:
    """Encrypt the closed store at `path` with a new key, which `box` holds wrapped; its plain files are destroyed.

    Cut short, it can be done again. Raises `StoreInUse`, `StoreExists` where it is encrypted, and what opening raises.
    """
    with _Change(path) as change:
        if change.encrypted:
            raise StoreExists(f"the store in {path} is encrypted already", "Change its key: 'crdt-sync store passwd'.")
        change.write(None, key, progress)
        key_box.write(path, box, CHANGING_NAME)
        change.take_place()
        destroy_plain(path)  # already done, but where there are no links


def decrypt(path: Path, key: bytes | None = None, progress: Progress | None = None) -> None:
    """Decrypt the closed store at `path`; its key is destroyed. `key`: where none is given, it is looked for.

    Cut short, it can be done again. Raises `StoreInUse`, `StoreMissing` where it is not encrypted, and what opening
    raises.
    """
    with _Change(path) as change:
        if not change.encrypted:
            raise StoreMissing(f"the store in {path} is not encrypted", "There is nothing to be done.")
        change.write(found_key(path) if key is None else key, None, progress)
        os.replace(path / key_box.NAME, path / CHANGING_NAME)
        sync_folder(path)
        change.take_place()


def destroy_plain(path: Path) -> None:
    """Destroy what else was written beside a store, and shows records in plain; nothing of it is ever needed.

    Raises `OSError`.
    """
    for copy in copies.found(path):
        for file in copy.iterdir():
            destroy(file)
        copy.rmdir()
    for file in [*path.glob("exports/*"), *(path / name for name in _SPOKEN)]:
        if file.is_file():
            destroy(file)


_SPOKEN = ("up.log", "up.log.before", "sync-failed.json", f"{DATA_NAME}.unfinished")  # may name records


def is_left(path: Path) -> bool:
    """Whether something was left by a change that was cut short."""
    return (path / CHANGING_NAME).exists() or (path / _BEFORE).exists()


def settle(path: Path) -> None:
    """Finish what a change that was cut short has left to do. The caller holds the lock of the store.

    Raises `StoreError`.
    """
    try:
        named = encrypted_by(path)
        with suppress(FileNotFoundError):
            shutil.rmtree(path / _PARTIAL)
        changing = path / CHANGING_NAME
        if changing.exists():
            if named is not None and key_box.read(path, CHANGING_NAME).id == named.hex():
                os.replace(changing, path / key_box.NAME)
                sync_folder(path)
            else:
                destroy(changing)
        before = path / _BEFORE
        if before.exists():
            if before.samefile(path / DATA_NAME):
                before.unlink()
                sync_folder(path)
            else:
                if named is not None:
                    destroy_plain(path)
                destroy(before)  # last: as long as it is there, there is something to settle
    except OSError as error:
        raise translate(error, path) from error


def encrypted_by(path: Path) -> bytes | None:
    """The id of the key by which a closed store is encrypted; None where it is not. Raises `StoreError`."""
    try:
        with open_environment(path, limits.MAP_BYTES_FIRST) as environment:
            if identity.check_format(environment, path) != identity.ENCRYPTED:
                return None
            table = environment.open_db(b"store", create=False)
            with environment.begin(write=False, buffers=False) as transaction:
                return STORE.open(identity.KEY_ID_KEY, transaction.get(identity.KEY_ID_KEY, b"", db=table))
    except StoreCorrupt as error:
        raise StoreCorrupt(
            f"{path} does not tell whether or by which key it is encrypted: {error.message}", error.hint
        ) from error
    except (lmdb.Error, OSError) as error:
        raise translate(error, path) from error


class _Change:
    """One change of a store, under its lock."""

    def __init__(self, path: Path) -> None:
        directory.prepare(path, create=False)
        self.path = path
        self._lock = StoreLock(path)
        try:
            if is_left(path):
                settle(path)
            self.encrypted = encrypted_by(path) is not None
        except BaseException:
            self._lock.release()
            raise

    def __enter__(self) -> "_Change":
        return self

    def __exit__(self, *_error: object) -> None:
        self._lock.release()

    def write(self, key: bytes | None, new_key: bytes | None, progress: Progress | None) -> None:
        """Write all of the store into a new data file beside it, under another key, or under none."""
        beside = self.path / _PARTIAL
        try:
            with directory.claimed(beside):
                source = _environment(self.path, key)
                try:
                    target = _environment(beside, new_key)
                    try:
                        source.survey(lambda txn, tables: _copy(txn, tables, target, progress or _untold))
                    finally:
                        target.close()
                finally:
                    source.close()
                directory.make_durable(beside)
        except OSError as error:
            raise translate(error, self.path) from error

    def take_place(self) -> None:
        """The new data file takes the place of the old one, and of that nothing stays."""
        data = self.path / DATA_NAME
        try:
            with suppress(OSError):  # a file system without links: the old file can only be removed, not written over
                os.link(data, self.path / _BEFORE)
            sync_folder(self.path)
            os.replace(self.path / _PARTIAL / DATA_NAME, data)
            (self.path / READERS_NAME).unlink(missing_ok=True)  # it is of the old one, and is made anew
            sync_folder(self.path)
        except OSError as error:
            raise translate(error, self.path) from error
        settle(self.path)


def _environment(path: Path, key: bytes | None) -> Environment:
    if key is None:
        return Environment(path, limits.MAP_BYTES_FIRST)
    return Environment(path, limits.MAP_BYTES_FIRST, lambda: key, encrypts=True)


def _copy(transaction: Transaction, tables: Tables, target: Environment, progress: Progress) -> None:
    """Copy every row but the format, in transactions of about `CONVERT_BYTES`; what records show is read anew."""
    if tables.damaged is not None:
        target.make_aside()
    if tables.audit is not None:
        target.make_audit()
    names = [name for name in (*TABLE_NAMES, "damaged", "audit") if getattr(tables, name) is not None]
    total = sum(transaction.stat(getattr(tables, name))["entries"] for name in names)
    key_id = None if target.cipher is None else target.cipher.id
    target.write(lambda txn, its: identity.write_format(txn, its, key_id))
    done = 0
    for name in names:
        for rows in _parts(transaction, getattr(tables, name), name):
            target.write(partial(_put, name=name, rows=rows))
            done += len(rows)
            progress(done, total)


def _parts(transaction: Transaction, table: Table, name: str) -> Iterator[list[tuple[bytes, bytes]]]:
    rows: list[tuple[bytes, bytes]] = []
    size = 0
    for key, value in walk(transaction, table, b"\0"):
        if name == "store" and (key in identity.OPEN_KEYS or key == shown.STATE_KEY):
            continue
        rows.append((key, value))
        size += len(key) + len(value)
        if size >= limits.CONVERT_BYTES:
            yield rows
            rows, size = [], 0
    if rows:
        yield rows


def _put(transaction: Transaction, tables: Tables, name: str, rows: list[tuple[bytes, bytes]]) -> None:
    with transaction.cursor(db=getattr(tables, name)) as cursor:
        cursor.putmulti(rows)


def _untold(_done: int, _total: int) -> None:
    """Nobody is told."""
