"""crdt-sync: customer records that converge, on devices that work offline.

The names here are the public API, with the errors of `crdt_sync.errors`, `crdt_sync.bundles`, and what docs/ imports;
everything else may change between minor versions.
"""

from crdt_sync.lazy import importer

TYPE_CHECKING = False  # as type checkers read it: `typing` takes longer to import than all of this
if TYPE_CHECKING:
    from crdt_sync.errors import CrdtSyncError
    from crdt_sync.records import Schema, bundled_schema, load_schema
    from crdt_sync.records.classes import merged, schema_for
    from crdt_sync.replica import Replica
    from crdt_sync.runtime import Address, compare, compare_once, keep_syncing, keep_syncing_forever, sync, sync_once
else:
    __getattr__, __dir__ = importer(
        __name__,
        {
            "crdt_sync.errors": ("CrdtSyncError",),
            "crdt_sync.records": ("Schema", "bundled_schema", "load_schema"),
            "crdt_sync.records.classes": ("merged", "schema_for"),
            "crdt_sync.replica": ("Replica",),
            "crdt_sync.runtime": (
                "Address",
                "compare",
                "compare_once",
                "keep_syncing",
                "keep_syncing_forever",
                "sync",
                "sync_once",
            ),
        },
    )

__all__ = [
    "Address",
    "CrdtSyncError",
    "Replica",
    "Schema",
    "bundled_schema",
    "compare",
    "compare_once",
    "keep_syncing",
    "keep_syncing_forever",
    "load_schema",
    "merged",
    "schema_for",
    "sync",
    "sync_once",
]
