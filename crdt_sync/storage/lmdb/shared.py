"""A store that another process owns: it is read beside that process, and written by nobody here, until it is owned.

LMDB lets any number of processes read while one writes: each read sees one committed state. The owner may enlarge the
map at any time, which a reader takes over when it meets it.
"""

import contextlib
import os
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import lmdb

from crdt_sync.errors import StoreError, StoreFailed, StoreForbidden
from crdt_sync.ids import Space
from crdt_sync.storage import lives
from crdt_sync.storage.encryption import key_box
from crdt_sync.storage.encryption.unlocking import found_key
from crdt_sync.storage.lmdb import directory, identity, reads, shown
from crdt_sync.storage.lmdb.codec import State
from crdt_sync.storage.lmdb.environment import ASIDE_NAME, AUDIT_NAME, Environment, Unlock, Work
from crdt_sync.storage.lmdb.failures import translate
from crdt_sync.storage.lmdb.lock import StoreLock
from crdt_sync.storage.lmdb.store import LmdbStore, wall_clock
from crdt_sync.storage.lmdb.tables import PLACE_NAMES, TABLE_NAMES, PlaceTables, Tables
from crdt_sync.storage.places import Row
from crdt_sync.storage.values import ChangedDigests

T = TypeVar("T")
_RESIZED_MAX = 8  # how often the map may be found enlarged in one read: each time it has doubled


class SharedEnvironment(Environment):
    """The environment of a store that another process writes to, until `own`."""

    owned = False

    def own(self) -> None:
        """Nobody else writes to it any more: open it to be written. Reads wait meanwhile.

        The caller holds the lock of the store, and calls `disown` before it lets go of it.
        """
        with self.writing, self._copying, self._reading:
            self._check_ours()
            self._shut()
            self.owned = True
            self._open()

    def disown(self) -> None:
        """Others may write to it from now on: it is only read here. Where it cannot be opened, the next use tries."""
        with self.writing, self._copying, self._reading:
            self._shut()
            self.owned = False
            if not self._closed:
                with contextlib.suppress(StoreError):
                    self._open()

    def check_open(self) -> None:
        """Raise `StoreClosed` or `StoreFailed` unless it can be used."""
        with self._reading:
            self._open_again()
            super().check_open()

    def read(self, work: Work[T]) -> T:
        """Run `work` in a read transaction."""
        with self._reading:
            if self.owned:
                return super().read(work)
            self._open_again()
            for _ in range(_RESIZED_MAX):
                environment, tables = self._usable()
                try:
                    with environment.begin(write=False, buffers=False) as transaction:
                        return work(self._read_as_plain(transaction, tables, self._orders), tables)
                except lmdb.MapResizedError:
                    environment.set_mapsize(0)
                except lmdb.Error as error:
                    raise translate(error, self.path) from error
            raise StoreFailed(f"{self.path} grew again and again while it was read", "Try again.")

    def survey(self, work: Work[T]) -> T:
        """Run a long `work` in a read transaction."""
        return super().survey(work) if self.owned else self.read(work)

    def write(self, work: Work[T]) -> T:
        """Nothing is written here, until it is owned."""
        if self.owned:
            return super().write(work)
        raise StoreFailed(f"{self.path} is written by another process alone", "Ask that process.")

    def _open_again(self) -> None:
        if self._environment is None and not self.owned:
            self._check_ours()
            self._open()

    def _open(self) -> None:
        self._orders.told = self.owned
        if self.owned:
            super()._open()
            return
        try:
            environment = lmdb.open(
                str(self.path), map_size=0, subdir=True, readonly=True, create=False, max_readers=126,
                max_dbs=2 * len(TABLE_NAMES), max_spare_txns=1, lock=True,
            )  # fmt: skip
        except (lmdb.Error, OSError) as error:
            raise translate(error, self.path) from error
        try:
            self._take_key(environment)
            tables = Tables(*[environment.open_db(name.encode("ascii"), create=False) for name in TABLE_NAMES])
            with contextlib.suppress(lmdb.NotFoundError):
                tables = replace(tables, damaged=environment.open_db(ASIDE_NAME.encode("ascii"), create=False))
            with contextlib.suppress(lmdb.NotFoundError):
                placed = (environment.open_db(name.encode("ascii"), create=False) for name in PLACE_NAMES)
                tables = replace(tables, placed=PlaceTables(*placed))
            with contextlib.suppress(lmdb.NotFoundError):
                tables = replace(tables, audit=environment.open_db(AUDIT_NAME.encode("ascii"), create=False))
        except BaseException as error:
            environment.close()
            if isinstance(error, lmdb.Error | OSError):
                raise translate(error, self.path) from error
            raise
        self._environment, self._tables = environment, tables


def opened_to_read(path: Path) -> LmdbStore:
    """The store, for who only reads it: on a medium that cannot be written to without the lock of a writer.

    Raises as `LmdbStore.open` does.
    """
    try:
        return LmdbStore.open(path)
    except StoreForbidden:
        if not _is_read_only(path):
            raise
        return SharedStore.beside(path)


def _is_read_only(path: Path) -> bool:
    """Whether it is on a medium that cannot be written to, as far as this user can tell; Windows never can."""
    try:
        return hasattr(os, "statvfs") and bool(os.statvfs(path).f_flag & os.ST_RDONLY)
    except OSError:
        return False


class SharedStore(LmdbStore):
    """The store of another process, to be read, until `own`. Build it with `SharedStore.beside`."""

    _environment: SharedEnvironment
    _known_state: State
    _known_lives: lives.Lives

    @classmethod
    def beside(cls, path: Path, unlock: Unlock | None = None) -> "SharedStore":
        """The store in `path`, which another process has open. Raises as `LmdbStore.open` does.

        `unlock` gives the key where it is encrypted; else it is looked for.
        """
        directory.prepare(path, create=False)
        environment = SharedEnvironment(path, 0, unlock or partial(found_key, path), encrypts=key_box.exists(path))
        try:
            who = environment.read(identity.read)
            return cls(environment, None, (who, environment.read(reads.read_state)), wall_clock, random.SystemRandom())
        except BaseException:
            environment.close()
            raise

    def own(self) -> None:
        """Take the store over from a process that has ended: from now on it is written here, as one that `open` gave.

        Raises `StoreInUse` where that one, or another, has it, and what `LmdbStore.open` raises: it is read as before
        then, and can be taken over later. Doing it again is harmless.
        """
        with self._environment.writing:  # whoever closes the store meanwhile waits, and releases the lock
            if self._environment.owned:
                return
            lock = StoreLock(self.path)
            try:
                self._environment.own()
                self._begin(lock)
            except BaseException:
                try:
                    self._environment.disown()
                finally:
                    lock.release()
                raise

    @property
    def _state(self) -> State:
        return self._known_state if self._environment.owned else self._environment.read(reads.read_state)

    @_state.setter
    def _state(self, state: State) -> None:
        self._known_state = state  # else it is what is stored

    @property
    def _lives(self) -> lives.Lives:
        return self._known_lives if self._environment.owned else self._environment.read(identity.read).lives

    @_lives.setter
    def _lives(self, known: lives.Lives) -> None:
        self._known_lives = known  # else they are what is stored

    @property
    def space(self) -> Space:
        """The space that the records belong to."""
        return super().space if self._environment.owned else self._environment.read(identity.read).space

    def changed_digests(self, after: int, limit: int, also: Sequence[str]) -> ChangedDigests | None:
        """Digests of what changed after `after`."""
        if self._environment.owned:
            return super().changed_digests(after, limit, also)
        return self._environment.read(lambda txn, tables: reads.changed_digests(txn, tables, after, limit, also))

    def _recent_row(self, record: str) -> Row | None:
        return super()._recent_row(record) if self._environment.owned else None

    def _rows_of(self, keys: Sequence[bytes]) -> Mapping[bytes, Row]:
        if self._environment.owned:
            return super()._rows_of(keys)
        return self._environment.read(lambda txn, tables: shown.rows(txn, tables, keys))
