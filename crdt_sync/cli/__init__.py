"""crdt_sync/cli."""
