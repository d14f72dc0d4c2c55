"""One dialing session on virtual time: mirrors `crdt_sync.runtime.conversation.Conversation`, effect for effect.

The commit thread is two moments: when it carries out its work, and, a little later, when the loop hears of it.
"""

import random
from collections import deque
from collections.abc import Callable, Mapping, Sequence

from crdt_bench.simulator.checkers import bounds
from crdt_bench.simulator.network import TO_DIALER, TO_HOST, Link
from crdt_bench.simulator.scheduler import Host, Process, Scheduler
from crdt_bench.simulator.worker import Pool
from crdt_sync import limits
from crdt_sync.errors import StoreError
from crdt_sync.protocol.dialer import Dialer
from crdt_sync.protocol.effects import (
    Acknowledge,
    CaughtUp,
    Closed,
    Compare,
    Effect,
    Integrate,
    Owe,
    ReceiptArrived,
    Send,
    Welcomed,
)
from crdt_sync.protocol.messages import Receipt
from crdt_sync.replica import Event, Replica
from crdt_sync.replica.carrying_out import Answer, carry_out, take_work
from crdt_sync.replica.partner import Partner
from crdt_sync.runtime.screening import Trial

RELAY = ""
"""The name of the relay among the partners of a device; the others are devices."""


def url_of(name: str) -> str:
    """The address of a partner."""
    return f"sim://{name or 'relay'}"


class Conversation(Host):
    """One session of a device with a partner. `ended` hears once that it is over, and why.

    `device` is the replica id of a partner that is a device, which proves it before the session begins.
    """

    def __init__(
        self,
        name: str,
        device: bytes | None,
        replica: Replica,
        scheduler: Scheduler,
        link: Link,
        rng: random.Random,
        latency_max: int,
        ended: Callable[["Conversation", Closed | StoreError], None],
        acknowledged: Callable[["Conversation", Acknowledge], None],
    ) -> None:
        self.name = name
        self.link = link
        self.caught_up = False
        self.receipts: list[Receipt] = []
        self.partner = Partner(replica, url_of(name), device)
        self.epoch = b""
        self._replica = replica
        self._scheduler = scheduler
        self._rng = rng
        self._latency_max = latency_max
        self._ended = ended
        self._acknowledged = acknowledged
        self._pool = (
            None
            if device is None
            else Pool(scheduler, lambda record: replica.store.load(record).updates, rng, 1, latency_max, lambda: False)
        )
        self._outgoing: deque[bytes] = deque()
        self._work: deque[Effect] = deque()
        self._busy = False
        self._closed: Closed | None = None
        self._timer_at = 0
        link.ends[1] = self
        self.dialer = Dialer(
            self.partner,
            resume=self.partner.resume,
            token="",
            follow=True,
            agent="simulator",
            wall=replica.wall_clock(),
            now=scheduler.now,
            direct=self.partner.is_direct,
            moves=self.partner.moves,
        )
        self._unsubscribe = replica.subscribe(self._heard_of)
        self._trust_clock = replica.watch_clock(lambda: scheduler.after(1, self, self._compare_clocks))
        self._pump()

    @property
    def settled(self) -> bool:
        """Whether everything known on both sides was exchanged."""
        return self.dialer.settled and not self._work and not self._busy

    def stop(self) -> None:
        """The process is gone, or the session is over: nothing more happens here."""
        if self.alive:
            self.alive = False
            self._unsubscribe()
            self._trust_clock()
            self.partner.ended()
            self.link.ends[1] = None

    # --- the link --------------------------------------------------------------------------------------------

    def arrived(self, frame: bytes) -> None:
        """A frame came."""
        try:
            self.dialer.receive(frame, self._scheduler.now)
        except StoreError as error:
            self._end(error)
            return
        self._pump()
        bounds.check_device(self.link.name, self._work)

    def room(self) -> None:
        """The link has room again."""
        self._send()

    def hung_up(self) -> None:
        """The link is gone."""
        self.dialer.lost()
        self._pump()

    def _send(self) -> None:
        while self.alive:
            while self._outgoing:
                if not self.link.has_room(TO_HOST):
                    self.link.call_when_room(TO_HOST)
                    return
                self.link.send(TO_HOST, self._outgoing.popleft())
            if not self.dialer.wants_room:
                return
            try:
                self.dialer.fill(limits.FRAME_BYTES_TARGET, self._scheduler.now)
            except StoreError as error:
                self._end(error)
                return
            self._drain()
            if not self._outgoing:
                return

    # --- time ------------------------------------------------------------------------------------------------

    def _arm(self) -> None:
        timer = self.dialer.next_timer()
        if timer is not None and not self._scheduler.now < self._timer_at <= timer:
            self._timer_at = max(timer, self._scheduler.now + 1)
            self._scheduler.after(self._timer_at - self._scheduler.now, self, self._timer, self._timer_at)

    def _timer(self, timer: int) -> None:
        if timer != self._timer_at:
            return  # a nearer time was set meanwhile
        self.dialer.watch_clock(self._replica.wall_clock(), self._scheduler.now)
        self.dialer.arriving(self.link.arriving(TO_DIALER))
        self.dialer.timer(self._scheduler.now)
        self._pump()
        if self.alive:
            self._arm()

    # --- work ------------------------------------------------------------------------------------------------

    def _next_work(self) -> None:
        if not self._busy and self._work:
            self._busy = True
            self._scheduler.after(self._latency(), self, self._take_up, take_work(self._work))

    def _take_up(self, effects: list[Effect]) -> None:
        if self._pool is not None and isinstance(effects[0], Integrate):
            self._scheduler.start(self, self._screen(effects, self._pool))
        else:
            self._carry_out(effects, {})

    def _screen(self, effects: list[Effect], pool: Pool) -> Process:
        """Mirrors `runtime.screening.Screening`."""
        run = [effect for effect in effects if isinstance(effect, Integrate)]
        trial = Trial([entry for effect in run for entry in effect.entries], self.partner.url)
        results = yield from pool.integrate(trial.items, self._replica.clock.now() + limits.STAMP_AHEAD_US_MAX)
        pool.forget_all()
        screened = trial.screened(results)
        if screened.clocks_differ:
            self._replica.doubt_clock()
        self._carry_out(screened.only(run), screened.refused)

    def _carry_out(self, effects: list[Effect], refused: Mapping[str, str]) -> None:
        if isinstance(effects[0], Acknowledge):
            self._acknowledged(self, effects[0])
        try:
            answers = carry_out(self.partner, self.dialer, effects, refused)
        except StoreError as error:
            self._end(error)
            return
        self._scheduler.after(self._rng.randint(1, 200), self, self._answer, answers)

    def _latency(self) -> int:
        return self._rng.randint(20, self._latency_max)

    def _answer(self, answers: list[Answer]) -> None:
        try:
            for answer in answers:
                answer(self._scheduler.now)
        except StoreError as error:
            self._end(error)
            return
        self._busy = False
        self._pump()

    # --- effects ---------------------------------------------------------------------------------------------

    def _pump(self) -> None:
        self._drain()
        if self._closed is not None:
            self._flush()
            self._end(self._closed)
            return
        self._next_work()
        self._send()
        self._arm()

    def _drain(self) -> None:
        for effect in self.dialer.drain():
            match effect:
                case Send(frame):
                    self._outgoing.append(frame)
                case Compare() | Integrate() | Owe() | Acknowledge():
                    self._work.append(effect)
                case Welcomed():
                    self.epoch = effect.epoch
                    self._welcomed(effect)
                case CaughtUp():
                    self.caught_up = True
                case ReceiptArrived(receipt):
                    self.receipts.append(receipt)
                case Closed():
                    self._closed = effect

    def _welcomed(self, effect: Welcomed) -> None:
        try:
            self.partner.welcomed(effect)
        except StoreError as error:
            self._end(error)

    def _flush(self) -> None:
        for frame in self._outgoing:
            self.link.send(TO_HOST, frame)

    def _end(self, reason: Closed | StoreError) -> None:
        if self.alive:
            self.stop()
            self.link.close(TO_HOST)
            self._ended(self, reason)

    def _heard_of(self, events: Sequence[Event]) -> None:
        records = self.partner.pushable(events)
        if records:
            self._scheduler.after(1, self, self._edited, records)

    def _compare_clocks(self) -> None:
        self.dialer.compare_clocks()
        self._arm()

    def _edited(self, records: list[str]) -> None:
        self.dialer.notify(records)
        self._send()
