"""A stored cursor tells the truth: whatever the partner's feed holds up to it, the device holds too.

But for what it refused and has noted as such, which it asks for again.
"""

from crdt_bench.simulator import lineages
from crdt_bench.simulator.disk import Disk
from crdt_bench.simulator.failure import Failure
from crdt_sync.replica import unread
from crdt_sync.storage.values import Peer

_PAGE = 512


class Cursors:
    """Checks each cursor once, from where the last check of that disk ended."""

    def __init__(self) -> None:
        self._checked: dict[tuple[int, bytes], int] = {}

    def forget(self, disk: Disk) -> None:
        """The disk was replaced by an older one: check everything again."""
        self._checked = {key: cursor for key, cursor in self._checked.items() if key[0] != id(disk)}

    def check(self, device: Disk, relay: Disk, peer: Peer) -> None:
        """A device has just stored `peer`."""
        reach = relay.reach(peer.epoch)
        if peer.replica != relay.replica or reach is None:
            return
        if peer.head < peer.cursor or (peer.epoch == relay.epoch and peer.head > reach):
            raise Failure("cursor", f"cursor {peer.cursor}, head {peer.head} and the relay's head {reach} are at odds")
        if peer.head > reach:
            return
        key = (id(device), relay.epoch)
        after = self._checked.get(key, 0)
        while after < peer.cursor:
            page = relay.true_feed(after, _PAGE)
            for entry in page:
                if entry.seq > peer.cursor:
                    break
                head = device.true_head(entry.record)
                held = head is not None and lineages.covers(head.state_vector, entry.state_vector)
                if not held and entry.record not in unread.of(unread.known(device), peer.replica):
                    raise Failure(
                        "cursor", f"a device stored cursor {peer.cursor} but lacks {entry.record} at {entry.seq}"
                    )
            if len(page) < _PAGE:
                break
            after = page[-1].seq
        self._checked[key] = max(peer.cursor, after if after < peer.cursor else 0)
