"""The durable set of records of one replica: the ports of a `Store`, the store on disk, its twin in memory."""

from typing import TYPE_CHECKING

from crdt_sync.lazy import importer

if TYPE_CHECKING:
    from crdt_sync.storage.lmdb import LmdbStore
    from crdt_sync.storage.memory import MemoryStore, MemoryStores
    from crdt_sync.storage.port import (
        Committer,
        Digests,
        Identity,
        Log,
        Maintenance,
        Outbox,
        Places,
        Records,
        Settings,
        Store,
        Stores,
    )
    from crdt_sync.storage.values import (
        Batch,
        Change,
        ChangedDigests,
        Committed,
        CompactReport,
        FeedEntry,
        Finding,
        Head,
        LogEntry,
        OutboxEntry,
        Peer,
        Placement,
        Root,
        Stored,
        VerifyReport,
    )
    from crdt_sync.storage.writer import GroupWriter, WriterMetrics
else:
    __getattr__, __dir__ = importer(
        __name__,
        {
            "crdt_sync.storage.lmdb": ("LmdbStore",),
            "crdt_sync.storage.memory": ("MemoryStore", "MemoryStores"),
            "crdt_sync.storage.port": (
                "Committer",
                "Digests",
                "Identity",
                "Log",
                "Maintenance",
                "Outbox",
                "Places",
                "Records",
                "Settings",
                "Store",
                "Stores",
            ),
            "crdt_sync.storage.values": (
                "Batch",
                "Change",
                "ChangedDigests",
                "Committed",
                "CompactReport",
                "FeedEntry",
                "Finding",
                "Head",
                "LogEntry",
                "OutboxEntry",
                "Peer",
                "Placement",
                "Root",
                "Stored",
                "VerifyReport",
            ),
            "crdt_sync.storage.writer": (
                "GroupWriter",
                "WriterMetrics",
            ),
        },
    )

__all__ = [
    "Batch",
    "Change",
    "ChangedDigests",
    "Committed",
    "Committer",
    "CompactReport",
    "Digests",
    "FeedEntry",
    "Finding",
    "GroupWriter",
    "Head",
    "Identity",
    "LmdbStore",
    "Log",
    "LogEntry",
    "Maintenance",
    "MemoryStore",
    "MemoryStores",
    "Outbox",
    "OutboxEntry",
    "Peer",
    "Placement",
    "Places",
    "Records",
    "Root",
    "Settings",
    "Store",
    "Stored",
    "Stores",
    "VerifyReport",
    "WriterMetrics",
]
