"""Rounds: all who follow are told what is new, and what comes meanwhile waits for the next round."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable

from crdt_sync.runtime.hosting.fair_queue import FairQueue
from crdt_sync.runtime.hosting.flow import Flow

_REST_US = 25  # after each frame to a follower, twice what it took: pushes go on meanwhile, and what is new is joined
_MUCH = 16  # updates of one round: whoever makes so many makes more
_LONGER = 4  # times as long a rest then, from the end of the round on, for larger frames and fewer
_LONGER_US_MAX = 20_000  # up to there: nobody sees that
_AT_ONCE = 32  # followers of one turn: half a millisecond or more, most of it for the system to send


class Rounds:
    """`followers` names the sessions that have something to hear, `fill` tells one of them the next piece.

    After a round there is none for `rest_us` for each follower of it, longer where much comes, as the numbers tell
    that `newest` gives. `at_once` are told in one step: first `alike` tells as many of them as it can together, and
    returns the others.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        queue: FairQueue,
        followers: Callable[[], Iterable[int]],
        fill: Callable[[int], None],
        rest_us: int | None = None,
        at_once: int = _AT_ONCE,
        alike: Callable[[Iterable[int]], Iterable[int]] = lambda sessions: sessions,
        newest: Callable[[], int] = lambda: 0,
    ) -> None:
        self._loop = loop
        self._queue = queue
        self._followers = followers
        self._fill = fill
        self._rest_us = _REST_US if rest_us is None else rest_us
        self._at_once = at_once
        self._alike = alike
        self._find_newest = newest
        self._flow = Flow()
        self._left: deque[int] = deque()  # of the round under way
        self._others: deque[int] = deque()  # of this step, who are told one by one
        self._newest = 0  # when the last one began
        self._again = False  # something is new since the one under way began
        self._timer: asyncio.TimerHandle | None = None
        self._then_us = 0  # that the rest is to last when the round under way has ended
        self._rests_until = 0.0  # loop time before which no round begins

    def begin(self) -> None:
        """Something is new: tell it now, or after the rest that the last round has earned the others."""
        if self._left or self._others:
            self._again = True
        elif self._timer is None:
            rest_s = self._rests_until - self._loop.time()
            if rest_s <= 0:
                self._begin()
            else:
                self._timer = self._loop.call_later(rest_s, self._begin)

    def stop(self) -> None:
        """Begin no other round."""
        self._left.clear()
        self._others.clear()
        self._again = False
        if self._timer is not None:
            self._timer.cancel()

    def _begin(self) -> None:
        self._timer = None
        before, self._newest = self._newest, self._find_newest()
        self._left.extend(self._followers())
        rest_us = len(self._left) * self._rest_us
        self._rests_until = self._loop.time() + rest_us / 1e6
        self._then_us = min(_LONGER * rest_us, _LONGER_US_MAX) if self._newest - before >= _MUCH else 0
        self._tell()

    def _tell(self) -> None:
        try:
            if not self._others:
                step = [self._left.popleft() for _ in range(min(self._at_once, len(self._left)))]
                self._others.extend(self._alike(step))
            while self._others:
                self._fill(self._others.popleft())
        finally:  # whoever cannot be told keeps nobody else from hearing, now or later
            if self._left or self._others:
                self._loop.call_soon(self._queue.take, self._flow, self._tell)
            else:
                self._end()

    def _end(self) -> None:
        if self._then_us:
            self._rests_until = max(self._rests_until, self._loop.time() + self._then_us / 1e6)
            self._then_us = 0
        if self._again:
            self._again = False
            self._timer = self._loop.call_at(self._rests_until, self._begin)  # which has failures of its own
