"""Receipts: "we hold the same data" as a statement that both sides can check."""

from contextlib import suppress
from dataclasses import dataclass

from crdt_sync.errors import StoreCorrupt
from crdt_sync.records import digest_of
from crdt_sync.storage.port import Store
from crdt_sync.storage.values import Batch

_DIGESTS_PER_COMMIT = 2048


@dataclass(frozen=True, slots=True)
class Holding:
    """All that a replica holds, in one line: its head, how many records, and their 32-byte root digest."""

    head: int
    count: int
    root: bytes


def refresh_digests(store: Store) -> int:
    """Compute the digests that updates have made stale; returns how many. Costs what changed since the last call.

    A record whose bytes are none, or damaged, keeps no digest: receipts differ then, and an audit names it.
    """
    refreshed = 0
    while stale := store.stale(_DIGESTS_PER_COMMIT):
        digests: dict[str, bytes | None] = {}
        for record in stale:
            with suppress(ValueError, StoreCorrupt):
                digests[record] = digest_of(store.load(record).updates)[1]
        store.commit([Batch(digests=digests)])
        refreshed += len(digests)
        if len(digests) < len(stale):
            break
    return refreshed


def holding(store: Store) -> Holding:
    """The receipt of a store whose digests are fresh. Records without one, as they cannot be read, are counted."""
    root = store.root()
    return Holding(store.head(), root.count + root.stale, root.sum.to_bytes(32, "big"))
