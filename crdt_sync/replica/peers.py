"""The partners that a store knows, also where what it says of them is damaged."""

from crdt_sync.errors import StoreCorrupt
from crdt_sync.storage.port import Store
from crdt_sync.storage.values import Batch, Peer

SERVED = "served"  # meta: there once partners, or lives in which others may have read this replica, were forgotten


def known_peers(store: Store) -> list[Peer]:
    """All partners. One whose entry is damaged is forgotten, and compared with when it is met; damaged outboxes are
    mended.
    """
    try:
        peers = store.peers()
    except StoreCorrupt:
        store.mend("peers")
        store.commit([Batch(meta={SERVED: b"1"})])
        peers = store.peers()
    try:
        for peer in peers:
            store.outbox_count(peer.replica)
    except StoreCorrupt:
        store.mend("outbox")
    return peers
