"""One dialing session on virtual time: mirrors `crdt_sync.runtime.conversation.Conversation`, effect for effect.

The commit thread is two moments: when it carries out its work, and, a little later, when the loop hears of it.
"""

import random
from collections import deque
from collections.abc import Callable, Sequence

from benchmarks.simulator.checkers import bounds
from benchmarks.simulator.network import DEVICE_TO_RELAY, Link
from benchmarks.simulator.scheduler import Host, Scheduler
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
from crdt_sync.replica.partner import Partner

_JOINED_MAX = 64
URL = "sim://relay"
Answer = Callable[[int], None]


class Conversation(Host):
    """One session of a device. `ended` hears once that it is over, and why."""

    def __init__(
        self,
        replica: Replica,
        scheduler: Scheduler,
        link: Link,
        rng: random.Random,
        latency_max: int,
        ended: Callable[["Conversation", Closed | StoreError], None],
        acknowledged: Callable[["Conversation", Acknowledge], None],
    ) -> None:
        self.link = link
        self.caught_up = False
        self.receipts: list[Receipt] = []
        self.partner = Partner(replica, URL)
        self.epoch = b""
        self._replica = replica
        self._scheduler = scheduler
        self._rng = rng
        self._latency_max = latency_max
        self._ended = ended
        self._acknowledged = acknowledged
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
        )
        self._unsubscribe = replica.subscribe(self._heard_of)
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
                if not self.link.has_room(DEVICE_TO_RELAY):
                    self.link.call_when_room(DEVICE_TO_RELAY)
                    return
                self.link.send(DEVICE_TO_RELAY, self._outgoing.popleft())
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
        self.dialer.timer(self._scheduler.now)
        self._pump()
        if self.alive:
            self._arm()

    # --- work ------------------------------------------------------------------------------------------------

    def _next_work(self) -> None:
        if not self._busy and self._work:
            self._busy = True
            self._scheduler.after(self._rng.randint(20, self._latency_max), self, self._carry_out, self._take_work())

    def _take_work(self) -> list[Effect]:
        first = self._work.popleft()
        effects = [first]
        while (
            isinstance(first, Integrate)
            and self._work
            and len(effects) < _JOINED_MAX
            and isinstance(following := self._work[0], Integrate)
            and following.owe == first.owe
        ):
            effects.append(self._work.popleft())
        return effects

    def _carry_out(self, effects: list[Effect]) -> None:
        try:
            answers = self._commit(effects)
        except StoreError as error:
            self._end(error)
            return
        self._scheduler.after(self._rng.randint(1, 200), self, self._answer, answers)

    def _answer(self, answers: list[Answer]) -> None:
        try:
            for answer in answers:
                answer(self._scheduler.now)
        except StoreError as error:
            self._end(error)
            return
        self._busy = False
        self._pump()

    def _commit(self, effects: list[Effect]) -> list[Answer]:
        dialer = self.dialer
        match effects[0]:
            case Integrate():
                run = [effect for effect in effects if isinstance(effect, Integrate)]
                cursors = [effect.cursor for effect in run if effect.cursor is not None]
                entries = tuple(entry for effect in run for entry in effect.entries)
                head = max(effect.head for effect in run)
                joined = Integrate(run[-1].number, entries, cursors[-1] if cursors else None, head, run[0].owe)
                gaps = self.partner.integrate(joined)
                answers = [_integrated(dialer, effect.number, ()) for effect in run[:-1]]
                return [*answers, _integrated(dialer, joined.number, gaps)]
            case Compare():
                view = self.partner.compare()
                return [lambda now: dialer.compare(view, now)]
            case Owe() as owe:
                self.partner.owe(owe)
                return [dialer.owed]
            case Acknowledge() as acknowledge:
                self._acknowledged(self, acknowledge)
                again = self.partner.acknowledge(acknowledge)
                return [lambda now: dialer.acknowledged(acknowledge.number, again, now)]
        return []

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
            self.link.send(DEVICE_TO_RELAY, frame)

    def _end(self, reason: Closed | StoreError) -> None:
        if self.alive:
            self.stop()
            self.link.close(DEVICE_TO_RELAY)
            self._ended(self, reason)

    def _heard_of(self, events: Sequence[Event]) -> None:
        records = [event.record for event in events if event.kind == "edited"]
        if records:
            self._scheduler.after(1, self, self._edited, records)

    def _edited(self, records: list[str]) -> None:
        self.dialer.notify(records)
        self._send()


def _integrated(dialer: Dialer, number: int, gaps: Sequence[tuple[str, bytes]]) -> Answer:
    return lambda now: dialer.integrated(number, gaps, now)
