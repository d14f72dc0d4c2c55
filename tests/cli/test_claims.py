"""What commands claim of what others hold, in every situation that a store can be in with its partners."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from crdt_sync.cli import partners
from crdt_sync.cli.watching import Watched
from crdt_sync.protocol.messages import UpdatesEntry
from crdt_sync.replica import Replica
from crdt_sync.replica import callers as callers_module
from crdt_sync.replica.callers import Caller
from crdt_sync.replica.carried import Carried, remembered
from crdt_sync.replica.heard import listened
from crdt_sync.replica.told import Told, note_told
from crdt_sync.runtime import Address
from crdt_sync.storage.values import Batch, OutboxEntry, Peer

CHOSEN = "ws://chosen:8765"
OTHER = "ws://other:8765"
RELAY, DEVICE = b"r" * 16, b"d" * 16
LIFE, LATER = b"l" * 16, b"m" * 16
RECORD = "customers/a"

Situation = Callable[[Replica], None]


def nothing(replica: Replica) -> None:
    """The store as it was made."""


def record(replica: Replica) -> None:
    with replica.edit(RECORD, create=True) as customer:
        customer["name"] = "Müller"


def met(url: str, epoch: bytes = LIFE, told: bytes = LIFE, head: int = 0) -> Situation:
    """A relay that answered at `url`, and had told its head."""

    def meet(replica: Replica) -> None:
        noted = note_told(RELAY, Told(told, head, 1))
        replica.store.commit([Batch(peers=(Peer(RELAY, epoch, 0, 1, url),), meta=noted)])
        replica.context.meet(RELAY)

    return meet


def refused(replica: Replica) -> None:
    entry = OutboxEntry(RECORD, b"\0", 1, "malformed", "because")
    replica.store.commit([Batch(outbox=((RELAY, entry),))])


def by_bundle(place: int) -> Situation:
    """`ben` has said by bundle how far he read our feed."""

    def carry(replica: Replica) -> None:
        ben = Carried(DEVICE, "ben", LIFE, 1, floor=9, ours=replica.store.begin_life(), told=place)
        replica.store.commit([Batch(meta=remembered(replica.store, ben))])

    return carry


def by_call(place: int, floor: int = 9, name: str = "ben") -> Situation:
    """He has called, and said how far he read our feed."""

    def call(replica: Replica) -> None:
        ben = Caller(DEVICE, name, 1, replica.store.begin_life(), place, floor)
        replica.store.commit([Batch(meta=callers_module.remembered({DEVICE: ben}))])

    return call


def history_lost(replica: Replica) -> None:
    replica.store.renew_epoch()


def through_carla(replica: Replica) -> None:
    """A bundle of carla, who has read what is here, told of ben."""
    carla = Carried(b"c" * 16, "carla", LIFE, 1, floor=9, ours=replica.store.begin_life(), told=1)
    meta = listened(replica.store, [(DEVICE, LIFE, 1)], carla.replica, 1)
    replica.store.commit([Batch(meta={**remembered(replica.store, carla), **meta})])


def edited(replica: Replica) -> None:
    with replica.edit(RECORD) as customer:
        customer["name"] = "Schmidt"


def meet_him(replica: Replica) -> None:
    """ben, who is called here too, but was not since the last edit."""
    ben = Peer(DEVICE, LIFE, 0, 1, OTHER)
    replica.store.commit([Batch(peers=(ben,), meta=note_told(DEVICE, Told(LIFE, 0, 1)))])
    replica.context.meet(DEVICE)


def from_him(replica: Replica) -> None:
    """The record came from ben."""
    diff = replica.document(RECORD).diff()
    vector = replica.document(RECORD).state_vector()
    replica.store.quarantine(RECORD)
    replica.integrate([UpdatesEntry(RECORD, diff, vector)], DEVICE, (), None)


@dataclass(frozen=True)
class Claims:
    """By what command: the state of the record, what waits for whom, what the chosen relay may lack, and words."""

    state: str | None
    waiting: list[tuple[str, str]]
    pending: int
    status: str
    listed: str


TABLE: dict[str, tuple[list[Situation], bool, Claims]] = {
    "fresh": ([nothing], False, Claims(None, [], 0, "Nothing has been synced yet", "There are no records here")),
    "fresh, a relay is chosen": (
        [nothing],
        True,
        Claims(None, [], 0, f"Nothing has been synced with {CHOSEN} yet", "Nothing waits"),
    ),
    "alone": ([record], False, Claims("local", [], 1, "Nothing has been synced yet", "all is here only: 1 record")),
    "never reached": (
        [record],
        True,
        Claims("local", [(CHOSEN, "pending")], 1, "1 record to send", "nothing has been synced with it yet"),
    ),
    "stored": ([record, met(CHOSEN)], True, Claims("stored", [], 0, "100 %", "Nothing waits")),
    "edited since": (
        [met(CHOSEN), record],
        True,
        Claims("pending", [(CHOSEN, "pending")], 1, "0 %", "not known to be stored there"),
    ),
    "more to fetch": ([record, met(CHOSEN, head=1)], True, Claims("stored", [], 0, "50 %", "Nothing waits")),
    "refused": (
        [record, met(CHOSEN), refused],
        True,
        Claims("refused", [(CHOSEN, "refused")], 0, "0 %", "malformed: because"),
    ),
    "its history changed": (
        [record, met(CHOSEN, told=LATER)],
        True,
        Claims("pending", [], 1, "unknown", "the next sync compares everything"),
    ),
    "forgotten: another answers there, or too many were met": (
        [record, met("")],
        True,
        Claims("local", [(CHOSEN, "pending")], 1, "1 record to send", "nothing has been synced with it yet"),
    ),
    "stored at another relay than the chosen one": (
        [record, met(OTHER)],
        True,
        Claims("stored", [(CHOSEN, "pending")], 1, "1 record to send", "nothing has been synced with it yet"),
    ),
    "by bundle, read": ([record, by_bundle(1)], False, Claims("stored", [], 1, "By bundle", "Nothing waits")),
    "by bundle, not read": (
        [record, by_bundle(0)],
        False,
        Claims("pending", [("ben", "pending")], 1, "at most 1", "waits for the next bundle"),
    ),
    "by bundle, of a history that is over": (
        [record, by_bundle(1), history_lost],
        False,
        Claims("pending", [("ben", "pending")], 1, "at most 1", "waits for the next bundle"),
    ),
    "called, read": ([record, by_call(1)], False, Claims("stored", [], 1, "Calls here", "Nothing waits")),
    "called, not read": (
        [record, by_call(0)],
        False,
        Claims("pending", [("ben", "pending")], 1, "at most 1", "waits for the next call"),
    ),
    "called, brought it": (
        [record, from_him, by_call(0, floor=0)],
        False,
        Claims("stored", [], 1, "Calls here", "Nothing waits"),
    ),
    "called, brought it in a call before the last": (
        [record, from_him, by_call(0, floor=2)],
        False,
        Claims("pending", [("ben", "pending")], 1, "at most 1", "waits for the next call"),
    ),
    "called without a name": (
        [record, by_call(0, name="")],
        False,
        Claims("pending", [(DEVICE.hex()[:8], "pending")], 1, DEVICE.hex()[:8], "waits for the next call"),
    ),
    "told of by another, who has all": (
        [record, through_carla],
        False,
        Claims("stored", [], 1, "(through carla)", "Nothing waits"),
    ),
    "told of by another, who lacks something": (
        [record, through_carla, edited],
        False,
        Claims("pending", [("carla", "pending")], 1, "(through carla)", "known through carla, lacks is not known"),
    ),
    "called by both sides, and fetched by him": (
        [meet_him, record, by_call(1)],
        False,
        Claims("stored", [], 1, "ben (ws://other:8765)", "Nothing waits"),
    ),
    "called by both sides, and not fetched": (
        [meet_him, record, by_call(0)],
        False,
        Claims("pending", [("ben (ws://other:8765)", "pending")], 1, "0 %", "not known to be stored there"),
    ),
    "called, not read, and stored at the relay": (
        [record, met(CHOSEN), by_call(0)],
        True,
        Claims("stored", [("ben", "pending")], 0, "Calls here", "waits for the next call"),
    ),
}


@pytest.mark.parametrize("situation", TABLE)
def test_nothing_is_claimed_of_others_that_is_not_known(store, run, situation):
    steps, chosen, claims = TABLE[situation]
    if chosen:
        partners.save(store, Address(CHOSEN, ""))
    with Replica.open(store) as replica:
        for step in steps:
            step(replica)
        line = Watched(Address(CHOSEN, ""))
        line.look(replica)
    assert line.pending == claims.pending
    listed = run("status", "--waiting", "--json").objects
    assert [(entry["partner"], entry["state"]) for entry in listed] == claims.waiting
    assert claims.listed in run("status", "--waiting").out
    assert ("Nothing waits" in run("status", "--waiting").out) == (claims.listed == "Nothing waits")
    shown = run("status")
    assert claims.status in shown.out
    assert ("100 %" in shown.out) == ("stored" in situation)
    if claims.state is None:
        return
    assert run("status", RECORD, "--json").object["state"] == claims.state
    told = run("status", RECORD).out
    assert ("is on this device only" in told) == (claims.state == "local")
    assert ("was never sent to" in told) == (claims.listed == "nothing has been synced with it yet")
    assert ("waits for" in told) == any(partner in ("ben", "carla", DEVICE.hex()[:8]) for partner, _ in claims.waiting)


def test_beside_others_each_partner_is_named_in_what_is_said_of_it() -> None:
    alone, one = Watched(Address(CHOSEN, "")), Watched(Address(CHOSEN, ""), beside_others=True)
    assert CHOSEN not in alone.sentence()
    assert one.sentence() == f"{CHOSEN} {alone.sentence()}"
