"""The LMDB environment: opening it, transactions, growth of the map, and opening it again after a failure.

Rules:

1. The defaults of LMDB that survive a power cut stay: sync, metasync, no write map. They are given explicitly.
2. A read transaction lives for one call and never across threads: an old one would keep every freed page alive.
3. `set_mapsize` and closing need that no transaction is open: they take the read lock and the copy lock.
4. Any failure of a commit or of growth may leave the environment unusable: it is closed and opened again before the
   next use.

Locks are taken in the order writing, copying, reading.
"""

import contextlib
import os
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar, cast

import lmdb

from crdt_sync.errors import StoreClosed, StoreFailed, StoreFormat, StoreLocked
from crdt_sync.files import PRIVATE
from crdt_sync.storage.encryption.cipher import Cipher
from crdt_sync.storage.lmdb.encrypted import EncryptedTransaction, Layout, Orders, check_key, layouts, plain
from crdt_sync.storage.lmdb.failures import cause_of, translate
from crdt_sync.storage.lmdb.identity import ENCRYPTED, check_format
from crdt_sync.storage.lmdb.tables import PLACE_NAMES, TABLE_NAMES, PlaceTables, Table, Tables, Transaction

T = TypeVar("T")
DATA_NAME = "data.mdb"
READERS_NAME = "lock.mdb"
READERS_BYTES = 8192  # of 126 readers: two pages of its header and 64 bytes for each; LMDB takes a larger one as it is
_BLOCK_BYTES = 512  # as `stat` counts
ASIDE_NAME = "damaged"  # made once something is set aside: releases that do not know it take it for damage
AUDIT_NAME = "audit"  # the same, once something is audited


Work = Callable[[Transaction, Tables], T]
Unlock = Callable[[], bytes]
"""Gives the key of an encrypted store. Raises `StoreLocked`, `StoreKeyWrong`, `KeyUnusable`."""


class Environment:
    """One open LMDB environment that mends itself. Thread-safe.

    `unlock` is asked once, where the store is encrypted; `encrypts` says that it must be, a new one included.
    """

    def __init__(self, path: Path, map_bytes: int, unlock: Unlock | None = None, *, encrypts: bool = False) -> None:
        self.path = path
        self._unlock = unlock
        self._encrypts = encrypts
        self.cipher: Cipher | None = None
        self._orders = Orders()
        self._layouts: tuple[Tables, dict[Table, Layout]] | None = None
        self.writing = threading.RLock()
        self._copying = threading.Lock()
        self._reading = threading.RLock()
        self._map_bytes = map_bytes
        self._process = os.getpid()
        self._closed = False
        self._environment: lmdb.Environment | None = None
        self._tables: Tables | None = None
        self._open()

    def read(self, work: Work[T]) -> T:
        """Run `work` in a read transaction."""
        with self._reading:
            return self._look(work, self._orders)

    def write(self, work: Work[T]) -> T:
        """Run `work` in a write transaction and make it durable, or raise and change nothing.

        `work` runs again in a larger map when it did not fit, so it must not change anything else.
        """
        with self.writing:
            if self._environment is None and not self._closed:
                self._open()
            while True:
                environment, tables = self._usable()
                try:
                    try:
                        return self._attempt(environment, tables, work)
                    except lmdb.MapFullError:
                        self._grow()
                except lmdb.Error as error:
                    # No name for the cause here: it would tie the failed transaction's pages into a cycle.
                    raise translate(self._reopen(error), self.path) from error

    def _look(self, work: Work[T], orders: Orders | None) -> T:
        environment, tables = self._usable()
        try:
            with environment.begin(write=False, buffers=False) as transaction:
                return work(self._read_as_plain(transaction, tables, orders), tables)
        except lmdb.Error as error:
            raise translate(error, self.path) from error

    def _read_as_plain(self, transaction: Transaction, tables: Tables, orders: Orders | None) -> Transaction:
        if self.cipher is None:
            return transaction
        laid_out = self._laid_out(tables)
        return cast(Transaction, EncryptedTransaction(transaction, self.cipher, tables, laid_out, orders))

    def _laid_out(self, tables: Tables) -> dict[Table, Layout]:
        """How the rows of these databases lie; made once, as it takes longer than to read one."""
        known = self._layouts
        if known is None or known[0] is not tables:
            known = self._layouts = tables, layouts(tables)
        return known[1]

    def _attempt(self, environment: lmdb.Environment, tables: Tables, work: Work[T]) -> T:
        transaction = environment.begin(write=True, buffers=False)
        try:
            if self.cipher is None:
                result = work(transaction, tables)
                _commit_or_fail(transaction)
            else:
                as_plain = EncryptedTransaction(transaction, self.cipher, tables, self._laid_out(tables))
                state = transaction.id()
                result = work(cast(Transaction, as_plain), tables)
                _commit_or_fail(transaction)
                self._orders.owed.told(as_plain.owed, state)
        except BaseException:
            with contextlib.suppress(lmdb.Error):
                transaction.abort()
            raise
        return result

    def survey(self, work: Work[T]) -> T:
        """Run a long `work` in a read transaction of its own; only growth and closing wait for it."""
        with self._copying:
            return self._look(work, None)  # what is read meanwhile is newer than this sees

    def copy(self, path: Path) -> None:
        """Write a compacted copy into the existing, empty directory `path`; reads and writes go on."""
        with self._copying:
            environment, _ = self._usable()
            try:
                environment.copy(str(path), compact=True)
            except lmdb.Error as error:
                raise translate(error, path) from error

    def drop_strangers(self) -> None:
        """Drop databases that are none of a store's: what damage made of the name of one of them leads nowhere."""
        with self.writing:
            environment, _ = self._usable()
            try:
                with environment.begin(write=True) as transaction:
                    for name in strangers(transaction)[: len(TABLE_NAMES)]:
                        transaction.drop(environment.open_db(name, txn=transaction, create=False), delete=True)
            except lmdb.Error as error:
                raise translate(error, self.path) from error

    def make_aside(self) -> None:
        """Make the database for what is set aside, unless it is there."""
        self._make("damaged", lambda environment, txn: environment.open_db(ASIDE_NAME.encode("ascii"), txn=txn))

    def make_places(self) -> None:
        """Make the databases for what records show, unless they are there."""
        self._make("placed", _place_tables)

    def make_audit(self) -> None:
        """Make the database for the audit log, unless it is there."""
        self._make("audit", lambda environment, txn: environment.open_db(AUDIT_NAME.encode("ascii"), txn=txn))

    def _make(self, name: str, opened: Callable[[lmdb.Environment, Transaction], object]) -> None:
        with self.writing:
            if getattr(self._usable()[1], name) is None:
                made: Any = self.write(lambda txn, _: opened(self._usable()[0], plain(txn)))
                with self._reading:
                    self._tables = replace(self._usable()[1], **{name: made})

    def drop_aside(self) -> None:
        """Drop that database with all that is in it."""
        with self.writing:
            if self._usable()[1].damaged is None:
                return
            self.write(lambda txn, tables: None if tables.damaged is None else txn.drop(tables.damaged, delete=True))
            with self._reading:
                self._tables = replace(self._usable()[1], damaged=None)

    def check_readers(self) -> int:
        """Free the slots of readers whose process died; returns how many."""
        with self._reading:
            environment, _ = self._usable()
            return int(environment.reader_check())

    def readers(self) -> str:
        """LMDB's table of readers, one line for each, for diagnosis."""
        with self._reading:
            environment, _ = self._usable()
            return str(environment.readers())

    def size_bytes(self) -> int:
        """Bytes of the data file."""
        return (self.path / DATA_NAME).stat().st_size

    def key(self) -> bytes:
        """The key of the store. Raises `StoreLocked` where it has none."""
        if self.cipher is None:
            raise StoreLocked(f"the store {self.path} is not encrypted", "Encrypt it first.")
        return self.cipher.key

    @property
    def map_bytes(self) -> int:
        """The present size of the map."""
        return self._map_bytes

    def check_open(self) -> None:
        """Raise `StoreClosed` or `StoreFailed` unless it can be used; waits while it is being opened again."""
        with self._reading:
            self._usable()

    def close(self) -> None:
        """Close it; doing it twice is harmless."""
        with self.writing, self._copying, self._reading:
            self._closed = True
            self._shut()

    def _usable(self) -> tuple[lmdb.Environment, Tables]:
        self._check_ours()
        if self._environment is None or self._tables is None:
            raise StoreFailed(f"the store {self.path} failed and could not be opened again", "Check the disk.")
        return self._environment, self._tables

    def _check_ours(self) -> None:
        if self._closed:
            raise StoreClosed(f"the store {self.path} was closed", "Open it again.")
        if os.getpid() != self._process:
            raise StoreFailed(f"the store {self.path} was opened by another process", "Open it after the fork.")

    def _grow(self) -> None:
        with self._copying, self._reading:
            environment, _ = self._usable()
            environment.set_mapsize(self._map_bytes * 2)
            self._map_bytes *= 2

    def _reopen(self, error: lmdb.Error) -> lmdb.Error | OSError:
        """Leave the failed environment and return what was behind the failure.

        If opening fails as well, the next write tries again.
        """
        with self._copying, self._reading:
            self._shut()
            cause = cause_of(error, self.path / DATA_NAME)
            with contextlib.suppress(Exception):
                self._open()
            return cause

    def _shut(self) -> None:
        environment, self._environment, self._tables = self._environment, None, None
        self._orders.forget()
        if environment is not None:
            environment.close()

    def _open(self) -> None:
        try:
            environment = open_environment(self.path, self._map_bytes)
        except (lmdb.Error, OSError) as error:
            raise translate(error, self.path) from error
        try:
            self._take_key(environment)
            tables = _open_tables(environment)
        except BaseException as error:
            environment.close()
            if isinstance(error, lmdb.Error | OSError):
                raise translate(error, self.path) from error
            raise
        self._map_bytes = max(self._map_bytes, environment.info()["map_size"])
        self._environment, self._tables = environment, tables

    def _take_key(self, environment: lmdb.Environment) -> None:
        """Have the cipher of an encrypted store, before anything is written. Raises `StoreFormat` and what keys do."""
        found = check_format(environment, self.path)
        if found and found != ENCRYPTED and self._encrypts:
            raise StoreFormat(
                f"{self.path} is not encrypted, though it has a key: somebody has put another store in its place",
                "Find out who, and put a backup in its place. To use what is there, remove the file 'store-key'.",
            )
        if found != ENCRYPTED and not self._encrypts:
            self.cipher = None
            return
        if self.cipher is None:
            if self._unlock is None:
                raise StoreLocked(f"the store {self.path} is encrypted", "Unlock it first.")
            self.cipher = Cipher(self._unlock())
        if found:
            table = environment.open_db(b"store", create=False)
            with environment.begin(write=False, buffers=False) as transaction:
                check_key(transaction, table, self.path, self.cipher)

    def forget_orders(self) -> None:
        """What is stored was changed by something else than a commit, or may have been."""
        self._orders.forget()


def open_environment(path: Path, map_bytes: int) -> lmdb.Environment:
    """Open LMDB's files in `path`, or make them. Raises `lmdb.Error`, `OSError`.

    A truncated file gets its length back, so that reading what is missing is an error and not a SIGBUS.
    """
    reserve_readers(path / READERS_NAME)
    environment = lmdb.open(
        str(path), map_size=map_bytes, subdir=True, readonly=False, metasync=True, sync=True,
        map_async=False, mode=0o600, create=True, readahead=True, writemap=False, meminit=True,
        max_readers=126, max_dbs=2 * len(TABLE_NAMES), max_spare_txns=1, lock=True,
    )  # fmt: skip
    try:
        environment.reader_check()
        needed = (environment.info()["last_pgno"] + 1) * environment.stat()["psize"]
        if (path / DATA_NAME).stat().st_size < needed:
            os.truncate(path / DATA_NAME, needed)
    except BaseException:
        environment.close()
        raise
    return environment


def reserve_readers(path: Path) -> None:
    """Have room on the disk for LMDB's table of readers: it is mapped and written to, so that where there is none the
    process would end by SIGBUS. Raises `OSError`.
    """
    if not hasattr(os, "posix_fallocate"):
        return
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, PRIVATE)
    try:
        found = os.fstat(handle)
        if found.st_size < READERS_BYTES or found.st_blocks * _BLOCK_BYTES < found.st_size:
            os.posix_fallocate(handle, 0, max(found.st_size, READERS_BYTES))
    finally:
        os.close(handle)


def strangers(transaction: Transaction) -> list[bytes]:
    """The names of databases that are none of a store's."""
    ours = {name.encode("ascii") for name in (*TABLE_NAMES, *PLACE_NAMES, ASIDE_NAME, AUDIT_NAME)}
    with transaction.cursor() as cursor:
        return [name for name in cursor.iternext(keys=True, values=False) if name not in ours]


def _open_tables(environment: lmdb.Environment) -> Tables:
    """Open the tables, or make them all in one transaction: a creation that was cut short leaves all or none."""
    aside, audit = ASIDE_NAME.encode("ascii"), AUDIT_NAME.encode("ascii")
    with environment.begin(write=True) as transaction:
        tables = Tables(*(environment.open_db(name.encode("ascii"), txn=transaction) for name in TABLE_NAMES))
        if transaction.get(PLACE_NAMES[0].encode("ascii")) is not None:
            tables = replace(tables, placed=_place_tables(environment, transaction))
        if transaction.get(audit) is not None:
            tables = replace(tables, audit=environment.open_db(audit, txn=transaction))
        if transaction.get(aside) is None:
            return tables
        return replace(tables, damaged=environment.open_db(aside, txn=transaction))


def _place_tables(environment: lmdb.Environment, transaction: Transaction) -> PlaceTables:
    return PlaceTables(*[environment.open_db(name.encode("ascii"), txn=transaction) for name in PLACE_NAMES])


def _commit_or_fail(transaction: Transaction) -> None:
    """Commit; whatever it raises is a failure of the disk to its caller, as the commit may be found whole."""
    try:
        commit(transaction)
    except lmdb.Error:
        raise
    except Exception as error:
        raise lmdb.Error(f"mdb_txn_commit: {error or type(error).__name__}") from error


def commit(transaction: Transaction) -> None:
    """Commit; the one place where a test can make the disk fail."""
    transaction.commit()
