"""Records that hold items of a kind that is refused today: readable, but replicas may show them in different orders."""

from collections.abc import Iterator
from functools import partial

from crdt_sync.records.gate.well_placed import disordered
from crdt_sync.replica.loading import stored_document
from crdt_sync.replica.readable import readable
from crdt_sync.storage.port import Records

_PAGE = 1000


def disordered_records(store: Records) -> Iterator[tuple[str, list[str]]]:
    """Such records of a store and the roots concerned, in order. What cannot be read is left to `Store.verify`."""
    after = ""
    while page := store.records(after, _PAGE):
        for record in page:
            if roots := readable(partial(_roots, store, record)):
                yield record, roots
        after = page[-1]


def _roots(store: Records, record: str) -> list[str]:
    return disordered(stored_document(store, record).diff())
