"""crdt_sync/exchange."""
