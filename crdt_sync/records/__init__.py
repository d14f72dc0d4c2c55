"""crdt_sync/records."""
