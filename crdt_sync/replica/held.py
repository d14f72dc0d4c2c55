"""Digests of some records and not of others: what a session is told that may hold those."""

from collections.abc import Sequence
from contextlib import suppress

from crdt_sync.errors import StoreCorrupt
from crdt_sync.protocol.reconcile import Index, Pinned, View, leaf
from crdt_sync.storage.port import Digests

_PAGE = 4096
_MODULUS = 1 << 256


def held_view(store: Digests, records: Sequence[str], unknown: bytes) -> Pinned:
    """A view of their state digests; `unknown` stands for one that is not known. It costs what they are."""
    index = Index()
    for record in records:
        index.put(record, _digest(store, record) or unknown)
    return index.pin()


def part_of(view: View, records: Sequence[str]) -> Pinned:
    """The part of a view that has these records, which are in order."""
    held = frozenset(records)
    index = Index()
    after = ""
    while page := view.items(after, None, _PAGE):
        for record, digest in page:
            if record in held:
                index.put(record, digest)
        after = page[-1][0]
    return index.pin()


def held_root(store: Digests, records: Sequence[str]) -> tuple[int, bytes]:
    """How many there are, and the sum of the leaves of those whose digest is known, for a receipt."""
    total = sum(leaf(record, digest) for record in records if (digest := _digest(store, record)) is not None)
    return len(records), (total % _MODULUS).to_bytes(32, "big")


def _digest(store: Digests, record: str) -> bytes | None:
    with suppress(StoreCorrupt):
        return store.digest(record)
    return None
