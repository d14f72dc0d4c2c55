"""The durable set of records of one replica: the `Store` port, the store on disk, its twin in memory."""

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
