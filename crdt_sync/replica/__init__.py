"""crdt_sync/replica."""
