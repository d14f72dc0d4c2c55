"""A store whose format or replica id is damaged: nothing can open it, so these two are mended before anything else.

Rules:

1. The number of the format is put back where what is left of its entry can only have been one of those that are known:
   another one differs in half of the bits of its seal. Else nothing is touched, as a later release may have written it.
2. The replica id cannot be derived: the store gets a new one, and a new life, so that everybody compares with it. All
   else stays: the records, and the outboxes, which are named by who is owed.
3. The damaged values are set aside like all others.
"""

import random
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import cast

import lmdb

from crdt_sync import ids, limits
from crdt_sync.errors import StoreCorrupt
from crdt_sync.storage.encryption import key_box
from crdt_sync.storage.encryption.cipher import Cipher
from crdt_sync.storage.encryption.unlocking import found_key
from crdt_sync.storage.lmdb import directory
from crdt_sync.storage.lmdb.codec import DAMAGED, STORE
from crdt_sync.storage.lmdb.encrypted import EncryptedTransaction, check_key, layouts
from crdt_sync.storage.lmdb.environment import ASIDE_NAME, open_environment
from crdt_sync.storage.lmdb.failures import translate
from crdt_sync.storage.lmdb.identity import FORMAT, FORMAT_KEY, LIVES_KEY, NAME, NEWEST, REPLICA_KEY
from crdt_sync.storage.lmdb.lock import StoreLock
from crdt_sync.storage.lmdb.tables import TABLE_NAMES, Table, Tables, Transaction

_BITS_MAX = 32  # that damage may have changed of an entry whose seal has 128
_TIME = struct.Struct(">q")


def mend_identity(
    path: Path,
    now: Callable[[], int],
    rng: random.Random | None = None,
    map_bytes: int = limits.MAP_BYTES_FIRST,
) -> tuple[str, ...]:
    """Mend what is damaged of the two in the closed store at `path`; returns their names, of both `format` first.

    `map_bytes` is the first size of the map, which grows. Raises `StoreCorrupt` where the format cannot be told, with
    nothing changed, and what opening a store raises.
    """
    directory.prepare(path, create=False)
    lock = StoreLock(path)
    try:
        with open_environment(path, map_bytes) as environment:
            while True:
                try:
                    return _mended(environment, path, now, rng or random.SystemRandom())
                except lmdb.MapFullError:
                    environment.set_mapsize(environment.info()["map_size"] * 2)
    except (lmdb.Error, OSError) as error:
        raise translate(error, path) from error
    finally:
        lock.release()


def _mended(environment: lmdb.Environment, path: Path, now: Callable[[], int], rng: random.Random) -> tuple[str, ...]:
    with environment.begin(write=True, buffers=False) as transaction:
        table = environment.open_db(b"store", txn=transaction, create=False)
        rows = _rows(environment, transaction, path, table)
        known = {key: rows.get(key, b"", db=table) for key in (FORMAT_KEY, REPLICA_KEY)}
        damaged = {key: value for key, value in known.items() if not STORE.matches(key, value)}
        if FORMAT_KEY in damaged:
            transaction.put(FORMAT_KEY, _format_of(damaged[FORMAT_KEY], path), db=table)
        if REPLICA_KEY in damaged:
            rows.put(REPLICA_KEY, STORE.close(REPLICA_KEY, ids.new_replica(rng)), db=table)
            transaction.delete(LIVES_KEY, db=table)  # of a history under another name: opening begins one anew
        if damaged:
            aside, at = environment.open_db(ASIDE_NAME.encode("ascii"), txn=transaction), _TIME.pack(now())
            rows = _rows(environment, transaction, path, table, aside)
            for key, value in damaged.items():
                name = b"store\0" + key
                rows.put(name, DAMAGED.close(name, at + value), db=aside)
    return tuple(key.decode("ascii") for key in damaged)


def _rows(
    environment: lmdb.Environment, transaction: Transaction, path: Path, store: Table, aside: Table | None = None
) -> Transaction:
    """The rows as they are in a plain store. Where the store has a key it is encrypted, whatever its format says."""
    if not key_box.exists(path):
        return transaction
    cipher = Cipher(found_key(path))
    check_key(transaction, store, path, cipher)
    tables = Tables(*(environment.open_db(name.encode("ascii"), txn=transaction) for name in TABLE_NAMES))
    tables = replace(tables, store=store, damaged=aside)
    return cast(Transaction, EncryptedTransaction(transaction, cipher, tables, layouts(tables)))


def _format_of(damaged: bytes, path: Path) -> bytes:
    """The entry that this was."""
    for number in range(FORMAT, NEWEST + 1):
        whole = STORE.close(FORMAT_KEY, NAME + str(number).encode("ascii"))
        if len(whole) == len(damaged) and _bits_between(whole, damaged) <= _BITS_MAX:
            return whole
    raise StoreCorrupt(
        f"{path} does not tell its format any more, so that nothing in it was touched",
        "Keep the directory. Put a copy of it, or a backup, in its place; or make a new store in another directory and "
        "sync it: that brings back all that was synced. What was not is in this directory alone.",
    )


def _bits_between(one: bytes, other: bytes) -> int:
    return (int.from_bytes(one) ^ int.from_bytes(other)).bit_count()
