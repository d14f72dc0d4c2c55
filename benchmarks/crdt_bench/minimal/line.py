"""A host of one session: a replica and a `MinimalHost` joined, frame by frame; it can be cut anywhere."""

from collections import deque
from collections.abc import Sequence

from crdt_bench.minimal.host import MinimalHost
from crdt_sync import limits
from crdt_sync.protocol import effects as asked
from crdt_sync.protocol.auditing import Differences
from crdt_sync.protocol.dialer import Dialer
from crdt_sync.protocol.messages import DONE, Checked, Receipt
from crdt_sync.replica import Event, Replica
from crdt_sync.replica.carrying_out import carry_out
from crdt_sync.replica.partner import Partner
from crdt_sync.replica.pushed import PushedUpdates

URL = "ws://relay:8765"


class Line:
    """One session of `replica` with `host`, that of `device` if given. Edits that are made meanwhile are pushed."""

    def __init__(self, replica: Replica, host: MinimalHost, url: str = URL, device: bytes | None = None) -> None:
        self.replica = replica
        self.host = host
        self.partner = Partner(replica, url, device)
        self.closed: asked.Closed | None = None
        self.receipts: list[Receipt] = []
        self.audited: list[Differences] = []
        self.checked: list[Checked] = []
        self.caught_up = False
        self.welcomed = False
        self.settled = False  # whether both sides had exchanged everything when it last stopped
        self.frames = 0
        self.bytes = 0
        self.session = host.connect()
        self.downstream = host.frames[self.session]
        self.upstream: deque[bytes] = deque()
        self.dialer = Dialer(
            self.partner,
            resume=self.partner.resume,
            token="",
            follow=True,
            agent="line",
            wall=replica.wall_clock(),
            now=host.steady(),
            direct=self.partner.is_direct,
            moves=self.partner.moves,
        )
        self._unsubscribe = replica.subscribe(self._heard_of)

    def run(self, frames: int | None = None) -> bool:
        """Move up to `frames` frames, or all that come; whether everything is exchanged."""
        limit = None if frames is None else self.frames + frames
        while (limit is None or self.frames < limit) and self.step():
            pass
        self.settled = self.dialer.settled and not self.upstream and not self.downstream
        return self.settled

    def step(self) -> bool:
        """One thing that can be done now; whether there was any."""
        if self.closed is not None:
            return False
        if self.carry_out():
            return True
        if self.upstream:
            self._count(frame := self.upstream.popleft())
            self.host.receive(self.session, frame)
            return True
        if self.downstream:
            self._count(frame := self.downstream.popleft())
            self.dialer.receive(frame, self.host.steady())
            return True
        if self.host.hub.wants_room(self.session):
            self.host.fill(self.session)
            return bool(self.downstream)
        if self.dialer.wants_room:
            self.dialer.fill(limits.FRAME_BYTES_TARGET, self.host.steady())
            return self.carry_out()
        return False

    def say_done(self) -> None:
        """The device ends the session, as it does once all is exchanged."""
        self.dialer.close(DONE, "the work is done", self.host.steady())
        self.carry_out()
        while self.upstream:
            self.host.receive(self.session, self.upstream.popleft())

    def cut(self) -> None:
        """The connection is lost, with the frames on it."""
        self._unsubscribe()
        self.dialer.lost()
        if self.host.frames.get(self.session) is self.downstream:  # the host was not started again meanwhile
            self.host.lost(self.session)

    def carry_out(self) -> bool:
        """Do what the session asks for; whether there was anything."""
        waiting = self.dialer.drain()
        for effect in waiting:
            self._carry_out(effect)
        return bool(waiting)

    def _carry_out(self, effect: asked.Effect) -> None:
        now = self.host.steady()
        match effect:
            case asked.Send(frame):
                self.upstream.append(frame)
            case asked.Welcomed():  # 15
                self.welcomed = True
                self.partner.welcomed(effect)
            case asked.Integrate() | asked.Compare() | asked.Owe() | asked.Acknowledge() | asked.ReportsNoted():  # 16
                for answer in carry_out(self.partner, self.dialer, [effect]):
                    answer(now)
            case asked.CaughtUp():
                self.caught_up = True
            case asked.ReceiptArrived(receipt):
                self.receipts.append(receipt)
            case asked.PinDigests(content):
                self.dialer.pinned(self.partner.audit_view(content=content), now)
            case asked.Audited(differences):
                self.audited.append(differences)
            case asked.CheckArrived(checked):
                self.checked.append(checked)
            case asked.Closed():
                self.closed = effect

    def _heard_of(self, events: Sequence[Event]) -> None:
        """17."""
        if records := self.partner.pushable(events):
            self.dialer.notify(records)

    def _count(self, frame: bytes) -> None:
        self.frames += 1
        self.bytes += len(frame)


def exchange(
    replica: Replica, host: MinimalHost, frames: int | None = None, url: str = URL, device: bytes | None = None
) -> Line:
    """Sync once, or until `frames` frames have passed; then cut the line."""
    line = Line(replica, host, url, device)
    try:
        line.run(frames)
    finally:
        line.cut()
    return line


def meet(dialer: Replica, acceptor: Replica, now: int) -> bool:
    """One session between two devices, as when `acceptor` listens; whether everything was exchanged."""
    host = MinimalHost(acceptor.store, lambda: now, commits=PushedUpdates(acceptor))
    return exchange(dialer, host, url=f"wss://{acceptor.id.hex()}", device=acceptor.id).settled
