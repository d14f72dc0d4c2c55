"""What was edited before a device joined, under the name that it had, is signed by its user from then on.

In a space with a policy only its users may be named as authors. What partners have already stays as it is.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from crdt_sync.storage.port import Store

if TYPE_CHECKING:
    from crdt_sync.replica.edits import Edits

_PAGE = 512


def sign_unsent(store: Store, edits: "Edits", before: str, now: str) -> int:
    """Sign by `now` what is signed by `before` and owed to a partner, or all where there never was one.

    Returns in how many records that was anything.
    """
    return sum(edits.sign(record, before) for record in sorted(set(_owed(store)))) if now != before else 0


def _owed(store: Store) -> Iterator[str]:
    peers = store.peers()
    for peer in peers:
        after = ""
        while page := store.outbox(peer.replica, after, _PAGE):
            yield from (entry.record for entry in page)
            after = page[-1].record
    after = ""
    while not peers and (records := store.records(after, _PAGE)):
        yield from records
        after = records[-1]
