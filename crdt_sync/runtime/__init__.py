"""The only asyncio code of the library: links, conversations, and syncing in the background."""

from crdt_sync.runtime.client import (
    Comparison,
    Syncing,
    compare,
    compare_once,
    keep_syncing,
    keep_syncing_forever,
    sync,
    sync_once,
)
from crdt_sync.runtime.conversation import Progress
from crdt_sync.runtime.link import Address

__all__ = [
    "Address",
    "Comparison",
    "Progress",
    "Syncing",
    "compare",
    "compare_once",
    "keep_syncing",
    "keep_syncing_forever",
    "sync",
    "sync_once",
]
