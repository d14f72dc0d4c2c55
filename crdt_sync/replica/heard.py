"""How far feeds of replicas that gave us no bundle were read, by way of others that did.

Whoever applied all that a device had when it made a bundle holds what that device held: also everything of the feeds
that it had read, up to where it says. So in a ring of devices, each of which carries to the next, all learn of each
other, and their own places come round.

No session rests on any of this, only bundles. A place is of one life of the replica; of each the last
`_LIVES_KEPT_MAX` that were heard of are kept, `BUNDLE_KNOWN_MAX` in all, as many as the header of a bundle can tell.
"""

import json
from collections.abc import Iterable
from typing import NamedTuple

from crdt_sync.limits import BUNDLE_KNOWN_MAX
from crdt_sync.replica.carried import carried
from crdt_sync.storage.port import Settings, Store

_HEARD = "bundle_heard"
_LIVES_KEPT_MAX = 2


class Heard(NamedTuple):
    """Everything of that replica's feed up to `cursor`, in its life `epoch`, is here.

    `via` is the replica whose bundle said so last, made at `at`, in microseconds since 1970.
    """

    replica: bytes
    epoch: bytes
    cursor: int
    via: bytes
    at: int


def heard(store: Settings) -> list[Heard]:
    """What is known, what was said last at the end."""
    rows: list[tuple[str, str, int, str, int]] = json.loads(store.meta(_HEARD) or b"[]")
    return [
        Heard(bytes.fromhex(replica), bytes.fromhex(epoch), cursor, bytes.fromhex(via), at)
        for replica, epoch, cursor, via, at in rows
    ]


def listened(store: Store, said: Iterable[tuple[bytes, bytes, int]], via: bytes, at: int) -> dict[str, bytes | None]:
    """What to commit once a bundle of `via`, made at `at`, was applied as a whole.

    `said` are (replica, life, place) of its header. What it says of us and of itself is noted elsewhere.
    """
    known = {(row.replica, row.epoch): row for row in heard(store)}
    for replica, epoch, cursor in said:
        if replica in (store.replica, via):
            continue
        before = known.pop((replica, epoch), None)
        place = cursor if before is None else max(before.cursor, cursor)
        known[replica, epoch] = Heard(replica, epoch, place, via, at)
    lives: dict[bytes, int] = {}
    kept: list[Heard] = []
    for row in sorted(known.values(), key=lambda row: row.at, reverse=True):
        lives[row.replica] = lives.get(row.replica, 0) + 1
        if lives[row.replica] <= _LIVES_KEPT_MAX and len(kept) < BUNDLE_KNOWN_MAX:
            kept.append(row)
    return {_HEARD: _bytes(reversed(kept))} if kept else {}


def guessed_place(store: Store, row: Heard) -> int:
    """How far that replica has read our feed, if whatever its informant has of ours came by way of it, as in a ring."""
    informant = carried(store).get(row.via)
    return informant.told_now(store) if informant is not None else 0


def forgotten(store: Settings) -> dict[str, bytes | None]:
    """What to commit after damage."""
    return {_HEARD: None} if store.meta(_HEARD) is not None else {}


def _bytes(rows: Iterable[Heard]) -> bytes:
    plain = [[row.replica.hex(), row.epoch.hex(), row.cursor, row.via.hex(), row.at] for row in rows]
    return json.dumps(plain, separators=(",", ":")).encode()
