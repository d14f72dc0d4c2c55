"""Which relays a store was given to, so that no other gets its records for want of a question.

One row in `meta`: each partner that was ever dialed, where, and whether it proved to be a device. It is written at the
welcome, before anything is exchanged, so it knows partners of which nothing was received yet. Partners that only an
earlier version met, of which it tells nothing, count as relays.
"""

import json
from typing import NamedTuple

from crdt_sync import limits
from crdt_sync.errors import ForeignRelay, StoreCorrupt
from crdt_sync.storage.port import Store

_DIALED = "dialed"


class _Dialed(NamedTuple):
    url: str
    is_device: bool


def check_relay(store: Store, replica: bytes, url: str) -> None:
    """Raises `ForeignRelay` where the relay `replica` at `url` shares no history with the ones that are known here.

    Whoever answers at the address of a known relay is let have everything: it may have lost its disk.
    """
    count = store.count()
    known = _relays(store)
    if not count or not known or replica in known or store.peer(replica) is not None or url in known.values():
        return
    raise ForeignRelay(url, list(dict.fromkeys(reversed(known.values()))), count)


def note_dialed(store: Store, replica: bytes, url: str, *, is_device: bool) -> dict[str, bytes | None]:
    """What to keep in `meta` of a partner that answered; nothing where that is known. The newest is at the end."""
    rows = _read(store)
    row = _Dialed(url, is_device)
    if rows.get(replica) == row:
        return {}
    rows.pop(replica, None)
    rows[replica] = row
    kept = list(rows.items())[-limits.PARTNERS_MAX :]
    plain = [[replica.hex(), row.url, row.is_device] for replica, row in kept]
    return {_DIALED: json.dumps(plain, separators=(",", ":")).encode()}


def _relays(store: Store) -> dict[bytes, str]:
    """The addresses of the known relays by replica id, the one met last at the end."""
    rows = _read(store)
    peers = sorted(store.peers(), key=lambda peer: peer.last_seen)
    earlier = {peer.replica: peer.url for peer in peers if peer.url and peer.replica not in rows}
    return earlier | {replica: row.url for replica, row in rows.items() if not row.is_device}


def _read(store: Store) -> dict[bytes, _Dialed]:
    try:
        kept = store.meta(_DIALED)
    except StoreCorrupt:
        return {}  # the partners still tell
    rows: list[tuple[str, str, bool]] = json.loads(kept or b"[]")
    return {bytes.fromhex(replica): _Dialed(url, is_device) for replica, url, is_device in rows}
