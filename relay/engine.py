"""The engine: carries out the hub's effects on the store, the integration worker and the links.

Everything here runs on the event loop, but for the commits, which the group writer's thread makes. Updates that
were integrated and are on their way to the disk are kept in `_uncommitted`, where the worker's `load` finds them.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Future
from typing import Protocol

import structlog

from crdt_sync import limits
from crdt_sync.errors import StoreCorrupt, StoreError
from crdt_sync.protocol.acceptor import Authorise
from crdt_sync.protocol.effects import Closed
from crdt_sync.replica import StoreSource
from crdt_sync.storage.port import Batch, Change, Committed, Store
from crdt_sync.storage.writer import GroupWriter
from relay.hub import (
    Commit,
    Deliver,
    Forget,
    Hangup,
    Hub,
    Integrate,
    Integrated,
    MakeReceipt,
    ReadDigests,
    StoredUpdates,
)
from relay.worker.pool import IntegrationPool
from relay.worker.process import WorkerUnavailable
from relay.worker.values import Item

_STALE_PER_COMMIT = 2048
_log = structlog.get_logger("relay")


class Link(Protocol):
    """A way to one device."""

    def send(self, frame: bytes) -> None:
        """Send now, or buffer: control frames are bounded by what the device itself sends."""

    def has_room(self) -> bool:
        """Whether the device reads fast enough for more."""

    def call_when_room(self) -> None:
        """Call `Engine.fill` when there is room again."""

    def hangup(self, closed: Closed) -> None:
        """Close after what was sent."""


class Engine:
    """One store, one hub, one integration pool; links come and go."""

    def __init__(
        self, store: Store, authorise: Authorise, wall_clock: Callable[[], int], sessions_max: int = limits.SESSIONS_MAX
    ) -> None:
        self.store = store
        self.source = StoreSource(store, self._corrupt)
        self.hub = Hub(self.source, authorise, wall_clock, self._snapshot_due, sessions_max)
        self.pool = IntegrationPool(self._load)
        self.writer = GroupWriter(store)
        self._wall_clock = wall_clock
        self._loop = asyncio.get_running_loop()
        self._links: dict[int, Link] = {}
        self._uncommitted: dict[str, list[bytes]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._digesting = asyncio.Lock()
        self._idle = asyncio.Event()
        self._failures_known = 0
        self.failing: StoreError | None = None  # the last commit failed with this

    async def start(self) -> None:
        """Start the workers. Raises `WorkerUnavailable`."""
        await self.pool.start()

    async def stop(self, retry_after_us: int) -> None:
        """Say bye to everybody, finish and acknowledge nothing new, and put on disk what was taken."""
        self.hub.close("going_away", "the relay restarts", retry_after_us, self._now())
        self._pump()
        while not self.hub.idle:
            self._idle.clear()
            await self._idle.wait()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.pool.close()
        await self._loop.run_in_executor(None, self.writer.close)
        self.store.close()

    # --- links -----------------------------------------------------------------------------------------------

    def connect(self, link: Link) -> int:
        """A device has connected; returns its session's number."""
        session = self.hub.connect(self._now())
        self._links[session] = link
        self._arm(session)
        return session

    def receive(self, session: int, frame: bytes) -> None:
        """A frame came from the device."""
        self.hub.receive(session, frame, self._now())
        if self.hub.wants_room(session):
            self.fill(session)
        self._pump()

    def fill(self, session: int) -> None:
        """The device's link has room."""
        link = self._links.get(session)
        while link is not None and self.hub.wants_room(session):
            if not link.has_room():
                link.call_when_room()
                break
            self.hub.fill(session, limits.FRAME_BYTES_TARGET, self._now())
            self._pump()

    def lost(self, session: int) -> None:
        """The device's link is gone."""
        self._links.pop(session, None)
        self.hub.lost(session, self._now())
        self._pump()

    def _arm(self, session: int) -> None:
        timer = self.hub.next_timer(session)
        if timer is not None:
            self._loop.call_at(timer / 1e6, self._timer, session)

    def _timer(self, session: int) -> None:
        self.hub.timer(session, self._now())
        self._pump()
        self._arm(session)

    # --- effects ---------------------------------------------------------------------------------------------

    def _pump(self) -> None:
        for effect in self.hub.drain():
            match effect:
                case Deliver(session, frame):
                    link = self._links.get(session)
                    if link is not None:
                        link.send(frame)
                case Hangup(session, closed):
                    link = self._links.pop(session, None)
                    if link is not None:
                        link.hangup(closed)
                case Integrate():
                    self._start(self._integrate(effect))
                case Commit():
                    self._commit(effect)
                case Forget():
                    self.pool.forget_all()
                case ReadDigests():
                    self._start(self._read_digests(effect))
                case MakeReceipt():
                    self._start(self._make_receipt(effect))
        if self.hub.idle:
            self._idle.set()

    async def _integrate(self, effect: Integrate) -> None:
        items = [Item(item.record, item.updates, item.snapshot, item.senders) for item in effect.items]
        try:
            results = await self.pool.integrate(items, effect.stamp_max)
        except WorkerUnavailable as error:
            _log.error("integration_unavailable", error=str(error))
            self.hub.integration_failed(self._now())
        else:
            answers = [
                Integrated(
                    tuple((verdict.code, verdict.reason, verdict.new) for verdict in result.verdicts),
                    result.state_vector,
                    result.snapshot,
                )
                for result in results
            ]
            self.hub.integrated(answers, self._now())
        self._pump()

    def _commit(self, effect: Commit) -> None:
        now = self._wall_clock()
        for change in effect.changes:
            self._uncommitted.setdefault(change.record, []).extend(change.updates)
        batch = Batch(changes=tuple(_change(change, now) for change in effect.changes))
        future = self.writer.submit(batch, failures=self._failures_known)
        future.add_done_callback(lambda done: self._loop.call_soon_threadsafe(self._committed, effect, done))

    def _committed(self, effect: Commit, future: "Future[Committed]") -> None:
        for change in effect.changes:
            waiting = self._uncommitted[change.record]
            del waiting[: len(change.updates)]
            if not waiting:
                del self._uncommitted[change.record]
        error = future.exception()
        if isinstance(error, StoreError):
            if self.failing is None:
                _log.error("commit_failed", code=error.code, error=error.message, hint=error.hint)
            self.failing = error
            self._failures_known = self.writer.metrics.failures
            self.hub.commit_failed(effect.number, self._now())
        elif error is not None:
            raise error
        else:
            self.failing = None
            self.hub.committed(effect.number, future.result().seqs, self._now())
        self._pump()
        for session in self.hub.followers():
            self.fill(session)

    async def _read_digests(self, effect: ReadDigests) -> None:
        await self._refresh_digests()
        entries = self.store.digests(effect.after, effect.limit)
        listed = [(record, digest or bytes(16)) for record, digest in entries]
        self.hub.digests(effect.session, listed, len(entries) == effect.limit, self._now())
        self._pump()
        self.fill(effect.session)

    async def _make_receipt(self, effect: MakeReceipt) -> None:
        await self._refresh_digests()
        root = self.store.root()
        self.hub.receipt(
            effect.session, effect.number, self.store.head(), root.count, root.sum.to_bytes(32, "big"), self._now()
        )
        self._pump()

    async def _refresh_digests(self) -> None:
        """Compute, in the worker, the digests that updates have made stale."""
        async with self._digesting:
            while stale := self.store.stale(_STALE_PER_COMMIT):
                before = {record: self.store.record_head(record) for record in stale}
                failures = self._failures_known
                computed = await self.pool.digests(stale)
                # What was changed meanwhile, or is about to be, is stale again: its digest would be of another state.
                digests: dict[str, bytes | None] = {
                    record: answer.digest
                    for record, answer in zip(stale, computed, strict=True)
                    if answer is not None
                    and record not in self._uncommitted
                    and failures == self._failures_known
                    and self.store.record_head(record) == before[record]
                }
                await asyncio.wrap_future(self.writer.submit(Batch(digests=digests)))
                if len(digests) < len(stale):
                    return  # a busy relay's receipt names fewer records; whoever compares asks again

    # --- for the pool ----------------------------------------------------------------------------------------

    def _load(self, record: str) -> Sequence[bytes]:
        return [*self.store.load(record).updates, *self._uncommitted.get(record, ())]

    def _snapshot_due(self, record: str) -> bool:
        head = self.store.record_head(record)
        return head is not None and head.tail >= limits.TAIL_UPDATES_MAX

    def _corrupt(self, corrupt: StoreCorrupt) -> None:
        _log.error("corrupt_record", record=corrupt.record, error=corrupt.message)

    def _start(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            _log.error("task_failed", exc_info=task.exception())

    def _now(self) -> int:
        return int(self._loop.time() * 1e6)


def _change(change: StoredUpdates, now: int) -> Change:
    return Change(change.record, change.updates, change.origins[0], "", now, change.state_vector, change.snapshot)
