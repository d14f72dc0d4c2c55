"""The durable set of records of one replica: the `Store` port, the store on disk, its twin in memory."""

from typing import TYPE_CHECKING

from crdt_sync.lazy import importer

if TYPE_CHECKING:
    from crdt_sync.storage.lmdb import LmdbStore
    from crdt_sync.storage.memory import MemoryStore
    from crdt_sync.storage.port import (
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
        Root,
        Store,
        Stored,
        VerifyReport,
    )
    from crdt_sync.storage.writer import GroupWriter, WriterMetrics
else:
    __getattr__, __dir__ = importer(
        __name__,
        {
            "crdt_sync.storage.lmdb": ("LmdbStore",),
            "crdt_sync.storage.memory": ("MemoryStore",),
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
    "CompactReport",
    "FeedEntry",
    "Finding",
    "GroupWriter",
    "Head",
    "LmdbStore",
    "LogEntry",
    "MemoryStore",
    "OutboxEntry",
    "Peer",
    "Root",
    "Store",
    "Stored",
    "VerifyReport",
    "WriterMetrics",
]
