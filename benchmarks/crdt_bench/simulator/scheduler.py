"""Virtual time: events in order of their time, and processes that wait in it.

Nothing here reads a clock. Events of one instant run in the order in which they were scheduled, so a run depends
on its seed alone.
"""

from collections import deque
from collections.abc import Callable, Generator
from heapq import heappop, heappush
from typing import Any

Process = Generator["int | Turn", None, None]


class Host:
    """Something that can crash: what was scheduled for it does not happen after `alive` is false."""

    alive = True


class Turn:
    """A lock that processes wait for in order."""

    def __init__(self) -> None:
        self.taken = False
        self.waiting: deque[Callable[[], None]] = deque()


class Scheduler:
    """The events to come. Times are microseconds since the run began."""

    def __init__(self) -> None:
        self.now = 0
        self.events = 0
        self._heap: list[tuple[int, int, Host | None, Callable[..., None], tuple[Any, ...]]] = []
        self._number = 0

    def __len__(self) -> int:
        return len(self._heap)

    def after(self, delay: int, host: Host | None, action: Callable[..., None], *arguments: Any) -> None:
        """Call `action(*arguments)` in `delay` microseconds, unless `host` has crashed by then."""
        self._number += 1
        heappush(self._heap, (self.now + delay, self._number, host, action, arguments))

    def step(self) -> bool:
        """Run the next event; whether there was one."""
        heap = self._heap
        while heap:
            time, _, host, action, arguments = heappop(heap)
            if host is not None and not host.alive:
                continue
            self.now = time
            self.events += 1
            action(*arguments)
            return True
        return False

    def start(self, host: Host, process: Process) -> None:
        """Run a process: it yields the microseconds it sleeps, or a `Turn` that it wants; see `release`."""
        self._advance(host, process)

    def release(self, turn: Turn) -> None:
        """Give a turn back; the next process in line gets it."""
        if turn.waiting:
            turn.waiting.popleft()()
        else:
            turn.taken = False

    def _advance(self, host: Host, process: Process) -> None:
        try:
            wish = next(process)
        except StopIteration:
            return
        if isinstance(wish, int):
            self.after(wish, host, self._advance, host, process)
        elif wish.taken:
            wish.waiting.append(lambda: self.after(0, host, self._advance, host, process))
        else:
            wish.taken = True
            self.after(0, host, self._advance, host, process)
