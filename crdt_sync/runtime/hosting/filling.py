"""Filling links: each is given what waits for its device one frame at a time, in turns, as far as there is room.

What devices were told and have not taken is bounded for all together, see `transports.room`. While that is full, who
has nothing to take is told little at a time, so that who takes it at once waits for nobody.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from crdt_sync import limits
from crdt_sync.errors import CrdtSyncError, StoreError
from crdt_sync.protocol.effects import Closed
from crdt_sync.protocol.hub import Hub
from crdt_sync.runtime.hosting.fair_queue import FairQueue
from crdt_sync.runtime.hosting.flow import Flow
from crdt_sync.runtime.hosting.logs import LOG, Log
from crdt_sync.runtime.transports.room import Room
from crdt_sync.verdicts import VerdictCode

RETRY_US = 5_000_000
_ONE_FRAME = 1  # byte of room: what is queued for a slow link is what everything else must wait for


class Link(Protocol):
    """A way to one device."""

    def send(self, frame: bytes) -> None:
        """Send now, or buffer: control frames are bounded by what the device itself sends."""

    def tell(self, frame: bytes) -> bool:
        """Send where there is room; returns whether there still is."""

    def has_room(self) -> bool:
        """Whether the device reads fast enough for more."""

    def call_when_room(self) -> None:
        """Call `Engine.fill` when there is room again."""

    @property
    def unsent(self) -> int:
        """Bytes of what was sent that still wait here."""

    @property
    def arriving(self) -> int:
        """Bytes of the device's next frame that have come."""

    def named(self) -> dict[str, str]:
        """Who is at its other end, for a log line."""

    def hangup(self, closed: Closed) -> None:
        """Close after what was sent."""

    def finished(self, verdicts: Mapping[VerdictCode, int]) -> None:
        """The session is over, and all that it pushed was decided on: how often each verdict was given."""


@dataclass(slots=True, eq=False)
class Seat:
    """A session's link and what the engine has under way for it. It waits by itself for room for what is to be sent."""

    link: Link
    flow: Flow
    room_given: Callable[[int], None]
    give_way: Callable[[], None]
    keeps: bool = False  # some of that room, for what its link has not passed on
    timer: asyncio.TimerHandle | None = None
    due: int = 0  # when that was to wake, in microseconds
    filling: bool = False
    asked: int = 0  # receipts and the like under way
    crowded: bool = False  # it is not read for want of room


class Filling:
    """See the module. `pump` carries out what the hub says after each frame; `unreadable` ends a session whose records
    cannot be read."""

    def __init__(
        self,
        hub: Hub,
        queue: FairQueue,
        loop: asyncio.AbstractEventLoop,
        now: Callable[[], int],
        pump: Callable[[], None],
        unreadable: Callable[[int, CrdtSyncError], None],
        log: Log = LOG,
    ) -> None:
        self._log = log
        self.seats: dict[int, Seat] = {}
        self.untaken = Room(loop, limits.UNTAKEN_BYTES_MAX)
        self._hub = hub
        self._queue = queue
        self._loop = loop
        self._now = now
        self._pump = pump
        self._unreadable = unreadable

    def seat(self, session: int, link: Link, flow: Flow) -> None:
        """A session begins."""
        self.seats[session] = Seat(
            link, flow, lambda _: self._fill_in_turn(session), partial(self._takes_nothing, session)
        )

    def leave(self, session: int) -> Seat | None:
        """It is over; its seat, if that was not known yet."""
        seat = self.seats.pop(session, None)
        if seat is not None:
            self.untaken.leave(seat)
        return seat

    def fill(self, session: int) -> None:
        """The device's link may have room: send one piece of what waits, and come back for the next."""
        seat = self.seats.get(session)
        if seat is None or seat.filling:
            return
        if seat.keeps and seat.link.has_room():
            seat.keeps = False
            self.untaken.leave(seat)
        try:
            if not self._hub.wants_room(session):
                if self.untaken.holds(seat):
                    self._keep(session, seat)
                return
            if not seat.link.has_room():
                seat.link.call_when_room()
                return
            if not self._tell(session, seat):
                self._pump()
                return
            more = self._hub.wants_room(session)
        except StoreError as error:
            self._unreadable(session, error)
            more = False
        self._pump()
        self._keep(session, seat)
        if more:
            self._fill_in_turn(session)

    def tell_alike(self, sessions: Iterable[int]) -> list[int]:
        """Tell all of them who lack nothing but what was committed last; returns the others, for `fill`.

        One that cannot take it at once keeps it, and no other is told of that before it has taken it.
        """
        if self.untaken.full:
            return list(sessions)
        seats = self.seats
        ready: list[int] = []
        busy: list[int] = []
        for session in sessions:
            seat = seats.get(session)
            if seat is not None:
                plain = not seat.filling and not seat.keeps and seat.link.has_room()
                (ready if plain else busy).append(session)
        told, others = self._hub.tell_alike(ready, self._now())
        for session, frame in told:
            seat = seats.get(session)
            try:
                if seat is not None and not seat.link.tell(frame):
                    self._keep(session, seat)
            except Exception:  # that of the others is counted as sent already
                self._fail(session)
        return busy + others

    def _fill_in_turn(self, session: int) -> None:
        seat = self.seats.get(session)
        if seat is not None and not seat.filling:
            seat.filling = True
            self._loop.call_soon(self._queue.take, seat.flow, partial(self._refill, session, seat))

    def _refill(self, session: int, seat: Seat) -> None:
        seat.filling = False
        try:
            self.fill(session)
        except Exception:  # nobody else hears of it
            self._fail(session)

    def _fail(self, session: int) -> None:
        """End the session after an exception: it must not go on as if what was to be sent had been."""
        self._log.exception("session_failed", session=session)
        self._hub.expel(session, "unavailable", "this cannot be served now", RETRY_US, self._now())
        self._pump()

    def _tell(self, session: int, seat: Seat) -> bool:
        """Make the device's next frame; False if it waits for room, since others have not taken what they were told.

        Meanwhile who has nothing to take is told little at a time, so who takes it at once waits for nobody.
        """
        if self.untaken.full and not self.untaken.holds(seat):
            if self.untaken.waits(seat):
                return False
            lacking = self._hub.fill(session, _ONE_FRAME, self._now(), limits.SMALL_FRAME_BYTES)
            if not lacking:
                return True
            if not self.untaken.take(seat, lacking):
                return False
        self._hub.fill(session, _ONE_FRAME, self._now())
        return True

    def _keep(self, session: int, seat: Seat) -> None:
        """What the link could not pass on at once takes room until it has."""
        if session not in self.seats:
            return
        seat.keeps = not seat.link.has_room()
        if seat.keeps:
            self.untaken.keep(seat, seat.link.unsent)
            seat.link.call_when_room()
        elif self.untaken.holds(seat):
            self.untaken.leave(seat)

    def _takes_nothing(self, session: int) -> None:
        self._hub.expel(session, "unavailable", "what was sent was not taken, and others wait", RETRY_US, self._now())
        self._pump()
