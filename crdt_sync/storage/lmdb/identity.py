"""What makes a directory a store of ours: the format version, the replica id and the lives."""

import random
import struct
from dataclasses import dataclass
from pathlib import Path

import lmdb

from crdt_sync import ids
from crdt_sync.errors import StoreCorrupt, StoreExists, StoreFormat, StoreMissing
from crdt_sync.storage.lives import Life, Lives, first
from crdt_sync.storage.lmdb import copies
from crdt_sync.storage.lmdb.codec import STORE, State
from crdt_sync.storage.lmdb.tables import Tables, Transaction

FORMAT = 2
LINEAGES = 3  # may hold records that were renewed: who knows format 2 only would take them for ordinary ones
PACKED = 4  # may hold packed values: who knows format 3 only would take them for damaged ones
ENCRYPTED = 5  # as 4, and encrypted
NEWEST = ENCRYPTED
NEW = PACKED  # of stores that are made now and not encrypted
NAME = b"crdt-sync store "

# Keys of the database `store`. Every later format keeps the first of them, its seal and its text.
FORMAT_KEY = b"format"
REPLICA_KEY = b"replica"
LIVES_KEY = b"lives"
SPACE_KEY = b"space"
STATE_KEY = b"state"
COPIED_KEY = b"copied"
KEY_ID_KEY = b"key"  # of an encrypted store: by which key it is
OPEN_KEYS = frozenset({FORMAT_KEY, KEY_ID_KEY})  # what is not encrypted in an encrypted store

_LIFE = struct.Struct(">16sQ")  # id, end
_OPEN = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Identity:
    """Who the store is. `begun`: the last of its lives was begun by this process.

    `packs`: values may be packed in it. Not where releases open it that could not unpack them.
    """

    replica: bytes
    lives: Lives
    begun: bool
    space: ids.Space
    packs: bool


def check_format(environment: lmdb.Environment, path: Path) -> int:
    """The format of the store; 0 where there is none yet.

    Raises `StoreFormat` before anything is written to a file that is not a store of this version.
    """
    with environment.begin(write=False, buffers=False) as transaction, transaction.cursor() as cursor:
        names = list(cursor.iternext(keys=True, values=False))
    if not names:
        return 0
    if b"store" not in names:
        raise StoreFormat(f"{path} belongs to another program", "Name the directory of a store, or a new one.")
    table = environment.open_db(b"store", create=False)
    with environment.begin(write=False, buffers=False) as transaction:
        value = transaction.get(FORMAT_KEY, db=table)
    if value is None:
        return 0
    found = _format(value)
    if found > NEWEST:
        kept = ", ".join(map(str, copies.found(path)))
        raise StoreFormat(
            f"{path} has store format {found}; this program knows format {NEWEST}",
            "Use the newer version of the program that wrote it."
            + (f" As the store was before its upgrade, it is in {kept}." if kept else ""),
        )
    if found < FORMAT:
        raise StoreFormat(
            f"{path} has the old store format {found}; this program needs format {FORMAT}",
            "Export it with the version that wrote it and import it here, or fetch it again from a partner.",
        )
    return found


def _format(value: bytes) -> int:
    text = STORE.open(FORMAT_KEY, value).removeprefix(NAME)
    return int(text) if text.isdigit() else -1


def read_format(transaction: "Transaction", tables: "Tables") -> int:
    """The format of a store."""
    return _format(transaction.get(FORMAT_KEY, b"", db=tables.store))


def prepare(
    transaction: Transaction,
    tables: Tables,
    path: Path,
    create: bool,
    replica: bytes | None,
    rng: random.Random,
    key_id: bytes | None = None,
) -> Identity:
    """Read who the store is, or write it when the store is new; a copy that is opened first gets a new epoch.

    `key_id` is that of the key by which it is encrypted, None where it is not.
    """
    new = transaction.get(FORMAT_KEY, db=tables.store) is None
    if new:
        if not create:
            raise StoreMissing(f"there is no store in {path}", "Create one first, or name another directory.")
        write_format(transaction, tables, key_id)
        _put(transaction, tables, REPLICA_KEY, replica or ids.new_replica(rng))
        transaction.put(STATE_KEY, State().value(STATE_KEY), db=tables.store)
    elif create:
        raise StoreExists(f"there is a store in {path} already", "Open it, or name another directory.")
    copied = transaction.pop(COPIED_KEY, db=tables.store) is not None
    known = None if new or copied else _read_lives(transaction, tables)
    lives = known or renew(transaction, tables, rng)
    return _identity(transaction, tables, lives, begun=known is None)


def write_format(transaction: Transaction, tables: Tables, key_id: bytes | None) -> None:
    """Say that it is a store of the newest format, encrypted or not."""
    number = NEW if key_id is None else ENCRYPTED
    _put(transaction, tables, FORMAT_KEY, NAME + str(number).encode("ascii"))
    if key_id is None:
        transaction.delete(KEY_ID_KEY, db=tables.store)
    else:
        _put(transaction, tables, KEY_ID_KEY, key_id)


def read(transaction: Transaction, tables: Tables) -> Identity:
    """Who a store is that its owner has opened. Raises `StoreCorrupt`."""
    lives = _read_lives(transaction, tables)
    if lives is None:
        raise StoreCorrupt("the lives of the store are damaged", "Open it by itself.")
    return _identity(transaction, tables, lives, begun=True)


def _identity(transaction: Transaction, tables: Tables, lives: Lives, *, begun: bool) -> Identity:
    who = _get(transaction, tables, REPLICA_KEY)
    packs = read_format(transaction, tables) >= PACKED
    return Identity(who, lives, begun, _read_space(transaction, tables, who), packs)


def renew(transaction: Transaction, tables: Tables, rng: random.Random) -> Lives:
    """Begin a life and forget all others."""
    lives = first(ids.new_epoch(rng))
    write_lives(transaction, tables, lives)
    return lives


def write_lives(transaction: Transaction, tables: Tables, lives: Lives) -> None:
    """Replace the lives."""
    ends = (_LIFE.pack(life.id, _OPEN if life.end is None else life.end) for life in lives)
    _put(transaction, tables, LIVES_KEY, b"".join(ends))


def know_lineages(transaction: Transaction, tables: Tables) -> None:
    """Have releases that know no lineages refuse the store from now on."""
    if _get(transaction, tables, FORMAT_KEY) == NAME + str(FORMAT).encode("ascii"):
        _put(transaction, tables, FORMAT_KEY, NAME + str(LINEAGES).encode("ascii"))


def write_space(transaction: Transaction, tables: Tables, space: bytes) -> None:
    """Belong to that space."""
    _put(transaction, tables, SPACE_KEY, space)


def mark_copied(transaction: Transaction, tables: Tables) -> None:
    """Have the next opener renew the epoch: the original goes on without this copy."""
    _put(transaction, tables, COPIED_KEY, b"copied")


def _read_lives(transaction: Transaction, tables: Tables) -> Lives | None:
    """The lives as they were stored; None where that is damaged."""
    try:
        body = _get(transaction, tables, LIVES_KEY)
    except StoreCorrupt:
        return None
    return tuple(Life(life, None if end == _OPEN else end) for life, end in _LIFE.iter_unpack(body))


def _read_space(transaction: Transaction, tables: Tables, replica: bytes) -> ids.Space:
    """The space that was joined; the store's own where none was, or where that is damaged and must be learnt again."""
    try:
        return ids.Space(_get(transaction, tables, SPACE_KEY), joined=True)
    except StoreCorrupt:
        return ids.own_space(replica)


def _put(transaction: Transaction, tables: Tables, key: bytes, body: bytes) -> None:
    transaction.put(key, STORE.close(key, body), db=tables.store)


def _get(transaction: Transaction, tables: Tables, key: bytes) -> bytes:
    return STORE.open(key, transaction.get(key, b"", db=tables.store))
