"""Turns at changing a store: one at a time, and what they announce is told once the turn is over.

Rules:

1. No turn is held while code of the user runs: not in an edit block, not in a listener.
2. Turns are given in the order in which they were asked for, so that a long catch-up keeps no edit waiting for long.
3. Who has the turn may ask for it again.
"""

import threading
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack
from types import TracebackType


class Turns:
    """Use it in a `with`. See the module."""

    def __init__(self) -> None:
        self._guard = threading.Lock()  # of what follows; held for a moment only
        self._holder: int | None = None  # the thread whose turn it is
        self._depth = 0
        self._waiting: deque[threading.Lock] = deque()
        self._given = 0  # turns that were handed to one who waited and has not begun yet
        self._afterwards: list[Callable[[], None]] = []  # what is to be told when this turn is over

    @property
    def is_ours(self) -> bool:
        """Whether this thread has the turn."""
        return self._holder == threading.get_ident()

    def afterwards(self, tell: Callable[[], None]) -> None:
        """Call `tell` once the turn is over; now, where this thread has none."""
        if self.is_ours:
            self._afterwards.append(tell)
        else:
            tell()

    def __enter__(self) -> None:
        if self.is_ours:
            self._depth += 1
            return
        with self._guard:
            free = self._holder is None and not self._given and not self._waiting
            if free:
                self._begin()
                return
            given = threading.Lock()
            given.acquire()
            self._waiting.append(given)
        try:
            given.acquire()
        except BaseException:  # an interrupt while we waited
            with self._guard:
                if given in self._waiting:
                    self._waiting.remove(given)
                else:  # it was our turn a moment ago
                    self._given -= 1
                    self._give()
            raise
        with self._guard:
            self._given -= 1
            self._begin()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._depth -= 1
        if self._depth:
            return
        told, self._afterwards = self._afterwards, []
        with self._guard:
            self._holder = None
            self._give()
        with ExitStack() as afterwards:  # each is called, whatever another one raises
            for tell in reversed(told):
                afterwards.callback(tell)

    def _begin(self) -> None:
        self._holder = threading.get_ident()
        self._depth = 1

    def _give(self) -> None:
        """Hand the turn to who has waited longest."""
        if self._waiting and self._holder is None and not self._given:
            self._given += 1
            self._waiting.popleft().release()
