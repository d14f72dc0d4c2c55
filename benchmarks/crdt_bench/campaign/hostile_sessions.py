"""Hostile frames into sessions in memory: nothing raises, and what comes out of a frame is bounded."""

import random
from collections.abc import Sequence

from crdt_bench.campaign import grammar
from crdt_bench.campaign.mutation import corpus, mutate
from crdt_bench.minimal.host import MinimalHost
from crdt_sync import limits
from crdt_sync.ids import Space
from crdt_sync.protocol import codec
from crdt_sync.protocol import effects as asked
from crdt_sync.protocol.dialer import Dialer
from crdt_sync.protocol.entries import ReportEntry
from crdt_sync.protocol.messages import Hello
from crdt_sync.protocol.reconcile import Index
from crdt_sync.protocol.source import Diff, Outgoing
from crdt_sync.protocol.states import State
from crdt_sync.protocol.versions import GREETING
from crdt_sync.storage import Batch, Change, MemoryStore

_FRAMES_MAX = 24  # of one session
_EFFECTS_MAX = 2_000  # that one frame may cause
_NOW = 1_700_000_000_000_000
_HELD = ("customers/a", "customers/b")


class _Source:
    """A device with two records, one of which it owes."""

    replica = b"d" * 16
    space = Space(b"s" * 16, joined=False)

    def count(self) -> int:
        return len(_HELD)

    def state_vector(self, record: str) -> bytes:
        return b"\x01\x05\x03" if record in _HELD else b"\x00"

    def unread(self) -> tuple[str, ...]:
        """See `DialerSource.unread`."""
        return ("customers/b",)

    def reports(self) -> Sequence[ReportEntry]:
        """See `DialerSource.reports`."""
        return (ReportEntry(_NOW, "export", "customers", 2),)

    def outbox(self, after: str, limit: int) -> Sequence[Outgoing]:
        return [Outgoing(record, 1) for record in _HELD if record > after][:limit]

    def outgoing(self, record: str) -> tuple[Outgoing, Diff] | None:
        return (Outgoing(record, 1), Diff(b"update", b"\x01\x05\x03")) if record in _HELD else None


def frames(rng: random.Random, kept: Sequence[bytes], greeting: bytes) -> list[bytes]:
    """What a hostile partner sends: mostly a good greeting first, then drawn frames, many of them damaged."""
    drawn = [greeting] if rng.random() < 0.9 else []
    for _ in range(rng.randrange(1, _FRAMES_MAX)):
        frame = rng.choice(kept) if kept and rng.random() < 0.1 else grammar.frame(rng)
        drawn.append(mutate(frame, rng, kept) if rng.random() < 0.4 else frame)
    return drawn


_HONEST = Hello((GREETING,), b"h" * 16, "", 0, None, True, 0, "honest")


def attack_hub(seed: int) -> int:
    """One hostile session beside an honest one; returns how many frames were sent. Raises what is wrong."""
    rng = random.Random(seed)
    relay = MinimalHost(_held(), lambda: _NOW)
    honest, hostile = relay.connect(), relay.connect()
    relay.receive(honest, codec.encode(_HONEST))
    sent = frames(rng, corpus("frames"), codec.encode(grammar.hello(rng)))
    for frame in sent:
        before = len(relay.frames[hostile])
        relay.receive(hostile, frame)
        while relay.hub.wants_room(hostile) and len(relay.frames[hostile]) - before < _EFFECTS_MAX:
            size = sum(map(len, relay.frames[hostile]))
            relay.fill(hostile)
            if sum(map(len, relay.frames[hostile])) == size:
                break
        assert len(relay.frames[hostile]) - before < _EFFECTS_MAX, "one frame caused a flood"
    relay.lost(hostile)
    assert honest not in relay.hung_up, "an honest session was ended"
    assert relay.hub.idle, "a push of the hostile session is still on its way"
    return len(sent)


def attack_dialer(seed: int) -> int:
    """A hostile relay; returns how many frames were sent. Raises what is wrong."""
    rng = random.Random(seed)
    dialer = Dialer(_Source(), resume=None, token="", follow=True, agent="fuzz", wall=_NOW, now=_NOW)
    sent = frames(rng, corpus("frames"), codec.encode(grammar.welcome(rng)))
    auditing = rng.random() < 0.5
    for frame in sent:
        dialer.receive(frame, _NOW)
        if auditing and dialer.state in {State.CATCHING_UP, State.LIVE}:
            auditing = False
            dialer.audit(content=rng.random() < 0.5)
            dialer.check(1, _HELD[:1], mend=rng.random() < 0.5)
        effects = _answer(dialer)
        if dialer.wants_room:
            dialer.fill(limits.FRAME_BYTES_TARGET, _NOW)
            effects += _answer(dialer)
        assert effects < _EFFECTS_MAX, "one frame caused a flood"
    dialer.lost()
    assert dialer.closed
    return len(sent)


def _answer(dialer: Dialer) -> int:
    count = 0
    while waiting := dialer.drain():
        count += len(waiting)
        for effect in waiting:
            match effect:
                case asked.Integrate(number=number, entries=entries):
                    dialer.integrated(
                        number, [(entry.record, b"\x00") for entry in entries[:1] if number % 3 == 0], _NOW
                    )
                case asked.Compare():
                    dialer.compare(Index([(record, bytes(16)) for record in _HELD]).pin(), _NOW)
                case asked.PinDigests():
                    dialer.pinned(Index([(record, bytes(16)) for record in _HELD]).pin(), _NOW)
                case asked.Owe():
                    dialer.owed(_NOW)
                case asked.Acknowledge(number=number):
                    dialer.acknowledged(number, [], _NOW)
        if count > _EFFECTS_MAX:
            break
    return count


def _held() -> MemoryStore:
    store = MemoryStore(b"r" * 16, random.Random(0))
    updates = corpus("updates")[:1] or [b"\x00\x00"]
    changes = tuple(Change(record, tuple(updates), b"d" * 16, "", _NOW, b"\x00") for record in _HELD)
    store.commit([Batch(changes=changes)])
    return store
