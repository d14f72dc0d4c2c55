"""The index of a store, followed from one comparison to the next, and kept in the store from one opening to the next.

A record whose digest is not known, because it changed a moment ago or cannot be read, stands in the index under a
digest that nobody else has: so it is exchanged, which costs more and is right all the same.

What was kept is used only if, with the changes since, it adds up to the store's root; otherwise the index is built
from the digests of all records. That takes ten times as long.
"""

import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import Protocol

import cbor2

from crdt_sync.errors import StoreCorrupt, StoreFailed, StoreFull
from crdt_sync.protocol.reconcile import Index, Pinned, leaf
from crdt_sync.storage.port import Digests, LoggedRecords

UNKNOWN_TO_ACCEPTOR = b"\x00" * 16  # two sides that both do not know the digest of a record must not seem equal
UNKNOWN_TO_DIALER = b"\xff" * 16
_FOLLOWED_MAX = 4096  # changes, or a share of the records if that is more: beyond them, building anew costs less
_FOLLOWED_SHARE = 0.25
_KEPT_BEHIND_MAX = 1024  # changes that the kept index may lack, or a share of the records if that is more: to keep
_KEPT_BEHIND_SHARE = 0.1  # 100,000 records costs 20 ms, so that much for 10,000 changes, which take 50 ms to follow
_MODULUS = 1 << 256
_FORMAT = 1  # of what is kept


class Indexed(LoggedRecords, Digests, Protocol):
    """What an index is kept of."""


class StoreIndex:
    """See the module. Thread-safe."""

    def __init__(self, store: Indexed, unknown: bytes) -> None:
        self._store = store
        self._unknown = unknown
        self._lock = threading.Lock()
        self._index = Index()
        self._head = 0
        self._stale: list[str] = []
        self._loaded = False
        self._untrue = False  # what was kept turned out to lie
        self._not_kept = 0  # changes since the index was kept

    def pin(self) -> Pinned:
        """A view of what the store holds: of each record its present state or a later one. Raises `StoreError`.

        Its methods, too, raise `StoreFailed` where what was kept turns out to lie: the next comparison does without.
        """
        with self._lock:
            if not self._loaded:
                self._load()
            view = self._followed() or self._rebuilt()
            if self._not_kept > max(_KEPT_BEHIND_MAX, len(view) * _KEPT_BEHIND_SHARE):
                self._keep()
            return view

    def _followed(self) -> Pinned | None:
        """The index with what has changed since; None where that is too much, or does not lead to the store's root.

        What is taken out of the feed or brought back behind its head, as a quarantine does, shows in the root.
        """
        followed_max = max(_FOLLOWED_MAX, int(self._store.count() * _FOLLOWED_SHARE))
        if self._untrue or len(self._stale) > followed_max:
            return None
        try:
            changed = self._store.changed_digests(self._head, followed_max, self._stale)
        except StoreCorrupt:
            return None
        if changed is None:
            return None
        self._head = changed.head
        self._not_kept += len(changed.digests)
        with suppress(StoreFailed):  # what was kept lies
            self._put(changed.digests)
            view, root = self._index.pin(), changed.root
            unknown = sum(leaf(record, self._unknown) for record in self._stale)
            expected = (root.count + root.stale, (root.sum + unknown) % _MODULUS)
            if view.aggregate("", None) == expected:
                return view
        return None

    def _rebuilt(self) -> Pinned:
        self._untrue = False
        self._head = self._store.head()
        self._index, self._stale = Index.load(self._digests)
        for record in self._stale:
            self._index.put(record, self._unknown)
        self._not_kept = len(self._index)
        return self._index.pin()

    def _digests(self, after: str, limit: int) -> list[tuple[str, bytes | None]]:
        """`Store.digests`; where one is damaged, that of its record is not known."""
        try:
            return self._store.digests(after, limit)
        except StoreCorrupt:
            return [(record, self._digest(record)) for record in self._store.records(after, limit)]

    def _digest(self, record: str) -> bytes | None:
        with suppress(StoreCorrupt):
            return self._store.digest(record)
        return None

    def _put(self, digests: Mapping[str, bytes | None]) -> None:
        for record in self._stale:
            if record not in digests:
                self._index.remove(record)
        self._stale = [record for record, digest in digests.items() if digest is None]
        for record, digest in digests.items():
            self._index.put(record, digest or self._unknown)

    # --- from one opening to the next ---

    def _load(self) -> None:
        """Take up what was kept, if it is of the history that is there; `_followed` checks it."""
        self._loaded = True
        first, *pages = self._store.kept_index() or [b""]
        with suppress(cbor2.CBORError, TypeError, ValueError):
            kind, epoch, head, stale = cbor2.loads(first)
            reach = self._store.reach(epoch) if kind == _FORMAT else None
            if reach is not None and head <= reach:
                self._index, self._head, self._stale = Index.restore(pages, self._lied), head, stale

    def _keep(self) -> None:
        about = cbor2.dumps([_FORMAT, self._store.epoch, self._head, self._stale])
        with suppress(StoreFull, StoreFailed):  # without it, the next opening builds the index anew
            self._store.keep_index([about, *self._index.dump()])
            self._not_kept = 0

    def _lied(self) -> StoreFailed:
        self._untrue = True
        with suppress(StoreFull, StoreFailed):
            self._store.keep_index(())
        return StoreFailed("the kept index does not match the records", "It was dropped. Compare once more.")
