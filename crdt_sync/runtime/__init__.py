"""The only asyncio code of the library: links, conversations, and syncing in the background."""

from typing import TYPE_CHECKING

from crdt_sync.lazy import importer

if TYPE_CHECKING:
    from crdt_sync.runtime.address import Address
    from crdt_sync.runtime.auditing import audit_once, compare, compare_once, heal_once
    from crdt_sync.runtime.audits import Audit, Comparison, Difference, Mended
    from crdt_sync.runtime.client import Syncing, keep_syncing, keep_syncing_forever, sync, sync_once
    from crdt_sync.runtime.progress import Progress
else:
    __getattr__, __dir__ = importer(
        __name__,
        {
            "crdt_sync.runtime.address": ("Address",),
            "crdt_sync.runtime.auditing": ("audit_once", "compare", "compare_once", "heal_once"),
            "crdt_sync.runtime.audits": ("Audit", "Comparison", "Difference", "Mended"),
            "crdt_sync.runtime.client": ("Syncing", "keep_syncing", "keep_syncing_forever", "sync", "sync_once"),
            "crdt_sync.runtime.progress": ("Progress",),
        },
    )

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
