"""Room for the bytes of all connections together: those that came and wait for us, or those that wait to be taken.

Rules:

1. Whoever needs room takes it beforehand, or waits for it. A frame is read once there is room for all of it, so that
   one that was begun can always end; until then it waits where it is. Nothing is dropped.
2. Next is whoever would be served first if all were served alike, a byte at a time: small frames go ahead of large
   ones, but not for ever.
3. Room is given back once a frame was taken, or can no longer come.
4. While somebody waits, nobody else keeps it waiting for `limits.ROOM_S`: who takes so long with a frame gives way. The
   time in which its frame waited for room itself does not count, unless all who have room wait for more: then it is
   the oldest of them that gives way.
"""

import heapq
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from crdt_sync import limits


class Timers(Protocol):
    """An event loop's clock and timers."""

    def time(self) -> float:
        """Seconds."""

    def call_at(self, when: float, callback: Callable[[], None]) -> object:
        """Call it then."""


class User(Protocol):
    """A connection."""

    def room_given(self) -> None:
        """There is the room now that it waited for."""

    def give_way(self) -> None:
        """Its frame takes too long, and others wait: it is to end."""


@dataclass(slots=True)
class _Place:
    """What somebody has, and what it waits for."""

    held: int = 0
    waits_for: int = 0
    turn: int = 0  # of what it waits for: an older one is in the queue in vain


class Room:
    """See the module. `bytes_max` for all together."""

    def __init__(self, loop: Timers, bytes_max: int) -> None:
        self._loop = loop
        self._bytes_max = bytes_max
        self._places: dict[User, _Place] = {}
        self._coming: dict[User, float] = {}  # since when the frame comes that is not here as a whole
        self._queue: list[tuple[int, int, User]] = []
        self._turns = 0
        self._given = 0  # bytes, ever
        self._timer: object = None
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
            self._give(user, place, size - place.held)
            self._look()

    def take(self, user: User, size: int) -> bool:
        """Whether there is room for `size` bytes more; if not, `room_given` is called once there is."""
        place = self._places.setdefault(user, _Place())
        if place.waits_for:
            return False
        first = self._next() is None or self._given + size < self._queue[0][0]
        if first and self.held + size <= self._bytes_max:
            self._give(user, place, size)
            self._look()
            return True
        self._turns += 1
        place.waits_for, place.turn = size, self._turns
        heapq.heappush(self._queue, (self._given + size, self._turns, user))
        self._look()
        return False

    def came(self, user: User) -> None:
        """The frame for which room was taken is here as a whole: from now on it waits for us."""
        self._coming.pop(user, None)

    def abandon(self, user: User, size: int) -> None:
        """The frame will not come as a whole: `size` bytes that were asked for are not needed."""
        self._coming.pop(user, None)
        place = self._places.get(user)
        if place is not None:
            size -= place.waits_for
            place.waits_for = 0
            self.give_back(user, size)

    def give_back(self, user: User, size: int) -> None:
        """So many bytes of whole frames were taken."""
        place = self._places.get(user)
        if place is not None:
            self._free(place, size)
            if not place.held and not place.waits_for:
                del self._places[user]
                self._coming.pop(user, None)
            self._serve()

    def leave(self, user: User) -> None:
        """It needs none any more."""
        self._coming.pop(user, None)
        place = self._places.pop(user, None)
        if place is not None:
            self._free(place, place.held)
            self._serve()

    def _give(self, user: User, place: _Place, size: int) -> None:
        self.held += size
        self._given += size
        place.held += size
        place.waits_for = 0
        self._coming.setdefault(user, self._loop.time())

    def _free(self, place: _Place, size: int) -> None:
        size = min(size, place.held)
        place.held -= size
        self.held -= size

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
            self._coming.pop(user, None)  # its time begins anew
            self._give(user, place, place.waits_for)
            user.room_given()
        self._look()

    def _look(self) -> None:
        """See to it that somebody looks when the oldest frame has taken too long, if anybody waits then."""
        if self._queue and self._coming and self._timer is None:
            now = self._loop.time()
            oldest = next((since for user, since in self._coming.items() if not self.waits(user)), now)
            self._timer = self._loop.call_at(oldest + limits.ROOM_S, self._end_the_late)

    def _end_the_late(self) -> None:
        self._timer = None
        if self._next() is not None:
            for user in self._late():
                self.leave(user)
                user.give_way()
        self._look()

    def _late(self) -> list[User]:
        coming = {user: since for user, since in self._coming.items() if not self.waits(user)}
        if not coming and sum(self._places[user].held for user in self._coming) == self.held:
            return list(self._coming)[:1]
        late = self._loop.time() - limits.ROOM_S
        return [user for user, since in coming.items() if since <= late]
