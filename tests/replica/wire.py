"""A relay's hub and a device's session joined in memory: frames move one at a time, and a line can be cut anywhere."""

import random
from collections import deque
from collections.abc import Callable, Sequence

from crdt_sync import limits
from crdt_sync.errors import StoreCorrupt
from crdt_sync.protocol import hub as effects
from crdt_sync.protocol.auditing import Differences
from crdt_sync.protocol.dialer import Dialer
from crdt_sync.protocol.effects import (
    Acknowledge,
    Audited,
    CaughtUp,
    CheckArrived,
    Closed,
    Compare,
    Integrate,
    Owe,
    PinDigests,
    ReceiptArrived,
    Send,
    Welcomed,
)
from crdt_sync.protocol.hub import Hub, Integrated
from crdt_sync.protocol.messages import DONE, Checked, Receipt
from crdt_sync.protocol.principal import everybody
from crdt_sync.records import Integrator
from crdt_sync.replica import Event, Replica, StoreSource
from crdt_sync.replica.audit import check, content_view
from crdt_sync.replica.carrying_out import carry_out
from crdt_sync.replica.index import UNKNOWN_TO_ACCEPTOR, StoreIndex
from crdt_sync.replica.partner import Partner
from crdt_sync.replica.receipts import refresh_digests
from crdt_sync.storage.memory import MemoryStore
from crdt_sync.storage.port import Batch, Change

URL = "ws://relay:8765"
_DOCUMENTS_MAX = 256


class VirtualTime:
    """Microseconds since 1970 that pass only when a test says so, but a little at each reading of a clock."""

    def __init__(self, now: int = 1_700_000_000_000_000) -> None:
        self.now = now

    def clock(self, skew_us: int = 0) -> Callable[[], int]:
        """A clock that is `skew_us` ahead; its `skew` can be set later."""

        def read() -> int:
            self.now += 1
            return self.now + skew_us

        return read


class MemoryRelay:
    """The real hub over a store in memory. What the relay's engine does in threads happens here at once."""

    def __init__(self, time: VirtualTime, store: MemoryStore | None = None, rng: random.Random | None = None) -> None:
        self.time = time
        self._wall_clock = time.clock()
        self._rng = rng or random.Random(0)
        self.store = store or MemoryStore(rng=self._rng)
        self.open(self.store)

    def open(self, store: MemoryStore) -> None:
        """Begin a new life over `store`; every line is cut."""
        self.lines: dict[int, deque[bytes]] = {}
        self.store = store
        store.begin_life()
        self.hub = Hub(StoreSource(store, _corrupt), everybody, self._wall_clock, self._snapshot_due)
        self._integrator = Integrator(_DOCUMENTS_MAX)

    def restart(self) -> None:
        """Crash and open again: what was committed is there."""
        self.open(self.store.clone())

    def wipe(self) -> None:
        """Begin with an empty store and a new replica id."""
        self.open(MemoryStore(rng=self._rng))

    def put_back(self, backup: MemoryStore) -> None:
        """Begin with an old state of the store, which nobody tells that it is old."""
        self.open(backup)

    def connect(self) -> tuple[int, deque[bytes]]:
        """A new session and the frames that are on their way to its device."""
        session = self.hub.connect(self.time.now)
        self.lines[session] = deque()
        return session, self.lines[session]

    def receive(self, session: int, frame: bytes) -> None:
        """A frame came from the device."""
        self.hub.receive(session, frame, self.time.now)
        self.pump()

    def fill(self, session: int) -> None:
        """The device reads: send what waits for it."""
        self.hub.fill(session, limits.FRAME_BYTES_TARGET, self.time.now)
        self.pump()

    def pump(self) -> None:
        """Carry out the hub's effects until there are none."""
        while waiting := self.hub.drain():
            for effect in waiting:
                self._carry_out(effect)

    def _carry_out(self, effect: effects.HubEffect) -> None:
        now = self.time.now
        match effect:
            case effects.Deliver(session, frame):
                if session in self.lines:
                    self.lines[session].append(frame)
            case effects.Integrate():
                self.hub.integrated([self._integrate(item, effect.stamp_max) for item in effect.items], now)
            case effects.Commit(number, changes):
                batch = Batch(changes=tuple(_change(change, now) for change in changes))
                self.hub.committed(number, self.store.commit([batch])[0].seqs, now)
            case effects.PinIndex(session):
                refresh_digests(self.store)
                self.hub.pinned(session, StoreIndex(self.store, UNKNOWN_TO_ACCEPTOR).pin(), now)
            case effects.MakeReceipt(session, number):
                refresh_digests(self.store)
                root = self.store.root()
                self.hub.receipt(session, number, self.store.head(), root.count, root.sum.to_bytes(32, "big"), now)

            case effects.PinAudit(session, content):
                refresh_digests(self.store)
                view = content_view(self.store) if content else StoreIndex(self.store, UNKNOWN_TO_ACCEPTOR).pin()
                self.hub.audit_pinned(session, view, now)
            case effects.MakeCheck(session, number, records, mend):
                for record in records if mend else ():
                    self._integrator.forget(record)
                own = Replica.over(self.store, self._wall_clock, self._rng).context
                entries = [check(own, record, mend=mend) for record in records]
                self.hub.checked(session, number, self.store.head(), entries, now)

    def _integrate(self, item: effects.IntegrationItem, stamp_max: int) -> Integrated:
        known = item.record in self._integrator.known
        stored = None if known else self.store.load(item.record).updates
        done = self._integrator.integrate(item.record, stored, item.updates, stamp_max, True, item.snapshot)
        lineage = done.lineage if done.renewed else None
        return Integrated(done.verdicts, done.state_vector, done.snapshot, lineage)

    def _snapshot_due(self, record: str) -> bool:
        head = self.store.record_head(record)
        return head is not None and head.tail >= limits.TAIL_UPDATES_MAX


class Line:
    """One session of `replica` with `relay`. Edits made while it is up are pushed as it runs."""

    def __init__(self, replica: Replica, relay: MemoryRelay, url: str = URL) -> None:
        self.replica = replica
        self.relay = relay
        self.partner = Partner(replica, url)
        self.closed: Closed | None = None
        self.receipts: list[Receipt] = []
        self.audited: list[Differences] = []
        self.checked: list[Checked] = []
        self.caught_up = False
        self.welcomed = False
        self.settled = False  # whether both sides had exchanged everything when it last stopped
        self.frames = 0
        self.bytes = 0
        self.session, self._downstream = relay.connect()
        self._upstream: deque[bytes] = deque()
        self.dialer = Dialer(
            self.partner,
            resume=self.partner.resume,
            token="",
            follow=True,
            agent="test",
            wall=replica.wall_clock(),
            now=relay.time.now,
            direct=self.partner.is_direct,
            moves=self.partner.moves,
        )
        self._unsubscribe = replica.subscribe(self._heard_of)

    def run(self, frames: int | None = None) -> bool:
        """Move up to `frames` frames, or all that come; whether everything is exchanged."""
        limit = None if frames is None else self.frames + frames
        while self.closed is None and (limit is None or self.frames < limit) and self._step():
            pass
        self.settled = self.dialer.settled and not self._upstream and not self._downstream
        return self.settled

    def step(self) -> bool:
        """One thing that can be done now; whether there was any."""
        return self.closed is None and self._step()

    def say_done(self) -> None:
        """The device ends the session, as it does once all is exchanged."""
        self.dialer.close(DONE, "the work is done", self.relay.time.now)
        self._carry_out()
        while self._upstream:
            self.relay.receive(self.session, self._upstream.popleft())

    def cut(self) -> None:
        """The connection is lost, with the frames on it."""
        self._unsubscribe()
        self.dialer.lost()
        if self.session in self.relay.lines:
            del self.relay.lines[self.session]
            self.relay.hub.lost(self.session, self.relay.time.now)
            self.relay.pump()

    def _step(self) -> bool:
        """One thing that can be done now; whether there was any."""
        if self._carry_out():
            return True
        if self._upstream:
            self._count(frame := self._upstream.popleft())
            self.relay.receive(self.session, frame)
            return True
        if self._downstream:
            self._count(frame := self._downstream.popleft())
            self.dialer.receive(frame, self.relay.time.now)
            return True
        if self.relay.hub.wants_room(self.session):
            self.relay.fill(self.session)
            return bool(self._downstream)
        if self.dialer.wants_room:
            self.dialer.fill(limits.FRAME_BYTES_TARGET, self.relay.time.now)
            return self._carry_out()
        return False

    def _count(self, frame: bytes) -> None:
        self.frames += 1
        self.bytes += len(frame)

    def _carry_out(self) -> bool:
        now = self.relay.time.now
        waiting = self.dialer.drain()
        for effect in waiting:
            match effect:
                case Send(frame):
                    self._upstream.append(frame)
                case Welcomed():
                    self.welcomed = True
                    self.partner.welcomed(effect)
                case Integrate() | Compare() | Owe() | Acknowledge():
                    for answer in carry_out(self.partner, self.dialer, [effect]):
                        answer(now)
                case CaughtUp():
                    self.caught_up = True
                case ReceiptArrived(receipt):
                    self.receipts.append(receipt)
                case PinDigests(content):
                    self.dialer.pinned(self.partner.audit_view(content=content), now)
                case Audited(differences):
                    self.audited.append(differences)
                case CheckArrived(checked):
                    self.checked.append(checked)
                case Closed():
                    self.closed = effect
        return bool(waiting)

    def _heard_of(self, events: Sequence[Event]) -> None:
        if records := self.partner.pushable(events):
            self.dialer.notify(records)


def exchange(replica: Replica, relay: MemoryRelay, frames: int | None = None) -> Line:
    """Sync once, or until `frames` frames have passed; then cut the line."""
    line = Line(replica, relay)
    line.run(frames)
    line.cut()
    return line


def _change(change: effects.StoredUpdates, now: int) -> Change:
    return Change(
        change.record,
        change.updates,
        change.origins[0],
        "",
        now,
        change.state_vector,
        change.snapshot,
        renewed=change.lineage is not None,
        lineage=change.lineage,
    )


def _corrupt(corrupt: StoreCorrupt) -> None:
    raise corrupt
