"""A host of many sessions that does all that the hub asks for at once. The numbers are those of its duties.

For tests, and for nobody else's updates: it integrates where it stands, has no timers, and keeps what is sent.
"""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from crdt_sync import limits
from crdt_sync.errors import StoreError
from crdt_sync.protocol import hub
from crdt_sync.protocol.principal import everybody
from crdt_sync.protocol.reconcile import View
from crdt_sync.records import Integrator
from crdt_sync.replica import Replica, StoreSource
from crdt_sync.replica.audit import check, content_view
from crdt_sync.replica.index import UNKNOWN_TO_ACCEPTOR, StoreIndex
from crdt_sync.replica.receipts import refresh_digests
from crdt_sync.replica.source import change_of
from crdt_sync.storage.port import Committer, Store
from crdt_sync.storage.values import Batch

_DOCUMENTS_MAX = 256
_RETRY_US = 5_000_000


class MinimalHost:
    """The hub over `store`. `steady` and `wall` give microseconds (1); `commits` stores, where the store is a device's.

    What is sent to a session gathers in `frames`.
    """

    def __init__(
        self,
        store: Store,
        steady: Callable[[], int],
        wall: Callable[[], int] | None = None,
        commits: Committer | None = None,
    ) -> None:
        store.begin_life()  # 7
        self.store = store
        self.steady = steady
        self._wall = wall or steady
        self._commits = commits or store
        self._integrator = Integrator(_DOCUMENTS_MAX)
        self.hub = hub.Hub(StoreSource(store, lambda _: None), everybody, self._wall, self._snapshot_due)
        self.frames: dict[int, deque[bytes]] = {}
        self.hung_up: set[int] = set()

    def connect(self) -> int:
        """A new session."""
        session = self.hub.connect(self.steady())
        self.frames[session] = deque()
        return session

    def receive(self, session: int, frame: bytes) -> None:
        """A frame came (3), and all that follows from it is done; so nobody is ever congested (8)."""
        with self._expelling(session):
            self.hub.receive(session, frame, self.steady())
        self.drain()

    def fill(self, session: int) -> None:
        """There is room for what waits (4). Followers (12) are asked as often as anybody."""
        with self._expelling(session):
            self.hub.fill(session, limits.FRAME_BYTES_TARGET, self.steady())
        self.drain()

    def lost(self, session: int) -> None:
        """The channel has ended."""
        self.hub.lost(session, self.steady())
        self.drain()
        self.frames.pop(session, None)

    def drain(self) -> None:
        """Carry out effects until there are none (2)."""
        while effects := self.hub.drain():
            for effect in effects:
                self._carry_out(effect)

    def _carry_out(self, effect: hub.HubEffect) -> None:
        match effect:
            case hub.Deliver(session, frame):
                if session in self.frames:
                    self.frames[session].append(frame)
            case hub.Hangup(session):
                self.hung_up.add(session)
            case hub.Integrate():
                self._integrate(effect)
            case hub.Commit():
                self._commit(effect)
            case hub.Forget():  # 10
                self._integrator = Integrator(_DOCUMENTS_MAX)
            case hub.PinIndex(session) | hub.MakeReceipt(session) | hub.PinAudit(session) | hub.MakeCheck(session):
                with self._expelling(session):
                    self._look(effect)
            case hub.NoteReports(session, number):  # there is no audit log
                self.hub.noted(session, number, self.steady())

    def _integrate(self, effect: hub.Integrate) -> None:
        """9: what was accepted is stored before the next batch comes."""
        try:
            results = [self.integrate(item, effect.stamp_max) for item in effect.items]
        except StoreError:
            self.hub.integration_failed(self.steady())
        else:
            self.hub.integrated(results, self.steady())

    def integrate(self, item: hub.IntegrationItem, stamp_max: int) -> hub.Integrated:
        """What becomes of one item."""
        stored = None if item.record in self._integrator.known else self.store.load(item.record).updates
        done = self._integrator.integrate(item.record, stored, item.updates, stamp_max, True, item.snapshot)
        lineage = done.lineage if done.renewed else None
        return hub.Integrated(done.verdicts, done.state_vector, done.snapshot, lineage)

    def _commit(self, effect: hub.Commit) -> None:
        """6 and 11: `commit` returns when all is durable, and there is no other under way."""
        try:
            now = self._wall()
            (done,) = self._commits.commit([Batch(changes=tuple(change_of(each, now) for each in effect.changes))])
        except StoreError:
            self.hub.commit_failed(effect.number, self.steady())
        else:
            self.hub.committed(effect.number, done.seqs, self.steady())

    def _look(self, effect: hub.PinIndex | hub.MakeReceipt | hub.PinAudit | hub.MakeCheck) -> None:
        """13."""
        now = self.steady()
        match effect:
            case hub.PinIndex(session):
                self.hub.pinned(session, self._view(), now)
            case hub.PinAudit(session, content):
                self.hub.audit_pinned(session, content_view(self.store) if content else self._view(), now)
            case hub.MakeReceipt(session, number):
                refresh_digests(self.store)
                root = self.store.root()
                count, digest = root.count + root.stale, root.sum.to_bytes(32, "big")
                self.hub.receipt(session, number, self.store.head(), count, digest, now)
            case hub.MakeCheck(session, number, records, mend):
                context = Replica.over(self.store, self._wall).context
                entries = [check(context, record, mend=mend) for record in records]
                for record in records if mend else ():
                    self._integrator.forget(record)
                self.hub.checked(session, number, self.store.head(), entries, now)

    def _view(self) -> View:
        refresh_digests(self.store)
        return StoreIndex(self.store, UNKNOWN_TO_ACCEPTOR).pin()

    def _snapshot_due(self, record: str) -> bool:
        head = self.store.record_head(record)
        return head is not None and head.tail >= limits.TAIL_UPDATES_MAX

    @contextmanager
    def _expelling(self, session: int) -> Iterator[None]:
        """5: what cannot be read now ends that session alone."""
        try:
            yield
        except StoreError:
            self.hub.expel(session, "unavailable", "this cannot be served now", _RETRY_US, self.steady())
