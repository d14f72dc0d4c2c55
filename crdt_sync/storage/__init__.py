"""The durable set of records of one replica: the ports of a `Store`, the store on disk, its twin in memory."""

from typing import TYPE_CHECKING

from crdt_sync.lazy import importer

if TYPE_CHECKING:
    from crdt_sync.storage.lmdb import LmdbStore
    from crdt_sync.storage.memory import MemoryStore, MemoryStores
    from crdt_sync.storage.port import (
        Batch,
        Change,
        ChangedDigests,
        Committed,
        Committer,
        CompactReport,
        Digests,
        FeedEntry,
        Finding,
        Head,
        Identity,
        Log,
        LogEntry,
        Maintenance,
        Outbox,
        OutboxEntry,
        Peer,
        Records,
        Root,
        Settings,
        Store,
        Stored,
        Stores,
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
                "Root",
                "Store",
                "Stored",
                "Stores",
                "Committer",
                "Digests",
                "Identity",
                "Log",
                "Maintenance",
                "Outbox",
                "Records",
                "Settings",
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
    "Records",
    "Root",
    "Settings",
    "Store",
    "Stored",
    "Stores",
    "VerifyReport",
    "WriterMetrics",
]
