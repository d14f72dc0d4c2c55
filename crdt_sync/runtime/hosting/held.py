"""Sessions that are not read for a while, and which of them is read on when there is room again.

Rules:

1. Who has nothing under way comes before who has, and of those a short frame before a large one, for which there may be
   no room yet. Otherwise who came first.
2. A few are read on at a time: what each then takes decides whether there is room for the next.
3. Who is held back by what it asked for itself takes nobody's turn: it queues once that was answered.
4. Who waits for room in the slow lane takes no turn of others either: those have a queue of their own, until they go
   by that lane no more. A few of them are looked at each time, in turns.
"""

import asyncio
from itertools import islice
from typing import NamedTuple, Protocol

from crdt_sync.limits import TAKEN_FRAME_BYTES

_AT_ONCE = 4


class Rules(Protocol):
    """What is asked of the host."""

    def may_read(self, session: int, size: int) -> bool:
        """Whether a frame of that size may be taken from it now."""

    def held_by_itself(self, session: int) -> bool:
        """Whether none may, however much room there is: too much of its own is under way."""

    def waits_for_slow(self, session: int, size: int) -> bool:
        """Whether that may not because of what waits for the slow worker, of whomever."""

    def has_pushed(self, session: int) -> bool:
        """Whether pushes of it are under way."""


class _Held(NamedTuple):
    size: int
    reading: asyncio.Future[None]


class HeldSessions:
    """See the module. Call `answered` and `release` after all that may have made room."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._held: dict[int, _Held] = {}
        self._short: dict[int, None] = {}  # in the order of their turns
        self._first: dict[int, None] = {}
        self._then: dict[int, None] = {}
        self._slow: dict[int, None] = {}
        self._looked_at: dict[int, None] = {}  # those, in the order in which that was

    def __contains__(self, session: int) -> bool:
        return session in self._held

    def hold(self, session: int, size: int) -> "asyncio.Future[None]":
        """A frame of `size` bytes waits; the result is there when the session is looked at again, or has left."""
        reading: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._held[session] = _Held(size, reading)
        self._queue(session)
        return reading

    def answered(self, session: int) -> None:
        """Something that was under way for it is done."""
        if session in self._held:
            self._short.pop(session, None)
            self._first.pop(session, None)
            if not self._rules.has_pushed(session):
                self._then.pop(session, None)
            if session not in self._slow:
                self._queue(session)

    def leave(self, session: int) -> None:
        """Its session is over."""
        self._free(session)

    def release(self) -> None:
        """Read on from those whose turn it is, if there is room."""
        if not self._held:
            return
        if self._slow:
            self._look_at_slow()
        rules, left = self._rules, _AT_ONCE
        for queue in (self._short, self._first, self._then, self._slow):
            while queue and left:
                session = next(iter(queue))
                if rules.may_read(session, self._held[session].size):
                    self._free(session)
                    left -= 1
                elif rules.held_by_itself(session):
                    del queue[session]
                    self._looked_at.pop(session, None)
                elif queue is not self._slow and rules.waits_for_slow(session, self._held[session].size):
                    del queue[session]
                    self._slow[session] = self._looked_at[session] = None
                else:
                    break

    def _look_at_slow(self) -> None:
        """Who goes by the slow lane no more has its turn with all others."""
        for session in list(islice(self._looked_at, _AT_ONCE)):
            del self._looked_at[session]
            if self._rules.waits_for_slow(session, self._held[session].size):
                self._looked_at[session] = None
            else:
                del self._slow[session]
                self._queue(session)

    def _queue(self, session: int) -> None:
        if self._rules.held_by_itself(session):
            return
        if not self._rules.has_pushed(session):
            short = self._held[session].size <= TAKEN_FRAME_BYTES
            (self._short if short else self._first)[session] = None
        elif session not in self._then:
            self._then[session] = None

    def _free(self, session: int) -> None:
        self._short.pop(session, None)
        self._first.pop(session, None)
        self._then.pop(session, None)
        self._slow.pop(session, None)
        self._looked_at.pop(session, None)
        held = self._held.pop(session, None)
        if held is not None and not held.reading.done():
            held.reading.set_result(None)
