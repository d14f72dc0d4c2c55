"""What is known of partners that are met by bundle: files that carry records where no session can.

It is kept apart from `Peer` and the outbox, which belong to sessions and are never touched by a file.

Invariants:

1. `cursor` is our place in the partner's feed, in its life `epoch`: nothing at or below it is missing here.
2. `told` is how far the partner said last that it has read our feed, in our life `ours`, as far as that reaches.
3. `floor` is our head when this history of the partner became known here: what its bundles brought behind it, it holds.
4. `head` is the last of its log that any of this rests on: where a later life has less in common, it is not believed.
5. `created` is when its newest bundle was made: what an older bundle says of another history is old.
6. `lives` are the last lives before `epoch` and where they ended: bundles of them are of the same history.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from crdt_sync.limits import BUNDLE_ARRIVALS_MAX, BUNDLE_LEFT_OUT_KEPT_MAX, BUNDLE_PARTNERS_MAX
from crdt_sync.replica.readers import Reader
from crdt_sync.storage.port import Log, Settings, Store

_PARTNERS = "bundle_partners"
_ARRIVALS = "bundle_arrivals"
_PARTNER_FIELDS = 9

Meta = dict[str, bytes | None]


@dataclass(frozen=True, slots=True)
class Carried:
    """One partner, see the module; `created` is in microseconds since 1970."""

    replica: bytes
    name: str
    epoch: bytes
    created: int
    floor: int
    cursor: int = 0
    ours: bytes = b""
    told: int = 0
    head: int = 0
    lives: tuple[tuple[bytes, int], ...] = ()

    def told_now(self, store: Log) -> int:
        """How far the partner has read our feed, if that was of the history that is here; else 0."""
        return honoured(store, self.ours, self.told)

    def reader(self, store: Log) -> Reader:
        """What it holds, as far as that is known."""
        return Reader(self.replica, self.name, self.told_now(store), self.floor)

    def knows(self, life: bytes) -> bool:
        """Whether that life of the partner is the one that is known, or one of those before it."""
        return life == self.epoch or life in dict(self.lives)


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A record of a bundle with an update that was not taken up: the code of the gate, and why."""

    record: str
    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class Arrival:
    """How far a bundle was applied: chunks done, updates by outcome, and what was left out, the first of it named.

    `waiting` updates were left out for now, `refused` ones for good; of them, `poisons` killed a worker.
    """

    chunks: int = 0
    received: int = 0
    known: int = 0
    refused: int = 0
    waiting: int = 0
    poisons: int = 0
    left_out: tuple[LeftOut, ...] = ()


def carried(store: Settings) -> dict[bytes, Carried]:
    """The partners that are met by bundle, by replica id."""
    # One of an earlier version is forgotten: the next bundle is whole.
    rows = {replica: row for replica, row in _read(store, _PARTNERS).items() if len(row) == _PARTNER_FIELDS}
    return {
        bytes.fromhex(replica): Carried(
            bytes.fromhex(replica),
            name,
            bytes.fromhex(epoch),
            created,
            floor,
            cursor,
            bytes.fromhex(ours),
            told,
            head,
            tuple((bytes.fromhex(life), end) for life, end in lives),
        )
        for replica, (name, epoch, created, floor, cursor, ours, told, head, lives) in rows.items()
    }


def honoured(store: Log, life: bytes, place: int) -> int:
    """A place in our feed that was told in that life of ours; 0 where it is not one of the history that is here."""
    reach = store.reach(life)
    return place if reach is not None and place <= reach else 0


def remembered(store: Settings, partner: Carried) -> Meta:
    """What to commit so that `partner` is known; those of which nothing was heard for longest make room."""
    known = {**carried(store), partner.replica: partner}
    kept = sorted(known.values(), key=lambda entry: (entry.replica == partner.replica, entry.created))
    return _partners(kept[-BUNDLE_PARTNERS_MAX:])


def forgotten_cursors(store: Store) -> Meta:
    """What to commit after damage: names stay, but nobody is believed to hold anything, nor anything to be here."""
    head = store.head()
    unread = [replace(known, cursor=0, told=0, floor=head) for known in carried(store).values()]
    return {**_partners(unread), _ARRIVALS: None} if unread or store.meta(_ARRIVALS) else {}


def arrival(store: Settings, digest: bytes) -> Arrival:
    """How far the bundle with that digest was applied."""
    row = _read(store, _ARRIVALS).get(digest.hex())
    if row is None:
        return Arrival()
    chunks, received, known, refused, waiting, poisons, left_out = row
    named = tuple(LeftOut(*entry) for entry in left_out)
    return Arrival(chunks, received, known, refused, waiting, poisons, named)


def arriving(store: Settings, digest: bytes, reached: Arrival) -> Meta:
    """What to commit together with the chunks that `reached` counts."""
    rows = _read(store, _ARRIVALS)
    rows.pop(digest.hex(), None)
    named = [[entry.record, entry.code, entry.reason] for entry in reached.left_out[:BUNDLE_LEFT_OUT_KEPT_MAX]]
    numbers = [reached.chunks, reached.received, reached.known, reached.refused, reached.waiting, reached.poisons]
    newest = {**rows, digest.hex(): [*numbers, named]}
    return {_ARRIVALS: _bytes(dict(list(newest.items())[-BUNDLE_ARRIVALS_MAX:]))}


def arrived(store: Settings, digest: bytes) -> Meta:
    """What to commit when the bundle was read to its end."""
    rows = _read(store, _ARRIVALS)
    if rows.pop(digest.hex(), None) is None:
        return {}
    return {_ARRIVALS: _bytes(rows) if rows else None}


def _partners(entries: list[Carried]) -> Meta:
    rows = {
        entry.replica.hex(): [
            entry.name,
            entry.epoch.hex(),
            entry.created,
            entry.floor,
            entry.cursor,
            entry.ours.hex(),
            entry.told,
            entry.head,
            [[life.hex(), end] for life, end in entry.lives],
        ]
        for entry in entries
    }
    return {_PARTNERS: _bytes(rows) if rows else None}


def _read(store: Settings, key: str) -> dict[str, Any]:
    rows: dict[str, Any] = json.loads(store.meta(key) or b"{}")
    return rows


def _bytes(rows: Mapping[str, Any]) -> bytes:
    return json.dumps(rows, ensure_ascii=False, separators=(",", ":")).encode()
