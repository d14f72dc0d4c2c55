"""A host of sessions on virtual time: mirrors `runtime.hosting.engine.Engine` around the real hub and gate.

It is a relay over its disk, or a device that listens, over the replica that it edits beside; then it also mirrors
`runtime.listening`.
"""

import random
from collections.abc import Callable, Generator, Sequence

from crdt_bench.simulator.checkers import bounds
from crdt_bench.simulator.disk import Disk
from crdt_bench.simulator.network import TO_DIALER, TO_HOST, Link
from crdt_bench.simulator.scheduler import Host, Process, Scheduler, Turn
from crdt_bench.simulator.worker import Pool
from crdt_bench.simulator.writer import Writer
from crdt_sync import limits
from crdt_sync.errors import StoreError
from crdt_sync.protocol.hub import (
    Commit,
    Deliver,
    Forget,
    Hangup,
    Hub,
    Integrate,
    Integrated,
    MakeReceipt,
    PinIndex,
    StoredUpdates,
)
from crdt_sync.protocol.principal import everybody
from crdt_sync.replica import Event, Replica, StoreSource
from crdt_sync.replica.index import UNKNOWN_TO_ACCEPTOR, StoreIndex
from crdt_sync.replica.pushed import PushedUpdates
from crdt_sync.runtime.hosting.following import Following
from crdt_sync.runtime.hosting.tails import Tails
from crdt_sync.runtime.hosting.uncommitted import Uncommitted
from crdt_sync.runtime.worker.values import Item, clocks_differ
from crdt_sync.storage.port import Batch, Change, Committed

RefreshProcess = Generator["int | Turn", None, "StoreError | None"]

_STALE_PER_COMMIT = 2048
_DIGEST_ROUNDS_MAX = 64
_RETRY_US = 5_000_000


class Seat:
    """The host's end of one link."""

    def __init__(self, host: "HubHost", link: Link) -> None:
        self._host = host
        self.link = link
        self.session = 0
        self.filling = False
        self.held: list[bytes] = []  # frames that arrived while the session may not read

    def arrived(self, frame: bytes) -> None:
        """A frame came; it is read when the session may read."""
        self.held.append(frame)
        self._host.read(self)
        bounds.check_host(self.link.name, self.held, direct=self._host.is_device)

    def room(self) -> None:
        """There is room again."""
        self._host.fill(self.session)

    def hung_up(self) -> None:
        """The link is gone."""
        self._host.lost(self.session)


class HubHost(Host):
    """One life of the process that hosts sessions over `disk`; a new one starts over what the disk holds.

    `replica` is that of a device that listens; None: a relay.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        disk: Disk,
        rng: random.Random,
        wall_clock: Callable[[], int],
        *,
        documents_max: int,
        latency_max: int,
        kill: Callable[[], bool],
        replica: Replica | None = None,
    ) -> None:
        self._scheduler = scheduler
        self.disk = disk
        disk.begin_life()
        self._wall_clock = wall_clock
        self.source = StoreSource(disk, lambda _: None)
        self._tails = Tails(self._tail)
        self._index = StoreIndex(disk, UNKNOWN_TO_ACCEPTOR)
        self.hub = Hub(self.source, everybody, wall_clock, self._tails.snapshot_due)
        self.pool = Pool(scheduler, self._load, rng, documents_max, latency_max, kill)
        commits = PushedUpdates(replica) if replica is not None else disk
        self.writer = Writer(self, scheduler, commits, rng, latency_max)
        self.seats: dict[int, Seat] = {}
        self._uncommitted = Uncommitted()
        self._digesting = Turn()
        self._failures_known = 0
        self._following = Following(disk, self.source)
        self._replica = replica
        self._unsubscribe = replica.subscribe(self._heard_of) if replica is not None else None
        self._rng = rng
        self._latency_max = latency_max

    @property
    def is_device(self) -> bool:
        """Whether it is a device that listens, and not a relay."""
        return self._replica is not None

    def die(self) -> None:
        """The process is gone, with everything that is not on disk."""
        self.alive = False
        if self._unsubscribe is not None:
            self._unsubscribe()
        for seat in list(self.seats.values()):
            seat.link.ends[0] = None
            seat.link.cut()

    # --- links -----------------------------------------------------------------------------------------------

    def connect(self, link: Link) -> Seat:
        """A device has connected."""
        seat = Seat(self, link)
        seat.session = self.hub.connect(self._now())
        self.seats[seat.session] = seat
        self._arm(seat.session)
        return seat

    def read(self, seat: Seat) -> None:
        """Give the hub what has arrived, unless the session must wait."""
        while seat.held and seat.session in self.seats and not self.hub.congested(seat.session):
            try:
                self.hub.receive(seat.session, seat.held.pop(0), self._now())
            except StoreError:
                self._unreadable(seat.session)
            self._pump()
            self.fill(seat.session)

    def fill(self, session: int) -> None:
        """The link may have room: send one piece, and come back for the next."""
        seat = self.seats.get(session)
        if seat is None or seat.filling:
            return
        try:
            if not self.hub.wants_room(session):
                return
            if not seat.link.has_room(TO_DIALER):
                seat.link.call_when_room(TO_DIALER)
                return
            self.hub.fill(session, limits.FRAME_BYTES_TARGET, self._now())
            more = self.hub.wants_room(session)
        except StoreError:
            self._unreadable(session)
            more = False
        self._pump()
        if more:
            seat.filling = True
            self._scheduler.after(1, self, self._refill, session, seat)

    def lost(self, session: int) -> None:
        """The link is gone."""
        self.seats.pop(session, None)
        self.hub.lost(session, self._now())
        self._pump()

    def _refill(self, session: int, seat: Seat) -> None:
        seat.filling = False
        self.fill(session)

    def _arm(self, session: int) -> None:
        timer = self.hub.next_timer(session)
        if session in self.seats and timer is not None:
            self._scheduler.after(max(0, timer - self._now()), self, self._timer, session)

    def _timer(self, session: int) -> None:
        seat = self.seats.get(session)
        if seat is not None:
            self.hub.timer(session, self._now(), seat.link.arriving(TO_HOST))
            self._pump()
            self._arm(session)

    # --- effects ---------------------------------------------------------------------------------------------

    def _pump(self) -> None:
        for effect in self.hub.drain():
            match effect:
                case Deliver(session, frame):
                    seat = self.seats.get(session)
                    if seat is not None:
                        seat.link.send(TO_DIALER, frame)
                case Hangup(session, _):
                    seat = self.seats.pop(session, None)
                    if seat is not None:
                        seat.link.close(TO_DIALER)
                case Integrate():
                    self._scheduler.after(0, self, self._scheduler.start, self, self._integrate(effect))
                case Commit():
                    self._commit(effect)
                case Forget():
                    self.pool.forget_all()
                case PinIndex():
                    self._scheduler.after(0, self, self._scheduler.start, self, self._pin_index(effect))
                case MakeReceipt():
                    self._scheduler.after(0, self, self._scheduler.start, self, self._make_receipt(effect))
        for seat in list(self.seats.values()):
            if seat.held and not self.hub.congested(seat.session):
                self._scheduler.after(0, self, self.read, seat)

    def _integrate(self, effect: Integrate) -> Process:
        items = [Item(item.record, item.updates, item.snapshot, item.senders) for item in effect.items]
        results = yield from self.pool.integrate(items, effect.stamp_max)
        answers = [
            Integrated(result.verdicts, result.state_vector, result.snapshot, result.lineage) for result in results
        ]
        self.hub.integrated(answers, self._now())
        if self._replica is not None and clocks_differ(results):
            self._replica.doubt_clock()
        self._pump()

    def _commit(self, effect: Commit) -> None:
        now = self._wall_clock()
        self._following.begin()
        self._uncommitted.begin(effect.number, effect.changes)
        self._tails.grow(effect.changes)
        batch = Batch(changes=tuple(_change(change, now) for change in effect.changes))
        self.writer.submit(batch, lambda outcome: self._committed(effect, outcome), self._failures_known)

    def _committed(self, effect: Commit, outcome: Committed | StoreError) -> None:
        self._uncommitted.end(effect.number, effect.changes, failed=not isinstance(outcome, Committed))
        if isinstance(outcome, Committed):
            self._following.committed(outcome.seqs)
            self.hub.committed(effect.number, outcome.seqs, self._now())
        else:
            self._tails.forget()
            self._following.failed()
            failures = self.writer.failures
            if self.hub.commit_failed(effect.number, self._now()):
                self._failures_known = failures
        self._pump()
        self._show_followers()

    def _show_followers(self) -> None:
        try:
            followers = self.hub.followers()
        except StoreError:
            return
        for session in followers:
            self.fill(session)

    def _heard_of(self, events: Sequence[Event]) -> None:
        """The device itself, or a session that it opened, has stored something."""
        records = [event.record for event in events if event.kind != "stored"]
        if records:
            self._scheduler.after(1, self, self._written_beside, records)

    def _written_beside(self, records: Sequence[str]) -> None:
        for record in records:
            self.pool.forget(record)
        self._tails.forget()
        self._show_followers()

    def _pin_index(self, effect: PinIndex) -> Process:
        yield from self._refresh_digests()
        try:
            view = self._index.pin()
        except StoreError:
            self._unreadable(effect.session)
        else:
            self.hub.pinned(effect.session, view, self._now())
        self._pump()
        self.fill(effect.session)

    def _make_receipt(self, effect: MakeReceipt) -> Process:
        failed = yield from self._refresh_digests()
        if failed:
            self._unreadable(effect.session)
        else:
            root = self.disk.root()
            sum_bytes = root.sum.to_bytes(32, "big")
            self.hub.receipt(effect.session, effect.number, self.disk.head(), root.count, sum_bytes, self._now())
        self._pump()

    def _refresh_digests(self) -> RefreshProcess:
        if self._replica is not None:
            yield self._rng.randint(20, self._latency_max)
            try:
                self._replica.refresh_digests()
            except StoreError as error:
                return error
            return None
        yield self._digesting
        try:
            for _ in range(_DIGEST_ROUNDS_MAX):
                stale = self.disk.stale(_STALE_PER_COMMIT)
                if not stale:
                    return None
                before = {record: self.disk.record_head(record) for record in stale}
                failures = self._failures_known
                computed = yield from self.pool.digests(stale)
                digests: dict[str, bytes | None] = {
                    record: answer.digest
                    for record, answer in zip(stale, computed, strict=True)
                    if answer is not None
                    and record not in self._uncommitted
                    and failures == self._failures_known
                    and self.disk.record_head(record) == before[record]
                }
                outcomes: list[Committed | StoreError] = []
                self.writer.submit(Batch(digests=digests), outcomes.append)
                while not outcomes:
                    yield 100
                if isinstance(outcomes[0], StoreError):
                    return outcomes[0]
                if len(digests) < len(stale):
                    return None
            return None
        except StoreError as error:
            return error
        finally:
            self._scheduler.release(self._digesting)

    def _unreadable(self, session: int) -> None:
        """What the session asks for cannot be read now: it comes back later."""
        self.hub.expel(session, "unavailable", "this cannot be served now", _RETRY_US, self._now())

    # --- for the pool and the hub ----------------------------------------------------------------------------

    def _load(self, record: str) -> Sequence[bytes]:
        stored = self.disk.load(record).updates
        return [*stored, *self._uncommitted.of(record)] if record in self._uncommitted else stored

    def _tail(self, record: str) -> int:
        try:
            head = self.disk.record_head(record)
        except StoreError:
            return 0
        return head.tail if head is not None else 0

    def _now(self) -> int:
        return self._scheduler.now


def _change(change: StoredUpdates, now: int) -> Change:
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
