"""What takes in what partners send: a replica, as sessions with partners and the owner of a store know it."""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from crdt_sync.protocol.entries import UpdatesEntry
from crdt_sync.replica.origin import Origin
from crdt_sync.storage.values import Peer


class Receiving(Protocol):
    """See the module."""

    def integrate(
        self,
        entries: Sequence[UpdatesEntry],
        origin: Origin | bytes,
        peers: tuple[Peer, ...],
        owe_to: bytes | None,
        refused: Mapping[str, str] = ...,
        whole: Collection[str] = ...,
        meta: Mapping[str, bytes | None] = ...,
        peers_despite_gaps: tuple[Peer, ...] = ...,
    ) -> Sequence[tuple[str, bytes]]:
        """See `Replica.integrate`."""
