"""crdt_sync/protocol."""
