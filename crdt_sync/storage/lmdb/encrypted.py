"""A transaction over an encrypted store: it takes and gives keys and values as they are in a plain one.

Whatever reads and writes a store does so through it, and knows nothing of encryption; seals, links and lists inside
are the same. What lies on disk:

1. A value is sealed for its database and its key as it is on disk (`Cipher.seal`); nobody can swap rows.
2. Keys that are numbers or ids of replicas stay as they are. Those that name records or notes are hashed
   (`Cipher.name`), in all databases alike, and the name stands at the beginning of the value: length (2), name.
3. A value that does not open is handed up as what can be read of it, with a seal of zeros, which nothing matches: it is
   damage like any other, and nothing that somebody has made up passes. Its name counts where its hash is the key;
   else that of another row with the same key, or of the feed; else it is `\\0` and the key in hexadecimal.
4. Only the format of the store and the id of its key can be read without the key.
"""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, cast

import lmdb

from crdt_sync.errors import StoreCorrupt, StoreKeyWrong
from crdt_sync.storage.encryption.cipher import GROUP_BYTES, NAME_BYTES, Cipher, group_of
from crdt_sync.storage.lmdb.codec import CHECKSUM_BYTES, FEED, STORE, seq_key
from crdt_sync.storage.lmdb.identity import KEY_ID_KEY, LIVES_KEY, OPEN_KEYS, REPLICA_KEY, STATE_KEY
from crdt_sync.storage.lmdb.names import Names
from crdt_sync.storage.lmdb.owed import Owed
from crdt_sync.storage.lmdb.tables import PLACE_NAMES, TABLE_NAMES, Table, Tables, Transaction

_RECORDS = frozenset({"heads", "docs", "stale", "views", "quarantine"})
_ORDERED = frozenset({"heads", "docs", "stale", "views", "outbox"})
_NAMED = _RECORDS | {"outbox", "meta", "damaged", "shown", "places"}
_PEER_BYTES = 16  # of a key of the outbox
_PLACE_BYTES = 16  # of a key of the places
_LENGTH_BYTES = 2
_FEW = 256  # rows that are sorted for a page without further thought
_LOST = b"\0"  # begins a name that cannot be told


@dataclass(frozen=True, slots=True)
class Layout:
    """How the rows of one database lie on disk: whether keys are hashed, and from which byte on."""

    name: str
    place: bytes  # what the associated data begins with
    named: bool
    prefix: int = 0
    veiled: int = 0  # bytes of the key, at its beginning, that are hashed by themselves


def layouts(tables: Tables) -> dict[Table, Layout]:
    """The layout of each database."""
    handles = {name: getattr(tables, name) for name in (*TABLE_NAMES, "damaged", "audit")}
    if tables.placed is not None:
        handles |= {name: getattr(tables.placed, name) for name in PLACE_NAMES}
    return {handle: _layout(name) for name, handle in handles.items() if handle is not None}


def _layout(name: str) -> Layout:
    prefix, veiled = _PEER_BYTES if name == "outbox" else 0, _PLACE_BYTES if name == "places" else 0
    return Layout(name, name.encode("ascii") + b"\0", name in _NAMED, prefix, veiled)


@dataclass(slots=True)
class Orders:
    """What is known in memory of the order of names. `told`: all that is committed is committed by this process."""

    told: bool = True
    names: Names = field(default_factory=Names)
    owed: Owed = field(default_factory=Owed)

    def forget(self) -> None:
        """Know nothing: what was read may not be so any more."""
        self.names.forget()
        self.owed.forget()


class EncryptedTransaction:
    """See the module. `laid_out` is what `layouts` gives of the tables.

    `orders` are those of what is committed, for transactions that only read.

    `owed` is what this one has changed of who is owed what.
    """

    def __init__(
        self,
        transaction: Transaction,
        cipher: Cipher,
        tables: Tables,
        laid_out: "dict[Table, Layout]",
        orders: Orders | None = None,
    ) -> None:
        self.plain = transaction
        self.owed: dict[tuple[bytes, bytes], bool] = {}
        self._cipher = cipher
        self._tables = tables
        self._layouts = laid_out
        self._orders = orders
        self._fed: dict[bytes, bytes] | None = None  # names by their hashes, once they are missed elsewhere

    # --- what lmdb.Transaction has ---

    def get(self, key: bytes, default: bytes | None = None, *, db: Table) -> bytes | None:
        """The value of a key."""
        layout = self._layouts[db]
        disk = self._disk_key(layout, key)
        sealed = self.plain.get(disk, db=db)
        return default if sealed is None else self._opened(layout, disk, sealed)[1]

    def put(self, key: bytes, value: bytes, *, db: Table) -> bool:
        """Store a value."""
        layout = self._layouts[db]
        disk, sealed = self._row(layout, key, value)
        if layout.prefix:
            self.owed[disk[: layout.prefix], key[layout.prefix :]] = True
        return self.plain.put(disk, sealed, db=db)

    def delete(self, key: bytes, *, db: Table) -> bool:
        """Delete a row."""
        layout = self._layouts[db]
        if layout.prefix:
            self.owed[key[: layout.prefix], key[layout.prefix :]] = False
        return self.plain.delete(self._disk_key(layout, key), db=db)

    def pop(self, key: bytes, *, db: Table) -> bytes | None:
        """Delete a row, and return its value."""
        value = self.get(key, db=db)
        self.delete(key, db=db)
        return value

    def stat(self, db: Table) -> Any:
        """What LMDB counts of a database."""
        return self.plain.stat(db)

    def drop(self, db: Table, delete: bool = True) -> None:
        """Drop a database, or its rows."""
        self.plain.drop(db, delete=delete)

    def cursor(self, db: Table | None = None) -> Any:
        """A cursor over the rows as they lie on disk; without a database over the names of databases."""
        cursor = self.plain.cursor(db=db)
        return cursor if db is None else EncryptedCursor(self, self._layouts[db], cursor)

    # --- rows ---

    def _disk_key(self, layout: Layout, key: bytes) -> bytes:
        if not layout.named:
            return key
        if layout.veiled:
            return self._veil(key[: layout.veiled]) + self._hashed(key[layout.veiled :])
        prefix = layout.prefix
        return key[:prefix] + self._hashed(key[prefix:]) if prefix else self._hashed(key)

    def _veil(self, beginning: bytes) -> bytes:
        return self._cipher.name(beginning)[GROUP_BYTES:]

    def _hashed(self, name: bytes) -> bytes:
        if name[:1] == _LOST and len(name) == 1 + 2 * (GROUP_BYTES + NAME_BYTES):
            return bytes.fromhex(name[1:].decode("ascii"))
        return self._cipher.name(name)

    def _row(self, layout: Layout, key: bytes, value: bytes) -> tuple[bytes, bytes]:
        if not layout.named:
            if key in OPEN_KEYS and layout.name == "store":
                return key, value
            return key, self._cipher.seal(layout.place + key, value)
        name = key[layout.prefix :]
        disk = self._disk_key(layout, key)
        plain = b"".join((len(name).to_bytes(_LENGTH_BYTES, "big"), name, value))
        return disk, self._cipher.seal(layout.place + disk, plain)

    def rows(self, layout: Layout, items: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        """Rows as they lie on disk, in the order of their keys there."""
        rows = [self._row(layout, key, value) for key, value in items]
        if layout.named:
            rows.sort()
        return rows

    def _opened(self, layout: Layout, disk: bytes, sealed: bytes) -> tuple[bytes, bytes]:
        """Key and value of a row."""
        plain = self._cipher.open(layout.place + disk, sealed)
        if plain is None:
            if disk in OPEN_KEYS and layout.name == "store":
                return disk, sealed
            return self._damaged(layout, disk, sealed)
        if not layout.named:
            return disk, plain
        start = _LENGTH_BYTES + int.from_bytes(plain[:_LENGTH_BYTES], "big")
        return disk[: layout.prefix] + plain[_LENGTH_BYTES:start], plain[start:]

    opened = _opened

    def _damaged(self, layout: Layout, disk: bytes, sealed: bytes) -> tuple[bytes, bytes]:
        plain = self._cipher.legible(sealed)
        if not layout.named:
            return disk, bytes(CHECKSUM_BYTES) + plain[CHECKSUM_BYTES:]
        start = _LENGTH_BYTES + int.from_bytes(plain[:_LENGTH_BYTES], "big")
        hashed = disk[layout.prefix :]
        name = plain[_LENGTH_BYTES:start]
        if layout.veiled:
            return name if self._disk_key(layout, name) == disk else disk, bytes(CHECKSUM_BYTES)
        if len(name) != start - _LENGTH_BYTES or self._hashed(name) != hashed:
            known = self._known(hashed, layout)
            name = _LOST + hashed.hex().encode("ascii") if known is None else known
            start = min(start, _LENGTH_BYTES + len(name))
        return disk[: layout.prefix] + name, bytes(CHECKSUM_BYTES) + plain[start + CHECKSUM_BYTES :]

    def _known(self, hashed: bytes, damaged: Layout) -> bytes | None:
        """The name that another row has under this key."""
        for table in (self._tables.heads, self._tables.docs, self._tables.views):
            layout = self._layouts[table]
            sealed = None if layout is damaged else self.plain.get(hashed, db=table)
            plain = None if sealed is None else self._cipher.open(layout.place + hashed, sealed)
            if plain is not None:
                return plain[_LENGTH_BYTES : _LENGTH_BYTES + int.from_bytes(plain[:_LENGTH_BYTES], "big")]
        if self._fed is None:
            self._fed = {self._cipher.name(name): name for name in self._names_in_feed()}
        return self._fed.get(hashed)

    def _names_in_feed(self) -> Iterator[bytes]:
        layout = self._layouts[self._tables.feed]
        for row in self._walk(self._tables.feed, b""):
            with suppress(StoreCorrupt):
                yield FEED.open(*self._opened(layout, *row))

    # --- rows in the order of their names ---

    def in_order(
        self, db: Table, start: bytes, beyond: bool, limit: int, prefix: bytes = b""
    ) -> Iterator[tuple[bytes, bytes]]:
        """At most `limit` (key, value) with that prefix from `start` on, or `beyond` it, sorted by key.

        What is few, or in no index, is read whole and sorted; else each record is looked up, by the names in memory.
        """
        layout = self._layouts[db]
        peer, prefix = prefix[: layout.prefix], prefix[layout.prefix :]
        start = max(start[layout.prefix :], prefix)
        entries, held = self.plain.stat(db)["entries"], self.plain.stat(self._tables.heads)["entries"]
        if self._orders is None or layout.name not in _ORDERED or reads_whole(entries, held, limit):
            return islice(self._sorted(layout, db, peer, start, beyond, prefix), limit)
        return islice(self._by_names(layout, db, peer, start, beyond, prefix), limit)

    def beginning(self, db: Table, beginning: bytes, behind: bytes) -> Iterator[tuple[bytes, bytes]]:
        """(key, value) of a veiled database whose keys begin so, in their order, beyond `behind`."""
        layout = self._layouts[db]
        rows = (self._opened(layout, *row) for row in self._walk(db, self._veil(beginning)))
        return iter(sorted(row for row in rows if row[0] > behind))

    def _sorted(
        self, layout: Layout, db: Table, peer: bytes, start: bytes, beyond: bool, prefix: bytes
    ) -> Iterator[tuple[bytes, bytes]]:
        group, slash, _ = prefix.partition(b"/")
        first = peer + (self._cipher.group(group + slash) if slash else b"")
        rows = [self._opened(layout, disk, sealed) for disk, sealed in self._walk(db, first)]
        for key, value in sorted(rows):
            name = key[layout.prefix :]
            if name.startswith(prefix) and (name > start or (name == start and not beyond)):
                yield key, value

    def _by_names(
        self, layout: Layout, db: Table, peer: bytes, start: bytes, beyond: bool, prefix: bytes
    ) -> Iterator[tuple[bytes, bytes]]:
        assert self._orders is not None
        if layout.prefix:
            owed, told = self._orders.owed, self._orders.told
            names = owed.page(lambda: self._owed_to(layout, db, peer), peer, self.plain.id(), start, beyond, told)
        else:
            names = self._orders.names.page(self, start, beyond, prefix)
        for name in names:
            value = self.get(peer + name, db=db)
            if value is not None:
                yield peer + name, value

    def _walk(self, db: Table, first: bytes) -> Iterator[tuple[bytes, bytes]]:
        """The rows whose keys on disk begin so."""
        with self.plain.cursor(db=db) as cursor:
            if cursor.set_range(first or b"\0"):
                for disk, sealed in cursor.iternext(keys=True, values=True):
                    if not disk.startswith(first):
                        return
                    yield disk, sealed

    def _owed_to(self, layout: Layout, db: Table, peer: bytes) -> list[bytes]:
        return [self._opened(layout, *row)[0][layout.prefix :] for row in self._walk(db, peer)]

    # --- what the names are read from ---

    def last_in_feed(self) -> int:
        """See `Rows`."""
        with self.plain.cursor(db=self._tables.feed) as cursor:
            return int.from_bytes(cursor.key(), "big") if cursor.last() else 0

    def fed(self, after: int) -> list[bytes] | None:
        """See `Rows`."""
        layout = self._layouts[self._tables.feed]
        with self.plain.cursor(db=self._tables.feed) as cursor:
            if not cursor.set_range(seq_key(after + 1)):
                return []
            try:
                return [FEED.open(*self._opened(layout, *row)) for row in cursor.iternext(keys=True, values=True)]
            except StoreCorrupt:
                return None

    def groups(self, known: dict[bytes, bytes]) -> dict[bytes, bytes]:
        """See `Rows`."""
        found: dict[bytes, bytes] = {}
        with self.plain.cursor(db=self._tables.heads) as cursor:
            more = cursor.first()
            while more:
                label = cursor.key()[:GROUP_BYTES]
                group = known.get(label) or self._group(label)
                if group is not None:
                    found[label] = group
                after = (int.from_bytes(label, "big") + 1).to_bytes(GROUP_BYTES + 1, "big")
                more = after[:1] == b"\0" and cursor.set_range(after[1:])
        return found

    def _group(self, label: bytes) -> bytes | None:
        """The name of a group; None where none of its rows can tell."""
        layout = self._layouts[self._tables.heads]
        for row in self._walk(self._tables.heads, label):
            group = group_of(self._opened(layout, *row)[0])
            if self._cipher.group(group) == label:
                return group
        return None

    def names(self, label: bytes) -> list[bytes]:
        """See `Rows`."""
        layout = self._layouts[self._tables.heads]
        return [self._opened(layout, disk, sealed)[0] for disk, sealed in self._walk(self._tables.heads, label)]


def reads_whole(entries: int, held: int, limit: int) -> bool:
    """Whether a page of `limit` of so few entries is found sooner by reading them all than by asking for each of the
    records that are held, of which they are a part."""
    return entries <= _FEW or entries * entries <= held * limit


class EncryptedCursor:
    """A cursor over the rows of one database, in their order on disk."""

    def __init__(self, rows: EncryptedTransaction, layout: Layout, cursor: "lmdb.Cursor[bytes]") -> None:
        self._rows = rows
        self._layout = layout
        self._cursor = cursor

    def __enter__(self) -> "EncryptedCursor":
        return self

    def __exit__(self, *_error: object) -> None:
        self._cursor.close()

    def set_range(self, start: bytes) -> bool:
        """Go to the first row whose key on disk is not less."""
        return self._cursor.set_range(start)

    def last(self) -> bool:
        """Go to the last row."""
        return self._cursor.last()

    def next(self) -> bool:
        """Go on."""
        return self._cursor.next()

    def prev(self) -> bool:
        """Go back."""
        return self._cursor.prev()

    def key(self) -> bytes:
        """The key of this row; nothing behind the last one."""
        disk = self._cursor.key()
        return self._rows.opened(self._layout, *self._cursor.item())[0] if disk and self._layout.named else disk

    def value(self) -> bytes:
        """The value of this row; nothing behind the last one."""
        return self._rows.opened(self._layout, *self._cursor.item())[1] if self._cursor.key() else b""

    def delete(self) -> bool:
        """Delete this row, and go on."""
        key = self.key()
        if self._layout.prefix and key:
            self._rows.owed[key[: self._layout.prefix], key[self._layout.prefix :]] = False
        return self._cursor.delete()

    def iternext(self, keys: bool = True, values: bool = True) -> Iterator[tuple[bytes, bytes]]:
        """The rows from this one on."""
        for disk, sealed in self._cursor.iternext(keys=True, values=True):
            yield self._rows.opened(self._layout, disk, sealed)

    def iterprev(self, keys: bool = True, values: bool = True) -> Iterator[tuple[bytes, bytes]]:
        """The rows from this one back."""
        for disk, sealed in self._cursor.iterprev(keys=True, values=True):
            yield self._rows.opened(self._layout, disk, sealed)

    def putmulti(self, items: Iterable[tuple[bytes, bytes]], append: bool = False) -> None:
        """Store several rows; `append` says that they come behind all others in the order of their keys."""
        self._cursor.putmulti(self._rows.rows(self._layout, items), append=append and not self._layout.named)


def encrypted(transaction: Transaction) -> EncryptedTransaction | None:
    """The same, where the store is encrypted."""
    found = cast(object, transaction)
    return found if isinstance(found, EncryptedTransaction) else None


def plain(transaction: Transaction) -> Transaction:
    """LMDB's own transaction."""
    found = encrypted(transaction)
    return transaction if found is None else found.plain


def check_key(transaction: Transaction, table: Table, path: Path, cipher: Cipher) -> None:
    """Raise `StoreKeyWrong` unless the encrypted store is of this key; `table` is its database `store`.

    Where the id of its key is damaged, what it says of itself must open. Raises `StoreCorrupt` where nothing does.
    """
    named = transaction.get(KEY_ID_KEY, b"", db=table)
    rows = [(key, transaction.get(key, b"", db=table)) for key in (REPLICA_KEY, LIVES_KEY, STATE_KEY)]
    if STORE.matches(KEY_ID_KEY, named):
        if STORE.open(KEY_ID_KEY, named) != cipher.id:
            raise StoreKeyWrong(
                f"the key is not that of the store in {path}", "Give the key that it was encrypted with."
            )
    elif all(cipher.open(b"store\0" + key, sealed) is None for key, sealed in rows):
        raise StoreCorrupt(
            f"{path} does not tell by which key it is encrypted, and this key opens nothing of it",
            "Keep the directory, and try again with the right key, or put a copy or a backup in its place.",
        )
