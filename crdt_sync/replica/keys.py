"""Which records show which natural key.

The index lives in memory and is built at the first question: one pass over the views of a collection, from then on
whatever the feed brings. It only proposes: each answer is checked against the views as they are.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from crdt_sync import limits
from crdt_sync.errors import KeyTaken, StoreCorrupt, UsageError
from crdt_sync.ids import collection_of
from crdt_sync.records import Document, Schema, value_of
from crdt_sync.records.deleted import is_deleted
from crdt_sync.records.natural_key import Key, key_of, record_as_typed, record_of
from crdt_sync.replica.loading import stored_document
from crdt_sync.replica.views import encode_view
from crdt_sync.storage.port import LoggedRecords

_PAGE = 1000


@dataclass(frozen=True, slots=True)
class KeyStanding:
    """What became of a natural key here.

    `shown_by`: the records that show it, not deleted; those that were made under it first, the oldest life before the
    others. `own`: how many of them were made under it. `deleted`: records of its lives that are deleted. `fresh`: the
    id of the next life, for a record that is not here yet.
    """

    shown_by: tuple[str, ...]
    own: int
    deleted: tuple[str, ...]
    fresh: str


@dataclass(frozen=True, slots=True)
class Duplicate:
    """Records that show one natural key: entered or changed on devices that knew nothing of each other."""

    collection: str
    key: Mapping[str, Any]  # field of the natural key to its value in the first record
    records: tuple[str, ...]


class Pending:
    """The natural keys of the records that an open batch has edited and the store does not show yet."""

    def __init__(self) -> None:
        self._values: dict[str, Mapping[str, object]] = {}
        self._keys: dict[str, Key | None] = {}
        self._records: dict[tuple[str, Key], set[str]] = {}
        self.deleted: set[str] = set()

    def put(self, record: str, schema: Schema, document: Document) -> None:
        """A record is what `document` says now."""
        before = self._keys.get(record)
        if before is not None:
            self._records[schema.collection, before].discard(record)
        values = natural_values(schema, document)
        self.deleted.discard(record)
        if is_deleted(document):
            self.deleted.add(record)
        key = None if is_deleted(document) else key_of(schema, values)
        self._values[record], self._keys[record] = values, key
        if key is not None:
            self._records.setdefault((schema.collection, key), set()).add(record)

    def __contains__(self, record: str) -> bool:
        return record in self._keys

    def values(self, record: str) -> Mapping[str, object] | None:
        """The carriers of the record's natural key; None where the batch has not edited it."""
        return self._values.get(record)

    def showing(self, collection: str, key: Key) -> set[str]:
        """The records that show a key by what the batch wrote."""
        return self._records.get((collection, key), set())


class KeyIndex:
    """The natural keys of a store's records; the replica's lock is held around every call."""

    def __init__(self, store: LoggedRecords) -> None:
        self._store = store
        self._indexes: dict[str, _Index] = {}

    def standing(self, schema: Schema, key: Key, pending: Pending) -> KeyStanding:
        """What became of `key`. Raises `UsageError` where it had more lives than `KEY_LIVES_MAX`."""
        shown_by = self.showing(schema, key, pending)
        lives: list[str] = []
        deleted: list[str] = []
        for life in range(limits.KEY_LIVES_MAX):
            record = record_of(schema.collection, key, life)
            view = None if record in pending else _view(self._store, schema, record)
            if view is None and record not in pending and self._store.record_head(record) is None:
                break
            lives.append(record)
            if record in pending.deleted or (view is not None and json.loads(view)["deleted"]):
                deleted.append(record)
        else:
            raise UsageError(
                f"{', '.join(key)} was given to {limits.KEY_LIVES_MAX} records one after the other",
                "Restore one of them, or enter this one under another key.",
            )
        own = [life for life in lives if life in shown_by]
        others = sorted(shown_by.difference(own))
        own += [other for other in others if self._made_as_typed(schema, other, pending)]
        return KeyStanding(tuple(dict.fromkeys((*own, *others))), len(own), tuple(deleted), record)

    def _made_as_typed(self, schema: Schema, record: str, pending: Pending) -> bool:
        """Whether an earlier release made the record under the key that it shows."""
        values = pending.values(record)
        if values is None:
            values = json.loads(_view(self._store, schema, record) or b"{}").get("fields", {})
        return record == record_as_typed(schema, values)

    def check(self, record: str, schema: Schema, document: Document, pending: Pending) -> None:
        """Raise `KeyTaken` where an edit gives the record a key that another one shows.

        What it showed already is not questioned: duplicates that devices made apart are edited like all records.
        """
        values = natural_values(schema, document)
        key = None if is_deleted(document) else key_of(schema, values)
        if key is None or (record not in pending and self._shown(schema, record) == key):
            return
        others = self.showing(schema, key, pending)
        if others and record not in others:
            raise _taken(min(others), values)

    def check_again(self, record: str, schema: Schema, document: Document, pending: Pending) -> None:
        """`check` for what `pending` has already: somebody else may have stored the key since."""
        values = natural_values(schema, document)
        key = None if is_deleted(document) else key_of(schema, values)
        if key is None or self._shown(schema, record) == key:
            return
        others = self.showing(schema, key, pending) - {record}
        if others:
            raise _taken(min(others), values)

    def showing(self, schema: Schema, key: Key, pending: Pending) -> set[str]:
        """The records that show a key and are not deleted."""
        proposed = [record for record in self._index(schema).proposed(key) if record not in pending]
        found = {record for record in proposed if self._shown(schema, record) == key}
        return found | pending.showing(schema.collection, key)

    def duplicates(self, schema: Schema) -> Iterator[Duplicate]:
        """All keys that several records show, in the order of their first record."""
        groups = []
        for proposed in self._index(schema).groups():
            by_key: dict[Key, list[str]] = {}
            for record in sorted(proposed):
                key = self._shown(schema, record)
                if key is not None:
                    by_key.setdefault(key, []).append(record)
            groups += [records for records in by_key.values() if len(records) > 1]
        for records in sorted(groups):
            fields = json.loads(_view(self._store, schema, records[0]) or b"{}").get("fields", {})
            yield Duplicate(schema.collection, {name: fields.get(name) for name in schema.natural_key}, tuple(records))

    def _shown(self, schema: Schema, record: str) -> Key | None:
        view = _view(self._store, schema, record)
        return None if view is None else _view_key(schema, view)

    def _index(self, schema: Schema) -> "_Index":
        index = self._indexes.get(schema.collection)
        if index is None or not index.continues(self._store, schema):
            index = self._indexes[schema.collection] = _Index(self._store, schema)
        index.follow(self._store, schema)
        return index


def _view(store: LoggedRecords, schema: Schema, record: str) -> bytes | None:
    """The view of a record, made anew where it is damaged. Raises `StoreCorrupt` with the record where that is, too."""
    try:
        return store.view(record)
    except StoreCorrupt:
        return encode_view(stored_document(store, record), schema)


def _view_if_shown(store: LoggedRecords, schema: Schema, record: str) -> bytes | None:
    with suppress(StoreCorrupt):
        return _view(store, schema, record)
    return None


def _page(store: LoggedRecords, schema: Schema, after: str) -> Sequence[tuple[str, bytes | None]]:
    """A page of views; None for a record that cannot be shown, which has no key that anybody could see."""
    prefix = f"{schema.collection}/"
    try:
        return store.views(after, _PAGE, prefix)
    except StoreCorrupt:
        return [(each, _view_if_shown(store, schema, each)) for each in store.records(after, _PAGE, prefix)]


class _Index:
    """Of one collection: digests of keys, so that a long key takes no more than a short one, to records."""

    def __init__(self, store: LoggedRecords, schema: Schema) -> None:
        self._natural_key = schema.natural_key
        self._epoch = store.epoch
        self._seq = store.head()
        self._records: dict[bytes, set[str]] = {}
        self._digests: dict[str, bytes] = {}
        after = ""
        while page := _page(store, schema, after):
            for record, view in page:
                self._put(record, None if view is None else _view_key(schema, view))
            after = page[-1][0]

    def continues(self, store: LoggedRecords, schema: Schema) -> bool:
        return self._natural_key == schema.natural_key and self._epoch == store.epoch and self._seq <= store.head()

    def follow(self, store: LoggedRecords, schema: Schema) -> None:
        while page := store.feed(self._seq, _PAGE):
            for entry in page:
                if collection_of(entry.record) == schema.collection:
                    view = _view_if_shown(store, schema, entry.record)
                    self._put(entry.record, None if view is None else _view_key(schema, view))
            self._seq = page[-1].seq

    def proposed(self, key: Key) -> set[str]:
        return self._records.get(_digest(key), set())

    def groups(self) -> Iterator[set[str]]:
        return (records for records in self._records.values() if len(records) > 1)

    def _put(self, record: str, key: Key | None) -> None:
        before = self._digests.pop(record, None)
        if before is not None:
            records = self._records[before]
            records.discard(record)
            if not records:
                del self._records[before]
        if key is not None:
            digest = self._digests[record] = _digest(key)
            self._records.setdefault(digest, set()).add(record)


def natural_values(schema: Schema, document: Document) -> dict[str, object]:
    """The carriers of the fields of the natural key; none without one."""
    return {field: value_of(document, field, schema) for field in schema.natural_key}


def check_left(record: str, schema: Schema, present: Mapping[str, object], named: Mapping[str, object]) -> None:
    """Raise `KeyTaken` where a row goes by the id that follows from its key to a record that has left that key."""
    now, key = key_of(schema, present), key_of(schema, named)
    if not now or not key or now == key:
        return
    if record in (record_of(schema.collection, key, 0), record_as_typed(schema, named)):
        raise KeyTaken(
            f"{record} was made as {', '.join(key)} and is {', '.join(now)} now: the row may be somebody else",
            f"Enter the row with 'crdt-sync set {schema.collection}', which makes a record of its own, or name the "
            "record in a column.",
            record,
        )


def _taken(other: str, values: Mapping[str, object]) -> KeyTaken:
    shown = ", ".join(f"{field} {value!r}" for field, value in values.items())
    return KeyTaken(
        f"{other} has the {shown} already",
        f"If it is the same, edit {other}; else change or delete that one first, or give this one another.",
        other,
    )


def _view_key(schema: Schema, view: bytes) -> Key | None:
    read = json.loads(view)
    return None if read["deleted"] else key_of(schema, read["fields"])


def _digest(key: Key) -> bytes:
    return hashlib.blake2b("\x00".join(key).encode("utf-8", "surrogatepass"), digest_size=16).digest()
