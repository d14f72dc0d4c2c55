"""crdt_sync/storage."""
