"""What a partner said of its feed at the last contact, and what follows from that about what it has for us."""

import json
from fractions import Fraction
from math import ceil
from typing import NamedTuple

from crdt_sync.errors import StoreCorrupt
from crdt_sync.ids import EPOCH_BYTES
from crdt_sync.protocol.entries import Behind
from crdt_sync.storage.port import Settings
from crdt_sync.storage.values import Peer

_TOLD = "told/"  # meta, by replica id in hexadecimal: the head that a partner told last, in which epoch, and when


class Told(NamedTuple):
    """What a partner said of its feed: its epoch, its head, and when (microseconds since 1970, by our clock).

    `behind` is how much lay behind `cursor` then, where it said so. A partner that tells marks tells no head, and
    nothing of that; once the end of its feed has come, nothing was behind it.
    """

    epoch: bytes
    head: int
    at: int
    cursor: int = 0
    behind: Behind | None = None


def note_told(replica: bytes, told: Told) -> dict[str, bytes | None]:
    """What to keep in `meta` of what a partner told."""
    kept = [told.epoch.hex(), told.head, told.at, told.cursor, told.behind]
    return {_TOLD + replica.hex(): json.dumps(kept).encode()}


def read_told(store: Settings, replica: bytes) -> Told | None:
    """What the partner told last, where that was noted."""
    try:
        kept = store.meta(_TOLD + replica.hex())
    except StoreCorrupt:
        return Told(b"", 0, 0)  # of no epoch that the partner can be in: nothing is known
    if kept is None:
        return None
    row = json.loads(kept)
    if len(row) != len(Told._fields):
        return None  # of an earlier version: the next welcome tells it anew
    epoch, head, at, cursor, behind = row
    return Told(bytes.fromhex(epoch), head, at, cursor, None if behind is None else Behind(*behind))


def is_compared(peer: Peer, told: Told | None) -> bool:
    """Whether the partner's history has changed, so that all is compared at the next session."""
    return peer.epoch == bytes(EPOCH_BYTES) or (told is not None and told.epoch != peer.epoch)


def to_fetch(peer: Peer, told: Told | None) -> tuple[int | None, int | None]:
    """How much of the partner's feed was not read as of the last contact: records, at most, and bytes, about.

    None where that is not known.
    """
    if is_compared(peer, told) or (peer.marks is not None and told is not None and told.behind is None):
        return None, None
    return (0, 0) if told is None else unfetched(told, peer.cursor)


def unfetched(told: Told, cursor: int) -> tuple[int, int | None]:
    """What was told and lies behind `cursor`, as `to_fetch`: a share of the updates has that share of the bytes."""
    updates = max(0, told.head - cursor)
    if not updates:
        return 0, 0
    if told.behind is None:
        return updates, None
    share = min(Fraction(updates, max(1, told.head - told.cursor)), Fraction(1))
    return min(told.behind.records, updates), ceil(told.behind.bytes * share)
