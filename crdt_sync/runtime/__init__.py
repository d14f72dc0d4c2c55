"""The only asyncio code of the library: links, conversations, and syncing in the background."""

from crdt_sync.runtime.auditing import (
    Audit,
    Comparison,
    Difference,
    Mended,
    audit_once,
    compare,
    compare_once,
    heal_once,
)
from crdt_sync.runtime.client import (
    Syncing,
    keep_syncing,
    keep_syncing_forever,
    sync,
    sync_once,
)
from crdt_sync.runtime.conversation import Progress
from crdt_sync.runtime.link import Address

__all__ = [
    "Address",
    "Audit",
    "Comparison",
    "Difference",
    "Mended",
    "Progress",
    "Syncing",
    "audit_once",
    "compare",
    "compare_once",
    "heal_once",
    "keep_syncing",
    "keep_syncing_forever",
    "sync",
    "sync_once",
]
