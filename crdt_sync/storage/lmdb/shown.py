"""What records show, on disk: a row for each record, and of each place which records are at it.

The entry `places` of the database `store` says what is kept, of which records, from which cursor on it is known what
they left, and up to which sequence number. A release that does not keep places leaves that behind: then all counts as
not known. `places` has keys only: 16 bytes of BLAKE2b over collection, field and form, and the record.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from itertools import islice, takewhile
from typing import Any

import cbor2

from crdt_sync import ids
from crdt_sync.errors import StoreCorrupt
from crdt_sync.policy.values import Forms
from crdt_sync.storage import places
from crdt_sync.storage.lmdb import reads
from crdt_sync.storage.lmdb.codec import STORE, Seal
from crdt_sync.storage.lmdb.encrypted import encrypted
from crdt_sync.storage.lmdb.recent_rows import RecentRows
from crdt_sync.storage.lmdb.tables import PlaceTables, Tables, Transaction
from crdt_sync.storage.places import Row
from crdt_sync.storage.values import Change, Placement

SHOWN = Seal("shown")
STATE_KEY = b"places"
_PLACE_BYTES = 16


@dataclass(slots=True)
class _Kept:
    """The entry of `store`."""

    placement: Placement
    moves_from: int
    seq: int

    def value(self) -> bytes:
        """The sealed value."""
        fields, through = self.placement.fields, self.placement.through
        return STORE.close(STATE_KEY, cbor2.dumps([fields, through, self.moves_from, self.seq]))


def _read(transaction: Transaction, tables: Tables) -> _Kept | None:
    """What is kept, None where nothing is, or that cannot be read."""
    if tables.placed is None:
        return None
    try:
        value = transaction.get(STATE_KEY, b"", db=tables.store)
        fields, through, moves_from, seq = cbor2.loads(STORE.open(STATE_KEY, value))
    except StoreCorrupt:
        return None
    return _Kept(Placement(fields, through), moves_from, seq)


def placement(transaction: Transaction, tables: Tables) -> Placement | None:
    """See `Places.placement`."""
    kept = _read(transaction, tables)
    return kept.placement if kept is not None and kept.seq == reads.read_state(transaction, tables).seq else None


def moves_from(transaction: Transaction, tables: Tables) -> int:
    """See `Places.moves_from`."""
    kept = _read(transaction, tables)
    return 0 if kept is None else kept.moves_from


def row(transaction: Transaction, placed: PlaceTables, key: bytes) -> Row | None:
    """The row of a record. Raises `StoreCorrupt`."""
    value = transaction.get(key, db=placed.shown)
    if value is None:
        return None
    body: Any = cbor2.loads(SHOWN.open(key, value, key.decode("ascii", "replace")))
    forms, since, left = body
    return Row(forms, since, tuple((seq, found) for seq, found in left))


def rows(transaction: Transaction, tables: Tables, keys: Iterable[bytes]) -> dict[bytes, Row]:
    """The rows of records, of those that have one. Raises `StoreCorrupt`."""
    if tables.placed is None:
        return {}
    placed = tables.placed
    return {key: found for key in keys if (found := row(transaction, placed, key)) is not None}


def placed(transaction: Transaction, tables: Tables, place: tuple[str, str, str], after: str, limit: int) -> list[str]:
    """See `Places.placed`."""
    if tables.placed is None:
        return []
    start = _place(*place)
    behind = start + (reads.record_key(after) if after else b"")
    rows, table = encrypted(transaction), tables.placed.places
    walked = reads.walk(transaction, table, behind, True) if rows is None else rows.beginning(table, start, behind)
    found = takewhile(lambda each: each[0].startswith(start), walked)
    return [key[_PLACE_BYTES:].decode("ascii") for key, _ in islice(found, max(limit, 0))]


def keys_of(transaction: Transaction, placed: PlaceTables, key: bytes) -> list[bytes]:
    """The keys that the row of a record has in `places`."""
    found = row(transaction, placed, key)
    return [] if found is None else [_key(key, field, form) for field, form in found.places]


def _key(record: bytes, field: str, form: str) -> bytes:
    return _place(ids.collection_of(record.decode("ascii", "replace")), field, form) + record


@lru_cache(maxsize=4096)
def _place(collection: str, field: str, form: str) -> bytes:
    hasher = blake2b(digest_size=_PLACE_BYTES, person=b"place")
    hasher.update(b"\0".join((collection.encode(), field.encode(), form.encode("utf-8", "surrogatepass"))))
    return hasher.digest()


class Placing:
    """What one commit changes of it; a store that keeps no places makes none. `recent` are the rows in memory."""

    def __init__(self, transaction: Transaction, tables: Tables, seq: int, recent: RecentRows) -> None:
        self._transaction = transaction
        self._tables = tables
        self._kept = _read(transaction, tables)
        self._as_it_was = None if self._kept is None else self._kept.value()
        self._rows: dict[bytes, Row | None] = {}
        self._before: dict[bytes, Row | None] = {}
        self._recent = recent
        if self._kept is not None and self._kept.seq != seq:
            self._kept.placement = Placement(b"", "")  # a release that keeps no places has written since

    @property
    def rows(self) -> dict[bytes, Row]:
        """What the records show that were looked at, once the commit is over."""
        return {key: row for key, row in self._rows.items() if row is not None}

    @property
    def keeps(self) -> bool:
        """Whether anything is kept."""
        return self._kept is not None

    def begin(self, placement: Placement, seq: int) -> None:
        """Keep this from now on, and nothing of what was, where it begins anew."""
        kept, placed = self._kept, self._tables.placed
        assert placed is not None, "made before the transaction"
        if placement.through == "" or kept is None:
            self._rows.clear()
            self._before.clear()
            self._recent.forget()
            for table in (placed.shown, placed.places):
                self._transaction.drop(table, delete=False)
            kept = self._kept = _Kept(placement, seq + 1, seq)
        kept.placement = placement

    def changed(self, key: bytes, change: Change, first: int, last: int, *, new: bool) -> None:
        """The updates `first` to `last` of a record were stored, and it shows what the change says."""
        kept = self._kept
        if kept is None:
            return
        if change.forms is None or change.fields != kept.placement.fields:
            kept.placement = Placement(kept.placement.fields, "")  # it may be anywhere
            return
        found, row = self._row(key), places.known(change.forms)
        if found is None:
            self._rows[key] = Row(row, first if new else 0)
        elif found.forms != row:
            self._rows[key], forgotten = found.moved(last, row)
            kept.moves_from = max(kept.moves_from, forgotten)

    def read_anew(self, key: bytes, forms: Forms, seq: int) -> None:
        """A record was read, and shows this since nobody knows when."""
        if self._kept is None:
            return
        found, row = self._row(key), places.known(forms)
        if found is None or found.forms != row:
            self._rows[key] = Row(row, 0)
            self._kept.moves_from = seq + 1

    def drop(self, key: bytes) -> None:
        """A record is here no more."""
        if self._kept is not None:
            self._row(key)
            self._rows[key] = None

    def finish(self, seq: int) -> None:
        """Write all of it."""
        kept, placed = self._kept, self._tables.placed
        if kept is None or placed is None:
            return
        changed = [(key, row) for key, row in sorted(self._rows.items()) if row != self._before[key]]
        if changed:
            self._recent.forget(key for key, _ in changed)
        for key, row in changed:
            before = self._before[key]
            if row is None:
                self._transaction.delete(key, db=placed.shown)
            else:
                body = cbor2.dumps([row.forms, row.since, row.left])
                self._transaction.put(key, SHOWN.close(key, body), db=placed.shown)
            here = frozenset() if row is None else row.places
            there = frozenset() if before is None else before.places
            self._move(placed, key, there - here, here - there)
        kept.seq = seq
        if (value := kept.value()) != self._as_it_was:
            self._transaction.put(STATE_KEY, value, db=self._tables.store)

    def _move(
        self, placed: PlaceTables, key: bytes, left: Iterable[tuple[str, str]], come: Iterable[tuple[str, str]]
    ) -> None:
        for field, form in left:
            self._transaction.delete(_key(key, field, form), db=placed.places)
        for field, form in come:
            self._transaction.put(_key(key, field, form), b"", db=placed.places)

    def _row(self, key: bytes) -> Row | None:
        if key not in self._before:
            placed = self._tables.placed
            assert placed is not None
            found = self._recent.row(key) or row(self._transaction, placed, key)
            self._before[key] = self._rows[key] = found
        return self._rows[key]


def forget(transaction: Transaction, tables: Tables, key: bytes) -> None:
    """A record is taken out: what it showed is not known, nor what it left."""
    if tables.placed is None:
        return
    try:
        found = row(transaction, tables.placed, key)
    except StoreCorrupt:
        drop_all(transaction, tables)
        return
    kept = _read(transaction, tables)
    if found is None or kept is None:
        return
    transaction.delete(key, db=tables.placed.shown)
    for field, form in found.places:
        transaction.delete(_key(key, field, form), db=tables.placed.places)
    kept.moves_from = reads.read_state(transaction, tables).seq + 1
    transaction.put(STATE_KEY, kept.value(), db=tables.store)


def drop_all(transaction: Transaction, tables: Tables) -> None:
    """Keep nothing: all of it can be read anew."""
    if tables.placed is not None:
        for table in (tables.placed.shown, tables.placed.places):
            transaction.drop(table, delete=False)
        transaction.delete(STATE_KEY, db=tables.store)
