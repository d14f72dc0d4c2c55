"""Which relays a store was given to, and at which addresses, so that no other gets its records for want of a question.

One row in `meta`: each address that was ever dialed, who answered there last, and whether that proved to be a device.
It is written at the welcome, before anything is exchanged, so it knows partners of which nothing was received yet.
Partners that only an earlier version met, of which it tells nothing, count as relays.
"""

import json
from typing import NamedTuple

from crdt_sync import limits
from crdt_sync.errors import ForeignRelay, ProtocolViolation, StoreCorrupt
from crdt_sync.storage.port import Partners, Settings, Store

_DIALED = "dialed"


class _Dialed(NamedTuple):
    replica: bytes
    is_device: bool


def check_relay(store: Store, replica: bytes, url: str) -> None:
    """Raises `ForeignRelay` where the relay `replica` at `url` shares no history with the ones that are known here.

    Whoever answers at the address of a known relay is let have everything: it may have lost its disk.
    """
    count = store.count()
    known = _relays(store)
    if not count or not known or replica in known.values() or store.peer(replica) is not None or url in known:
        return
    raise ForeignRelay(url, list(reversed(known)), count)


def check_device(store: Settings, named: bytes, replica: bytes) -> None:
    """A device that proved itself as `named` says that it is `replica`.

    Raises `ProtocolViolation` where that is another one, or a relay's: what it says would count as that one's word, and
    what is owed there would be given to it.
    """
    relays = {row.replica for row in _read(store).values() if not row.is_device}
    if replica != named or replica in relays:
        raise ProtocolViolation(
            "this device says that it is another one, or a relay that is known here",
            "Nothing was exchanged. Tell who runs the space: it passes for what it is not.",
        )


def is_trusted_address(store: Partners, url: str) -> bool:
    """Whether the relay at `url` may be of another space: a relay was met there, or none anywhere."""
    known = _relays(store)
    return not known or url in known


def answered_at(store: Partners, url: str) -> bytes | None:
    """The relay that answered last at `url`, which may have been reached at another address since."""
    return _relays(store).get(url)


def note_dialed(store: Settings, replica: bytes, url: str, *, is_device: bool) -> dict[str, bytes | None]:
    """What to keep in `meta` of a partner that answered; nothing where that is known. The newest is at the end."""
    rows = _read(store)
    row = _Dialed(replica, is_device)
    if rows.get(url) == row:
        return {}
    rows = {at: known for at, known in rows.items() if at != url and not (is_device and known.replica == replica)}
    rows[url] = row
    kept = list(rows.items())[-limits.PARTNERS_MAX :]
    plain = [[row.replica.hex(), url, row.is_device] for url, row in kept]
    return {_DIALED: json.dumps(plain, separators=(",", ":")).encode()}


def _relays(store: Partners) -> dict[str, bytes]:
    """The known relays by address, the one met last at the end."""
    rows = _read(store)
    noted = {row.replica for row in rows.values()}
    peers = sorted(store.peers(), key=lambda peer: peer.last_seen)
    earlier = {peer.url: peer.replica for peer in peers if peer.url and peer.replica not in noted}
    return earlier | {url: row.replica for url, row in rows.items() if not row.is_device}


def _read(store: Settings) -> dict[str, _Dialed]:
    try:
        kept = store.meta(_DIALED)
    except StoreCorrupt:
        return {}  # the partners still tell
    rows: list[tuple[str, str, bool]] = json.loads(kept or b"[]")
    return {url: _Dialed(bytes.fromhex(replica), is_device) for replica, url, is_device in rows}
