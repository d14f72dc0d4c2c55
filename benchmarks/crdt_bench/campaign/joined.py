"""A device and a hub joined in one thread, each over a store of its own: a sync in which any call can fail."""

from collections import deque
from collections.abc import Sequence

from crdt_sync import limits
from crdt_sync.errors import StoreCorrupt, StoreError
from crdt_sync.protocol import effects as asked
from crdt_sync.protocol import hub
from crdt_sync.protocol.dialer import Dialer
from crdt_sync.protocol.hub import Hub, Integrated
from crdt_sync.protocol.principal import everybody
from crdt_sync.records import Integrator
from crdt_sync.replica import Replica, StoreSource
from crdt_sync.replica.audit import check, content_view
from crdt_sync.replica.carrying_out import carry_out
from crdt_sync.replica.index import UNKNOWN_TO_ACCEPTOR, StoreIndex
from crdt_sync.replica.partner import Partner
from crdt_sync.replica.pushed import PushedUpdates
from crdt_sync.replica.receipts import refresh_digests
from crdt_sync.storage.port import Batch, Change, Store
from crdt_sync.storage.writer import Committer

URL = "ws://relay:8765"
_STEPS_MAX = 10_000
_DOCUMENTS_MAX = 64


class JoinedRelay:
    """The real hub over `store`; what the relay's engine does in threads and processes happens here at once.

    `commits` completes what is stored, where the store is a device's.
    """

    def __init__(self, store: Store, now: int = 1_700_000_000_000_000, commits: Committer | None = None) -> None:
        self.store = store
        self._commits = commits or store
        self.now = now
        self.hub = Hub(StoreSource(store, _corrupt), everybody, lambda: self.now, lambda _: False)
        self._integrator = Integrator(_DOCUMENTS_MAX)
        self.frames: dict[int, deque[bytes]] = {}
        self.hung_up: set[int] = set()

    def connect(self) -> int:
        """Open a session; what is sent to it gathers in `frames`."""
        session = self.hub.connect(self.now)
        self.frames[session] = deque()
        return session

    def receive(self, session: int, frame: bytes) -> None:
        """A frame came, and everything that follows from it is done."""
        self.hub.receive(session, frame, self.now)
        self.pump()

    def fill(self, session: int) -> None:
        """There is room for what waits."""
        self.hub.fill(session, limits.FRAME_BYTES_TARGET, self.now)
        self.pump()

    def lost(self, session: int) -> None:
        """The link is gone."""
        self.hub.lost(session, self.now)
        self.pump()
        self.frames.pop(session, None)

    def pump(self) -> None:
        """Carry out the hub's effects until there are none."""
        while waiting := self.hub.drain():
            for effect in waiting:
                self._carry_out(effect)

    def _carry_out(self, effect: hub.HubEffect) -> None:
        match effect:
            case hub.Deliver(session, frame):
                if session in self.frames:
                    self.frames[session].append(frame)
            case hub.Hangup(session):
                self.hung_up.add(session)
            case hub.Integrate(_, items, stamp_max):
                self.hub.integrated([self._integrate(item, stamp_max) for item in items], self.now)
            case hub.Commit(number, changes):
                self._commit(number, changes)
            case hub.Forget():
                self._integrator = Integrator(_DOCUMENTS_MAX)
            case hub.PinIndex(session):
                refresh_digests(self.store)
                self.hub.pinned(session, StoreIndex(self.store, UNKNOWN_TO_ACCEPTOR).pin(), self.now)
            case hub.MakeReceipt(session, number):
                refresh_digests(self.store)
                root = self.store.root()
                self.hub.receipt(session, number, self.store.head(), root.count, root.sum.to_bytes(32, "big"), self.now)
            case hub.PinAudit(session, content):
                refresh_digests(self.store)
                view = content_view(self.store) if content else StoreIndex(self.store, UNKNOWN_TO_ACCEPTOR).pin()
                self.hub.audit_pinned(session, view, self.now)
            case hub.MakeCheck(session, number, records, mend):
                replica = Replica.over(self.store, lambda: self.now)
                entries = [check(replica.context, record, mend=mend) for record in records]
                self.hub.checked(session, number, self.store.head(), entries, self.now)

    def _commit(self, number: int, changes: Sequence[hub.StoredUpdates]) -> None:
        stored = tuple(
            Change(
                change.record,
                change.updates,
                change.origins[0],
                "",
                self.now,
                change.state_vector,
                change.snapshot,
                renewed=change.lineage is not None,
                lineage=change.lineage,
            )
            for change in changes
        )
        try:
            seqs = self._commits.commit([Batch(changes=stored)])[0].seqs
        except StoreError:
            self.hub.commit_failed(number, self.now)
        else:
            self.hub.committed(number, seqs, self.now)

    def _integrate(self, item: hub.IntegrationItem, stamp_max: int) -> Integrated:
        known = item.record in self._integrator.known
        stored = None if known else self.store.load(item.record).updates
        done = self._integrator.integrate(item.record, stored, item.updates, stamp_max, True, item.snapshot)
        lineage = done.lineage if done.renewed else None
        return Integrated(done.verdicts, done.state_vector, done.snapshot, lineage)


def meet(dialer: Replica, acceptor: Replica, now: int) -> bool:
    """One session between two devices, as when `acceptor` listens; whether everything was exchanged."""
    acceptor.store.begin_life()
    return sync(dialer, JoinedRelay(acceptor.store, now, PushedUpdates(acceptor)), acceptor.id)


def sync(replica: Replica, relay: JoinedRelay, device: bytes | None = None) -> bool:
    """One session until nothing is left to do; whether everything was exchanged. `device`: whose hub it is."""
    replica.refresh_digests()
    partner = Partner(replica, URL if device is None else f"wss://{device.hex()}", device)
    dialer = Dialer(
        partner,
        resume=partner.resume,
        token="",
        follow=True,
        agent="campaign",
        wall=replica.wall_clock(),
        now=relay.now,
        direct=partner.is_direct,
        moves=partner.moves,
    )
    session = relay.connect()
    upstream: deque[bytes] = deque()
    try:
        for _ in range(_STEPS_MAX):
            worked = _carry_out(dialer, partner, upstream, relay.now)
            if upstream:
                relay.receive(session, upstream.popleft())
            elif relay.frames[session]:
                dialer.receive(relay.frames[session].popleft(), relay.now)
            elif relay.hub.wants_room(session):
                relay.fill(session)
            elif dialer.wants_room:
                dialer.fill(limits.FRAME_BYTES_TARGET, relay.now)
            elif not worked:
                break
            if dialer.closed:
                break
        return dialer.settled
    finally:
        dialer.lost()
        relay.lost(session)


def _carry_out(dialer: Dialer, partner: Partner, upstream: deque[bytes], now: int) -> bool:
    waiting = dialer.drain()
    for effect in waiting:
        match effect:
            case asked.Send(frame):
                upstream.append(frame)
            case asked.Welcomed():
                partner.welcomed(effect)
            case asked.Integrate() | asked.Compare() | asked.Owe() | asked.Acknowledge():
                for answer in carry_out(partner, dialer, [effect]):
                    answer(now)
    return bool(waiting)


def _corrupt(corrupt: StoreCorrupt) -> None:
    raise corrupt
