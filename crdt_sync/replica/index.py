"""The index of a store, built when a comparison needs it and followed from one comparison to the next.

A record whose digest is not known, because it changed a moment ago or cannot be read, stands in the index under a
digest that nobody else has: so it is exchanged, which costs more and is right all the same.
"""

import threading
from collections.abc import Iterable

from crdt_sync.protocol.reconcile import Index, Pinned, leaf
from crdt_sync.storage.port import Store

UNKNOWN_TO_ACCEPTOR = b"\x00" * 16  # two sides that both do not know the digest of a record must not seem equal
UNKNOWN_TO_DIALER = b"\xff" * 16
_FOLLOWED_MAX = 4096  # changes: beyond them, building anew costs less
_MODULUS = 1 << 256


class StoreIndex:
    """See the module. Thread-safe."""

    def __init__(self, store: Store, unknown: bytes) -> None:
        self._store = store
        self._unknown = unknown
        self._lock = threading.Lock()
        self._index = Index()
        self._head = 0
        self._stale: list[str] = []

    def pin(self) -> Pinned:
        """A view of what the store holds: of each record its present state or a later one. Raises `StoreError`."""
        with self._lock:
            return self._followed() or self._rebuilt()

    def _followed(self) -> Pinned | None:
        """The index with what has changed since; None where that is too much, or does not lead to the store's root.

        What is taken out of the feed or brought back behind its head, as a quarantine does, shows in the root.
        """
        head = self._store.head()
        changed = self._store.feed(self._head, _FOLLOWED_MAX + 1)
        if len(changed) > _FOLLOWED_MAX or len(self._stale) > _FOLLOWED_MAX:
            return None
        self._head = head
        self._put({*self._stale, *(entry.record for entry in changed)})
        view = self._index.pin()
        root = self._store.root()
        unknown = sum(leaf(record, self._unknown) for record in self._stale)
        expected = (root.count + root.stale, (root.sum + unknown) % _MODULUS)
        return view if view.aggregate("", None) == expected else None

    def _rebuilt(self) -> Pinned:
        self._head = self._store.head()
        self._index, self._stale = Index.load(self._store.digests)
        for record in self._stale:
            self._index.put(record, self._unknown)
        return self._index.pin()

    def _put(self, records: Iterable[str]) -> None:
        self._stale = []
        for record in records:
            digest = self._store.digest(record)
            if digest is None and self._store.record_head(record) is None:
                self._index.remove(record)
                continue
            if digest is None:
                self._stale.append(record)
            self._index.put(record, digest or self._unknown)
