"""crdt_sync."""
