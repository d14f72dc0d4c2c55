"""Nothing waits for ever: once all is quiet, no record is pending, and none was refused."""

from crdt_bench.simulator.failure import Failure
from crdt_sync.storage.port import Store


def check(name: str, disk: Store, relay: Store) -> None:
    """The outboxes of one device. What is kept for a relay that no longer exists counts as well."""
    for peer in disk.peers():
        entries = disk.outbox(peer.replica, "", 1 << 30)
        if entries:
            whom = "the relay" if peer.replica == relay.replica else "a relay that is gone"
            raise Failure("outbox", f"{name}: {len(entries)} records wait for {whom}, first {entries[0]}")
