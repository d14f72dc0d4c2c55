"""crdt_sync/runtime."""
