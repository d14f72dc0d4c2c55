"""crdt-sync: customer records that converge, on devices that work offline.

The names here are the public API; everything else may change between minor versions.
"""

from crdt_sync.errors import CrdtSyncError
from crdt_sync.records import Schema, bundled_schema, load_schema
from crdt_sync.replica import Replica
from crdt_sync.runtime import Address, compare, keep_syncing, sync, sync_once

__all__ = [
    "Address",
    "CrdtSyncError",
    "Replica",
    "Schema",
    "bundled_schema",
    "compare",
    "keep_syncing",
    "load_schema",
    "sync",
    "sync_once",
]
