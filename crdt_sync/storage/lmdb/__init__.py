"""The store on disk: LMDB with checksums, a chained log and group commits (docs/storage.md)."""

from crdt_sync.storage.lmdb.aside import SetAside
from crdt_sync.storage.lmdb.store import LmdbStore

__all__ = ["LmdbStore", "SetAside"]
