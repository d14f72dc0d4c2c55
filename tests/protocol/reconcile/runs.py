"""Runs between two honest sides, and what each must have learnt from them: a plain set difference."""

import base64
import random
from dataclasses import dataclass, field

import cbor2

from crdt_sync.limits import FRAME_BYTES_TARGET
from crdt_sync.protocol.reconcile import Index, Owed, Ranges, Reconciler, Wanted, decode, encode


def records(count, seed=1):
    """`count` records with random ids and digests, ascending."""
    rng = random.Random(seed)
    keys = {base64.b32encode(rng.randbytes(16)).decode("ascii").rstrip("=").lower() for _ in range(count)}
    return [(f"customers/{key}", rng.randbytes(16)) for key in sorted(keys)]


def view(entries):
    return Index(sorted(dict(entries).items())).pin()


@dataclass
class Side:
    reconciler: Reconciler
    want: list = field(default_factory=list)
    owe: list = field(default_factory=list)

    def take(self):
        want, owe = self.reconciler.take()
        self.want += want
        self.owe += owe


@dataclass
class Outcome:
    """`sizes` are the bytes of the messages in CBOR, in turn; the first is the initiator's."""

    initiator: Side
    responder: Side
    sizes: list
    messages: list

    @property
    def round_trips(self):
        return len(self.sizes) / 2


def wire(message: Ranges, frame_bytes=FRAME_BYTES_TARGET) -> tuple[Ranges, int]:
    """The message as the partner reads it, and its size."""
    packed = cbor2.dumps(encode(message))
    assert len(packed) <= frame_bytes, "a message stays under the frame's limit"
    arrived = decode(tuple(cbor2.loads(packed)))
    assert arrived == message
    return arrived, len(packed)


def reconcile(ours, theirs, frame_bytes=FRAME_BYTES_TARGET) -> Outcome:
    """Run to the end over two views."""
    sides = Side(Reconciler(ours, True, frame_bytes)), Side(Reconciler(theirs, False, frame_bytes))
    outcome = Outcome(*sides, [], [])
    message: Ranges | None = sides[0].reconciler.start()
    while message is not None:
        arrived, size = wire(message, frame_bytes)
        outcome.sizes.append(size)
        outcome.messages.append(message)
        receiver = sides[len(outcome.sizes) % 2]
        message = receiver.reconciler.receive(arrived)
        receiver.take()
    assert outcome.messages[-1].open == 0
    assert all(side.reconciler.done for side in sides)
    return outcome


def assert_learnt(side, ours, theirs):
    """Want and owe of a side that holds `ours` are the plain set difference with `theirs`, each record once."""
    ours, theirs = dict(ours), dict(theirs)
    different = sorted(record for record in ours.keys() | theirs.keys() if ours.get(record) != theirs.get(record))
    assert sorted(side.want) == [Wanted(record, theirs[record]) for record in different if record in theirs]
    owed = [Owed(record, theirs.get(record)) for record in different if record in ours]
    assert sorted(side.owe, key=lambda entry: entry.record) == owed


def check(ours, theirs, frame_bytes=FRAME_BYTES_TARGET) -> Outcome:
    """Reconcile two sets of entries and compare with the plain set difference."""
    outcome = reconcile(view(ours), view(theirs), frame_bytes)
    assert_learnt(outcome.initiator, ours, theirs)
    assert_learnt(outcome.responder, theirs, ours)
    return outcome
