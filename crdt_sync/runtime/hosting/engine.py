"""The engine: carries out the hub's effects on the store, the integration worker and the links.

Rules:

1. Everything runs on the event loop, but for the commits, which the group writer's thread makes.
2. Updates that were integrated and are on their way to the disk are kept in `_uncommitted`, where the worker's
   `load` finds them.
3. Whatever fails, every effect is answered: a failure of the disk or of the worker ends as a verdict "retry" or as
   the end of one session, never as silence.
4. A link is asked to read on only when there is room, and is filled one frame at a time, in turns, so that a device
   that fetches everything delays nobody.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Future
from typing import Protocol

from crdt_sync import limits
from crdt_sync.audit_log.entry import Entry
from crdt_sync.errors import CrdtSyncError, StoreCorrupt, StoreError, StoreFailed, StoreFull
from crdt_sync.policy.in_force import InForce
from crdt_sync.protocol.acceptor import Authorise
from crdt_sync.protocol.hub import (
    Arrived,
    Commit,
    Deliver,
    Finished,
    Forget,
    GaveTo,
    Hangup,
    Hub,
    HubEffect,
    Integrate,
    Integrated,
    IntegrationItem,
    MakeCheck,
    MakeReceipt,
    NoteReports,
    PinAudit,
    PinIndex,
    Refused,
    SaidBy,
    Stored,
    StoredUpdates,
)
from crdt_sync.protocol.messages import QUOTA_CHANGED
from crdt_sync.protocol.quotas import Bounds, Quotas
from crdt_sync.protocol.sight import Sight
from crdt_sync.replica import StoreSource
from crdt_sync.replica.index import UNKNOWN_TO_ACCEPTOR, StoreIndex
from crdt_sync.replica.sights import StoreSights
from crdt_sync.replica.source import change_of
from crdt_sync.runtime.guests import Guest
from crdt_sync.runtime.hosting.admission import Admission
from crdt_sync.runtime.hosting.answers import Answers, Asked
from crdt_sync.runtime.hosting.audits import Audits, WorkerAudits
from crdt_sync.runtime.hosting.digests import Digests, WorkerDigests
from crdt_sync.runtime.hosting.fair_queue import FairQueue
from crdt_sync.runtime.hosting.filling import RETRY_US, Filling, Link, Seat
from crdt_sync.runtime.hosting.flow import Flow
from crdt_sync.runtime.hosting.following import Following
from crdt_sync.runtime.hosting.harm import Harm
from crdt_sync.runtime.hosting.health import Health
from crdt_sync.runtime.hosting.held import HeldSessions
from crdt_sync.runtime.hosting.held_records import HeldRecords
from crdt_sync.runtime.hosting.logs import LOG, Log
from crdt_sync.runtime.hosting.masking import Masking
from crdt_sync.runtime.hosting.meter import Counts, Meter
from crdt_sync.runtime.hosting.people import LOOK_S, People
from crdt_sync.runtime.hosting.placing import OwnSchemas, Placing
from crdt_sync.runtime.hosting.recorder import Recorder, Who
from crdt_sync.runtime.hosting.rest import AtRest
from crdt_sync.runtime.hosting.rounds import Rounds
from crdt_sync.runtime.hosting.tails import Tails
from crdt_sync.runtime.hosting.uncommitted import Uncommitted
from crdt_sync.runtime.hosting.usage import CountedUsage
from crdt_sync.runtime.outside import OUTSIDE, Outside
from crdt_sync.runtime.steady import steady_us
from crdt_sync.runtime.worker.pool import IntegrationPool
from crdt_sync.runtime.worker.values import Item, Turn, clocks_differ
from crdt_sync.runtime.worker.writers import WriterMap
from crdt_sync.storage.port import Committer, Store
from crdt_sync.storage.values import Batch, Committed

_PRESENCE_EVERY_S = 0.1
_PRESENCE_REST_US = 1000  # after a round of it, for each who was told: ten times what it took
_PRESENCE_AT_ONCE = 4  # half a millisecond
_STALLED_US = 1_000_000  # that a timer comes late: the loop stood still, or the machine slept
_ANSWER_S = 0.0001  # that the loop takes for a receipt, and for the parts of other answers that it makes
_ASKED_MAX = 8  # receipts and the like under way for one session
_NO_REFUSAL = frozenset({"done", "connection_lost", "going_away", "timeout"})  # who was never let in may end so
_QUICK = Turn(limits.QUICK_TURN_US, short=True)
_SLOW = Turn(limits.SLOW_TURN_US)


class Visits(Protocol):
    """Hears of the sessions, on the loop; must not block."""

    def heard(self, said: Arrived | Stored) -> None:
        """A session began, or its replica has stored more of our log."""

    def left(self, session: int) -> None:
        """The session is over."""


class Engine:
    """One store, one hub, one integration pool; links come and go. Make it inside a running event loop.

    Where others write to the store beside the engine, as the edits of a device do, `commits` completes what the
    engine commits, `digests` computes digests, `audits` looks at records, and `written_beside` is to be called after
    each of their commits. `clock_doubted` hears when a push was refused because its stamps lie ahead of our clock,
    `damage_met` which record is damaged, and how, and `visits` who comes and what it holds. `ping_us` is after how long
    a silence a device is asked whether it lives.
    With `logs_pushes` each session that pushed leaves a line in the log: a device that listens keeps none.
    `outside` starts the workers and the writer. The store stays the caller's to close. `in_force` tells the policy that
    each update is judged by, for the user of the session that pushed it, and by which sessions hold some records and
    not others; None: whoever is let in may hold and write everything. Call `policy_changed` when it is another.
    `schemas` are those of a host that reads records itself; else this is a relay: the worker goes by those that the
    store holds, and what masks show is derived here. `own`
    tells which records may be held here at all: a device takes no others. Of several engines in one process each
    shares the turns of the loop with the one whose queue it is `beside`, and names itself in its `log`. `used_bytes`
    tells how large the store is, for the bound on that.
    """

    def __init__(
        self,
        store: Store,
        authorise: Authorise,
        wall_clock: Callable[[], int],
        sessions_max: int = limits.SESSIONS_MAX,
        metrics: Meter | None = None,
        commits: Committer | None = None,
        digests: Digests | None = None,
        audits: Audits | None = None,
        keep_spare: bool = True,
        clock_doubted: Callable[[], None] | None = None,
        damage_met: Callable[[str, str], None] | None = None,
        visits: Visits | None = None,
        ping_us: int | None = None,
        logs_pushes: bool = False,
        outside: Outside = OUTSIDE,
        in_force: Callable[[], InForce | None] = lambda: None,
        schemas: OwnSchemas | None = None,
        own: Callable[[], Sight | None] = lambda: None,
        beside: FairQueue | None = None,
        log: Log = LOG,
        used_bytes: Callable[[], int] = lambda: 0,
    ) -> None:
        self.store = store
        self.log = log
        self._wall_clock = wall_clock
        self.logs_pushes = logs_pushes
        self._in_force = in_force
        self._policy = in_force()  # that sessions were told of last
        self._ping_us = limits.KEEPALIVE_US if ping_us is None else ping_us
        self._visits = visits
        try:
            store.begin_life()
        except (StoreFull, StoreFailed) as error:
            # Cursors are handed out in the last life then, and honoured as far as that went: no worse than comparing.
            self.log.warning("life_not_begun", code=error.code, error=error.message, hint=error.hint)
        self.metrics = metrics or Counts()
        self._clock_doubted = clock_doubted
        self._damage_met = damage_met
        self.source = StoreSource(store, self._corrupt)
        self._uncommitted = Uncommitted()
        self._records = HeldRecords(store, self._uncommitted, self._corrupt)
        self._links: dict[int, Link] = {}  # of all sessions, until what they pushed was decided on
        self.harm = Harm(log, self._links)
        self._tails = Tails(self._records.tail)
        self.authorise = authorise
        self.usage = CountedUsage(
            store, self._now, used_bytes, wall_clock, self._records.is_known, self.harm.quota_reached
        )
        self.pool, self.slow_pool = self._make_pools(outside, keep_spare)
        self.writer = outside.make_writer(commits or store)
        self._placing = Placing(store, in_force, self.pool, self.writer, self._start, self.policy_changed, schemas, log)
        self.sights = StoreSights(
            store,
            in_force,
            self._placing.sure,
            self._keep_sight,
            self._placing.begin,
            masks=schemas is None,
            draw=outside.rng.randbytes,
        )
        self.hub = Hub(
            self.source,
            authorise,
            wall_clock,
            self._tails.snapshot_due,
            sessions_max,
            self._acknowledged,
            self._ping_us,
            self.usage.quotas,
            self.sights,
            own,
        )
        self.masking = self._make_masking(outside) if schemas is None else None
        self.people = People(self.hub, self._now, log)
        self._looking: asyncio.TimerHandle | None = None
        self.health = Health(store, self.pool, wall_clock, log)
        self.loop = asyncio.get_running_loop()
        self.recorder: Recorder | None = None
        self.queue = FairQueue(self.loop, outside.clock, beside)
        self._gone = Flow()  # of what still comes of sessions that are over
        self.admission = Admission(self._now)
        self._held = HeldSessions(self)
        self._filling = Filling(self.hub, self.queue, self.loop, self._now, self._pump, self._unreadable, log)
        self.fill, self.untaken = self._filling.fill, self._filling.untaken
        self._tasks: set[asyncio.Task[None]] = set()
        self._idle = asyncio.Event()
        self._failures_known = 0
        rest = AtRest(store, self._uncommitted.__contains__, lambda: self._failures_known)
        self._answers = Answers(
            self.hub,
            store,
            StoreIndex(store, UNKNOWN_TO_ACCEPTOR),
            digests or WorkerDigests(store, self.pool, self.writer, rest),
            audits or WorkerAudits(store, self.pool, self.writer, rest, self._now),
            self._forget,
            self._unreadable,
            self._now,
            self.sights,
            log,
        )
        self._presence_timer: asyncio.TimerHandle | None = None
        self._rounds = Rounds(
            self.loop, self.queue, self._followers, self.fill, alike=self._filling.tell_alike, newest=self._newest
        )
        self._showing = Rounds(
            self.loop, self.queue, self.hub.begin_presence, self.fill, _PRESENCE_REST_US, _PRESENCE_AT_ONCE
        )
        self._following = Following(store, self.source)
        self.stopping = self.stopped = False

    def _make_pools(self, outside: Outside, keep_spare: bool) -> tuple[IntegrationPool, IntegrationPool]:
        """The workers of all, and those of what takes long; both know alike what kills one and whose a writer is."""
        pool = IntegrationPool(
            self._records.load,
            self.harm.worker_died,
            keep_spare,
            start_worker=outside.start_worker,
            turn=_QUICK,
            on_unloadable=self.harm.unloadable,
            seq=self._records.seq,
            writers=WriterMap(self.store),
        )
        slow = IntegrationPool(
            self._records.load,
            self.harm.worker_died,
            keep_spare=False,
            fair=True,
            start_worker=outside.start_slow_worker,
            turn=_SLOW,
            poisons=pool.poisons,
            on_unloadable=self.harm.unloadable,
            seq=self._records.seq,
            writers=pool.writers,
        )
        return pool, slow

    def _make_masking(self, outside: Outside) -> Masking:
        return Masking(
            self.store,
            self._in_force,
            self.pool,
            self.writer,
            self._start,
            lambda: self._rounds.begin(),  # noqa: PLW0108 - made later
            self._placing.fields,
            self._wall_clock,
            outside.rng,
            self.log,
        )

    async def start(self, *, workers: bool = True) -> None:
        """Begin, and start the `workers`, which else start when they are first needed. Raises `WorkerUnavailable`."""
        if workers:
            await self.pool.start()
        if self.pool.unconfined:
            self.log.warning("worker_not_confined", missing=list(self.pool.unconfined))
        self._placing.begin()
        if self.masking is not None:
            self.masking.begin()

    def rest(self) -> None:
        """End the workers where nothing is asked of them, until they are needed again."""
        self.pool.rest()
        self.slow_pool.rest()

    async def stop(self, retry_after_us: int, grace_s: float, why: str = "it restarts") -> None:
        """Take nothing new, store and acknowledge what was taken, say bye and `why`, and release everything.

        What is not on disk after `grace_s` seconds stays unacknowledged: devices send it again.
        """
        self.stopping = True
        bye = ("going_away", why, retry_after_us)
        self.hub.refuse_newcomers(*bye)
        try:
            async with asyncio.timeout(grace_s):
                while not self.hub.idle:
                    self._idle.clear()
                    await self._idle.wait()
        except TimeoutError:
            self.log.warning("stopped_with_pushes_unanswered")
        self.hub.close(*bye, self._now())
        self._pump()
        self.stopped = True
        if self._looking is not None:
            self._looking.cancel()
        if self.recorder is not None:
            self.recorder.close()
        if self._presence_timer is not None:
            self._presence_timer.cancel()
        self._rounds.stop()
        self._showing.stop()
        await self.health.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        with contextlib.suppress(StoreError):  # what counts too much then is less than a push of each session
            await self.usage.keep(self.writer)
        await self.pool.close()
        await self.slow_pool.close()
        await self.loop.run_in_executor(None, self.writer.close)

    def wall_clock(self) -> int:
        """Microseconds since 1970."""
        return self._wall_clock()

    def unready(self) -> str | None:
        """Why it cannot serve just now, or None."""
        if self.stopping:
            return "stopping"
        return self.health.reason or self.quotas.full()

    async def tried(self) -> str | None:
        """The same, after something went the way of a push: the worker's and the disk's."""
        return self.unready() or await self.health.canary()

    # --- links -----------------------------------------------------------------------------------------------

    def written_beside(self, records: Sequence[str]) -> None:
        """Others have committed updates of these records: the worker loads them anew, and followers hear of them."""
        self._forget(records)
        self._tails.forget()
        self._rounds.begin()
        self._written(records)

    @property
    def quotas(self) -> Quotas:
        """What is counted, by owner, and what is too much."""
        return self.usage.quotas

    def allow(self, bounds: Bounds) -> None:
        """Go by these quotas from here on; what was counted today counts on."""
        if bounds == self.quotas.bounds:
            return
        try:
            self.usage.allow(bounds)
        except StoreError as error:
            self.log.warning("usage_not_read", code=error.code, error=error.message, hint=error.hint)
        self.tell_put_off()

    def tell_put_off(self) -> None:
        """More may be allowed than was: who was told to come back later begins anew."""
        for session in self.hub.put_off():
            self.hub.expel(session, QUOTA_CHANGED, "what may be stored here has changed", 0, self._now())
        self._pump()

    def policy_changed(self) -> None:
        """Another policy is in force, or none, or other fields choose records: tell who is here what that changes."""
        self._placing.begin()  # before the first device asks, which is put off meanwhile
        self.hub.regrant(self._now())
        self._pump()
        self._rounds.begin()
        if self.masking is not None:
            self.masking.begin()

    def _written(self, records: Sequence[str]) -> None:
        self._placing.written(records)
        if self.masking is not None:
            self.masking.written(records)

    def _policy_version(self) -> int:
        in_force = self._in_force()
        return 0 if in_force is None else in_force.version

    def _keep_sight(self, key: str, value: bytes) -> None:
        self.writer.submit(Batch(meta={key: value}))

    def _forget(self, records: Sequence[str]) -> None:
        for record in records:
            self.pool.forget(record)
            self.slow_pool.forget(record)

    def connect(
        self, link: Link, authorise: Authorise | None = None, address: str = "", guest: Guest | None = None
    ) -> int:
        """A device has connected; returns its session's number. `authorise` is for this session alone, and until it is
        let in, what it causes is done in turns with all others of that `address`. `guest` is who proves who it is.
        """
        session = self.hub.connect(self._now(), authorise, address)
        self._filling.seat(session, link, self.queue.stranger(address))
        self._links[session] = link
        self.people.came(session, guest)
        self._arm(session)
        return session

    def flow(self, session: int) -> Flow:
        """The flow of the session's work."""
        seat = self._filling.seats.get(session)
        return seat.flow if seat is not None else self._gone

    def receive(self, session: int, frame: bytes) -> None:
        """A frame came from the device, and it is its turn."""
        self.take(session, frame)
        self.taken(session)

    def take(self, session: int, frame: bytes) -> None:
        """The same, for one of several frames that came together. Call `taken` after the last of them.

        What it asks for is begun at once, so that it counts before the next of them is taken.
        """
        try:
            self.hub.receive(session, frame, self._now())
        except StoreError as error:
            self._unreadable(session, error)
        if self.hub.asks:
            self._pump()

    def taken(self, session: int) -> None:
        """Frames were taken from the session: answer them."""
        self._pump()
        self.fill(session)

    def may_read(self, session: int, size: int) -> bool:
        """Whether a frame of `size` bytes may be taken from the link; if not, it awaits `readable`."""
        seat = self._filling.seats.get(session)
        if seat is None:
            return True
        return not self.stopping and seat.asked < _ASKED_MAX and not self.hub.congested(session, size, self._now())

    async def readable(self, session: int, size: int) -> None:
        """Return when such a frame may be taken from the link, or when its session is over."""
        while not self.may_read(session, size):
            reading = self._held.hold(session, size)
            self._pause(session)
            await reading
            self._resume(session)

    def hold(self, session: int, held: bool) -> None:
        """The device is not read, for want of room for what it sends, or is read on."""
        seat = self._filling.seats.get(session)
        if seat is not None and seat.crowded != held:
            seat.crowded = held
            self._pause(session) if held else self._resume(session)

    def _pause(self, session: int) -> None:
        self.hub.pause(session, self._now())

    def _resume(self, session: int) -> None:
        seat = self._filling.seats.get(session)
        if seat is not None and not seat.crowded and session not in self._held:
            self.hub.resume(session, self._now())

    def held_by_itself(self, session: int) -> bool:
        """See `held.Rules`."""
        seat = self._filling.seats.get(session)
        return seat is not None and (seat.asked >= _ASKED_MAX or self.hub.held_by_itself(session))

    def waits_for_slow(self, session: int, size: int) -> bool:
        """See `held.Rules`."""
        return self.hub.waits_for_slow(session, size, self._now())

    def has_pushed(self, session: int) -> bool:
        """See `held.Rules`."""
        return self.hub.has_pushed(session)

    def audit(self) -> None:
        """Have the audit log tell what sessions do from now on, each act with the policy in force by then."""
        if self.recorder is None:
            self.recorder = Recorder(self.loop, self.writer, self._wall_clock, self._policy_version)
            self.hub.tell_refused()

    def tell(self, entry: Entry) -> None:
        """Have the audit log tell this as well, where there is one."""
        if self.recorder is not None:
            self.recorder.note(entry)

    def people_changed(self) -> None:
        """What the space said is more than before, or it has identities now: see `People.changed`."""
        self.people.changed()
        self._pump()
        self._heed_policy()
        if self._looking is None and not self.stopped:
            self._looking = self.loop.call_later(LOOK_S, self._look)

    def _heed_policy(self) -> None:
        if (in_force := self._in_force()) is not self._policy and not self.stopped:
            self._policy = in_force
            self.policy_changed()

    def _look(self) -> None:
        self.people.look()
        self._pump()
        self._looking = self.loop.call_later(LOOK_S, self._look)

    def refuse(self, session: int, code: str, message: str) -> None:
        """The device breaks the rules of the link itself: say why and end its session."""
        self.hub.expel(session, code, message, None, self._now())
        self._pump()

    def lost(self, session: int) -> None:
        """The device's link is gone."""
        self._leave(session)
        self.hub.lost(session, self._now())
        self._pump()

    def _leave(self, session: int) -> Link | None:
        seat = self._filling.leave(session)
        if seat is None:
            return None
        if seat.timer is not None:
            seat.timer.cancel()
        self._held.leave(session)
        self.people.left(session)
        if self._visits is not None:
            self._visits.left(session)
        return seat.link

    def _arm(self, session: int) -> None:
        seat, timer = self._filling.seats.get(session), self.hub.next_timer(session)
        if seat is not None and timer is not None:
            timer = min(timer, self._now() + self._ping_us)  # the first may be of the handshake, which ends sooner
            seat.due, seat.timer = timer, self.loop.call_at(timer / 1e6, self._timer, session)

    def _timer(self, session: int) -> None:
        seat, now = self._filling.seats.get(session), self._now()
        paused = session in self._held or (seat is not None and seat.crowded)
        stalled = seat is not None and not paused and now - seat.due > _STALLED_US
        if seat is not None and stalled:  # we were not listening: nobody is silent for that
            self.hub.pause(session, seat.due)
            self.hub.resume(session, now)
        self.hub.timer(session, now, seat.link.arriving if seat is not None else 0)
        self._pump()
        self._arm(session)

    # --- effects ---------------------------------------------------------------------------------------------

    def _pump(self) -> None:
        while effects := self.hub.drain():  # what a session is told of its space is an effect of an effect
            for effect in effects:
                self._carry_out(effect)
        for session in self.hub.take_answered():
            self._held.answered(session)
        self._held.release()
        if self.hub.presence_changed and self._presence_timer is None:
            self._presence_timer = self.loop.call_later(_PRESENCE_EVERY_S, self._show_presence)
        if self.stopping and self.hub.idle:
            self._idle.set()

    def _carry_out(self, effect: HubEffect) -> None:
        match effect:
            case Deliver(session, frame):
                seat = self._filling.seats.get(session)
                if seat is not None:
                    self._send(session, seat, frame)
            case Hangup(session, closed):
                link = self._leave(session)
                if link is not None:
                    if self.recorder is not None and not closed.by_partner and closed.code not in _NO_REFUSAL:
                        self.recorder.ended(session, link.named(), closed.code)
                    link.hangup(closed)
            case Integrate():
                self._start(self._integrate(effect))
            case Commit():
                self._commit(effect)
            case Forget():
                self.pool.forget_all()
                self.slow_pool.forget_all()
            case PinIndex() | MakeReceipt() | PinAudit() | MakeCheck():
                self._answer(effect)
            case GaveTo(session, records):
                if self.recorder is not None:
                    self.recorder.gave(session, records)
            case NoteReports():
                who = None if self.recorder is None else self.recorder.who(effect.session)
                self._start(self._note_reports(effect, who))
            case SaidBy(session, statements):
                if self.people.said(session, statements):
                    self.loop.call_soon(self._heed_policy)  # behind the effects that are being carried out
            case Refused():
                if self.recorder is not None:
                    self.recorder.refused(effect)
            case Finished(session, verdicts):
                self._links.pop(session).finished(verdicts)
                if self.recorder is not None:
                    self.recorder.forget(session)
            case Arrived() | Stored():
                if isinstance(effect, Arrived) and (seat := self._filling.seats.get(effect.session)) is not None:
                    share = self.hub.share(effect.session)
                    seat.flow = Flow() if share is None else self.queue.member(share)
                    self.people.arrived(effect.session)
                    if self.recorder is not None:
                        self.recorder.arrived(effect.session, seat.link.named())
                if self._visits is not None:
                    self._visits.heard(effect)

    def _send(self, session: int, seat: Seat, frame: bytes) -> None:
        try:
            seat.link.send(frame)
        except Exception:  # the effects that follow are of others, who would wait for their answers for ever
            self.log.exception("session_failed", session=session, **self.harm.named((session,)))
            self.hub.expel(session, "unavailable", "this cannot be served now", RETRY_US, self._now())

    async def _note_reports(self, effect: NoteReports, who: Who | None) -> None:
        """Have the audit log tell what a device reports. Without one nobody wants to know, and the device need not."""
        session = effect.session
        try:
            if self.recorder is not None and who is not None:
                await self.recorder.reported(who, effect.entries)
        except StoreError as error:
            self.log.error("reports_not_noted", session=session, code=error.code, **self.harm.named((session,)))
            self.hub.expel(session, "unavailable", "the audit log cannot be written now", RETRY_US, self._now())
        else:
            self.hub.noted(session, effect.number, self._now())
        self._pump()

    async def _integrate(self, effect: Integrate) -> None:
        in_force = self._in_force()
        fields = None if in_force is None else self._placing.fields()
        items = [
            Item(item.record, item.updates, item.snapshot, item.senders, item.sessions, _users(item, in_force))
            for item in effect.items
        ]
        begun = time.perf_counter()
        pool, other = (self.slow_pool, self.pool) if effect.slow else (self.pool, self.slow_pool)
        for item in items if other.holds_any else ():
            if other.cached(item.record):
                other.forget(item.record)  # what it holds will not be what is stored
        try:
            results = await pool.integrate(items, effect.stamp_max, in_force)
        except Exception as error:
            self.health.integration_failed(error)
            self.hub.integration_failed(self._now(), slow=effect.slow)
        else:
            self.health.integration_succeeded()
            self.metrics.integration_seconds.observe(time.perf_counter() - begun)
            answers = [
                Integrated(
                    result.verdicts, result.state_vector, result.snapshot, result.lineage, result.shown, result.bound
                )
                for result in results
            ]
            if in_force is not None and (
                fields is None or fields != self._placing.fields()
            ):  # a schema has changed meanwhile
                answers = [answer._replace(shown=None) for answer in answers]
            self.hub.integrated(answers, self._now(), slow=effect.slow)
            if self._clock_doubted is not None and clocks_differ(results):
                self._clock_doubted()
        self._pump()

    def _commit(self, effect: Commit) -> None:
        now = self._wall_clock()
        self._following.begin()
        self._uncommitted.begin(effect.number, effect.changes)
        self._tails.grow(effect.changes)
        fields = (self._placing.fields() or b"") if any(change.forms is not None for change in effect.changes) else b""
        audit = () if self.recorder is None else self.recorder.of(effect.number, effect.changes, now)
        meta: dict[str, bytes | None] = {} if self.usage.quotas.off else dict(self.usage.rows(effect.number))
        for change in effect.changes:
            if change.bound:
                meta |= self.pool.rows(change.bound)
        changes = tuple(change_of(change, now, fields) for change in effect.changes)
        batch = Batch(changes=changes, meta=meta, audit=audit)
        begun = time.perf_counter()
        future = self.writer.submit(batch, failures=self._failures_known)
        future.add_done_callback(lambda done: self.loop.call_soon_threadsafe(self._committed, effect, begun, done))

    def _committed(self, effect: Commit, begun: float, future: "Future[Committed]") -> None:
        error = future.exception()
        self._uncommitted.end(effect.number, effect.changes, failed=error is not None)
        if self.recorder is not None:
            self.recorder.committed(effect.number, failed=error is not None)
        if not self.quotas.off:
            self.usage.committed(effect.number, sum(map(_size, effect.changes)), failed=error is not None)
        if self.stopped:
            return
        if error is None:
            self.health.commit_succeeded()
            self.metrics.commit_seconds.observe(time.perf_counter() - begun)
            seqs = future.result().seqs
            self._following.committed(seqs)
            self._written([change.record for change in effect.changes])
            self.hub.committed(effect.number, seqs, self._now())
        else:
            self.health.commit_failed(error, sum(map(_size, effect.changes)))
            self._tails.forget()
            self._following.failed()
            failures = self.writer.metrics.failures
            if self.hub.commit_failed(effect.number, self._now()):  # nothing is under way that builds on what failed
                self._failures_known = failures
        self._pump()
        self._rounds.begin()

    def _followers(self) -> Sequence[int]:
        try:
            return self.hub.followers()
        except StoreError as unreadable:
            self.health.commit_failed(unreadable)
            return ()

    def _newest(self) -> int:
        try:
            return self.source.followed()
        except StoreError:
            return 0  # health has heard why from who was to be told

    def _answer(self, asked: Asked) -> None:
        """Begin what a session asked for; with too much of it under way, nothing more is read from there."""
        seat = self._filling.seats.get(asked.session)
        if seat is not None:
            seat.asked += 1
            self._start(self._answered(asked, seat))

    async def _answered(self, asked: Asked, seat: Seat) -> None:
        try:
            await self.queue.wait(seat.flow, _nothing, _ANSWER_S)
            await self._answers.answer(asked)
        finally:
            seat.asked -= 1
            self._held.answered(asked.session)
            self._pump()
        self.fill(asked.session)

    def _show_presence(self) -> None:
        self._presence_timer = None
        self._showing.begin()

    # --- failures --------------------------------------------------------------------------------------------

    def _unreadable(self, session: int, error: CrdtSyncError) -> None:
        """What the session asks for cannot be read now: it comes back later."""
        if isinstance(error, StoreCorrupt):
            self._corrupt(error)
        named = self.harm.named((session,))
        self.log.warning("session_ended_by_failure", session=session, code=error.code, error=error.message, **named)
        self.hub.expel(session, "unavailable", "this cannot be served now", RETRY_US, self._now())

    def _corrupt(self, corrupt: StoreCorrupt) -> None:
        self.health.damaged(corrupt)
        if self._damage_met is not None and corrupt.record is not None:
            self._damage_met(corrupt.record, corrupt.message)

    def _acknowledged(self, after_us: int) -> None:
        self.metrics.acknowledge_seconds.observe(after_us / 1e6)

    # --- tasks -----------------------------------------------------------------------------------------------

    def _start(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self.log.error("task_failed", exc_info=task.exception())

    def _now(self) -> int:
        return steady_us(self.loop)


def _nothing() -> None:
    """What follows is done in tasks."""


def _users(item: IntegrationItem, in_force: InForce | None) -> tuple[str, ...]:
    return () if in_force is None else tuple([principal.user for principal in item.principals])


def _size(change: StoredUpdates) -> int:
    return sum(map(len, change.updates)) + len(change.snapshot or b"")
