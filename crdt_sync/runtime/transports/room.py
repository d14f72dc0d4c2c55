"""Room for the bytes of all connections together: those that came and wait for us, or those that wait to be taken.

Rules:

1. Whoever needs room takes it beforehand, or waits for it, and what it is for waits where it is. Nothing is dropped.
2. While no more than half is taken, a part of what comes can have room by itself, whoever waits: who is slow has no
   more than what came. Beyond that there is room for all that is missing of a frame, or none, so that who has it can
   end. The other half is enough for that, and nobody waits for those that wait themselves.
3. Next is whoever would be served first if all were served alike, a byte at a time: small frames go ahead of large
   ones, but not for ever.
4. Room is given back once a frame was taken, or can no longer come.
5. While somebody waits, nobody else keeps it waiting for `limits.ROOM_S`, nor has more of bytes times seconds than what
   it waits for would have in `limits.ROOM_HELD_S`: who dawdles gives way, whoever had most first. The time in which its
   frame waited for room itself does not count, unless all who have room wait for more: then it is the oldest of them.
"""

import heapq
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from crdt_sync import limits

_LOOK_S = 0.125  # between two looks at who dawdles, while anybody waits


class Timers(Protocol):
    """An event loop's clock and timers."""

    def time(self) -> float:
        """Seconds."""

    def call_at(self, when: float, callback: Callable[[], None]) -> object:
        """Call it then."""


class User(Protocol):
    """A connection."""

    def room_given(self, size: int) -> None:
        """There is the room now that it waited for: all of it."""

    def give_way(self) -> None:
        """It takes too long, and others wait: it is to end."""


@dataclass(slots=True)
class _Place:
    """What somebody has, and what it waits for."""

    held: int = 0
    coming: int = 0  # of that, what is for a frame that is not here as a whole
    since: float = 0.0  # when that got its first room, or the last it had waited for
    used: float = 0.0  # bytes times seconds, for that frame up to `used_at`
    used_at: float = 0.0
    waits_for: int = 0
    turn: int = 0  # of what it waits for: an older one is in the queue in vain

    def settle(self, now: float) -> None:
        """Count what it had until now."""
        if not self.waits_for:
            self.used += self.coming * (now - self.used_at)
        self.used_at = now

    def begin_anew(self) -> None:
        """No frame comes."""
        self.coming, self.used = 0, 0.0


class Room:
    """See the module. `bytes_max` for all together."""

    def __init__(self, loop: Timers, bytes_max: int) -> None:
        self._loop = loop
        self._bytes_max = bytes_max
        self._places: dict[User, _Place] = {}
        self._queue: list[tuple[int, int, User]] = []
        self._turns = 0
        self._given = 0  # bytes, ever
        self._looking = False
        self.held = 0

    @property
    def full(self) -> bool:
        """Whether anybody waits, or would have to."""
        return bool(self._queue) or self.held >= self._bytes_max

    def holds(self, user: User) -> bool:
        """Whether it has any."""
        place = self._places.get(user)
        return place is not None and place.held > 0

    def waits(self, user: User) -> bool:
        """Whether it waits for some."""
        place = self._places.get(user)
        return place is not None and place.waits_for > 0

    def keep(self, user: User, size: int) -> None:
        """It has so much now, be there room for it or not: how large a frame is may show only once it was made."""
        place = self._places.setdefault(user, _Place())
        if size < place.held:
            self.give_back(user, place.held - size)
        else:
            self._give(place, size - place.held)
            self._look()

    def take(self, user: User, size: int, part: int | None = None) -> int:
        """For how many bytes more there is room: `size`, or `part` of them, or none. If for none, `room_given` is
        called once there is room for `size`.
        """
        place = self._places.setdefault(user, _Place())
        if place.waits_for:
            return 0
        if part is not None and self.held + part <= self._bytes_max // 2:
            return self._give(place, part)
        first = self._next() is None or self._given + size < self._queue[0][0]
        if first and self.held + size <= self._bytes_max:
            return self._give(place, size)
        place.settle(self._loop.time())
        self._turns += 1
        place.waits_for, place.turn = size, self._turns
        heapq.heappush(self._queue, (self._given + size, self._turns, user))
        self._look()
        return 0

    def came(self, user: User) -> None:
        """The frame for which room was taken is here as a whole: from now on it waits for us."""
        place = self._places.get(user)
        if place is not None:
            place.begin_anew()

    def abandon(self, user: User) -> None:
        """The frame will not come as a whole: what was taken and is waited for is not needed."""
        place = self._places.get(user)
        if place is not None:
            place.waits_for, size = 0, place.coming
            self.give_back(user, size)

    def give_back(self, user: User, size: int) -> None:
        """So many bytes of whole frames were taken."""
        place = self._places.get(user)
        if place is not None:
            self._free(place, size)
            if not place.held and not place.waits_for:
                del self._places[user]
            self._serve()

    def leave(self, user: User) -> None:
        """It needs none any more."""
        place = self._places.pop(user, None)
        if place is not None:
            self._free(place, place.held)
            self._serve()

    def _give(self, place: _Place, size: int) -> int:
        now = self._loop.time()
        place.settle(now)
        if not place.coming:
            place.since = now
        self.held += size
        self._given += size
        place.held += size
        place.coming += size
        return size

    def _free(self, place: _Place, size: int) -> None:
        place.settle(self._loop.time())
        size = min(size, place.held)
        place.held -= size
        self.held -= size
        place.coming = min(place.coming, place.held)
        if not place.coming:
            place.begin_anew()

    def _next(self) -> tuple[User, _Place] | None:
        while self._queue:
            _, turn, user = self._queue[0]
            place = self._places.get(user)
            if place is not None and place.turn == turn and place.waits_for:
                return user, place
            heapq.heappop(self._queue)
        return None

    def _serve(self) -> None:
        while (waiting := self._next()) is not None and self.held + waiting[1].waits_for <= self._bytes_max:
            user, place = waiting
            place.since = self._loop.time()  # it begins anew
            place.settle(place.since)
            size, place.waits_for = place.waits_for, 0
            self._give(place, size)
            user.room_given(size)
        self._look()

    def _look(self) -> None:
        """See to it that somebody looks who dawdles, if anybody waits then."""
        if self._queue and not self._looking:
            self._looking = True
            self._loop.call_at(self._loop.time() + _LOOK_S, self._end_the_late)

    def _end_the_late(self) -> None:
        self._looking = False
        for user, place in self._dawdlers():
            waiting = self._next()
            if waiting is None:
                break
            if self._is_late(place, waiting[1].waits_for):
                self.leave(user)
                user.give_way()
        if self._next() is not None:
            self._look()

    def _dawdlers(self) -> list[tuple[User, _Place]]:
        """Who is waited for, whoever had most first."""
        now = self._loop.time()
        coming = [(user, place) for user, place in self._places.items() if place.coming]
        if all(place.waits_for for _, place in coming):
            held = sum(place.held for _, place in coming)
            return [min(coming, key=lambda each: each[1].since)] if coming and held == self.held else []
        for _, place in coming:
            place.settle(now)
        return sorted((each for each in coming if not each[1].waits_for), key=lambda each: each[1].used, reverse=True)

    def _is_late(self, place: _Place, waited_for: int) -> bool:
        allowed = max(waited_for, limits.FRAME_BYTES_TARGET) * limits.ROOM_HELD_S
        return place.used > allowed or self._loop.time() - place.since >= limits.ROOM_S
