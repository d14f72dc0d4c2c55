"""Hybrid logical clocks: stamps in microseconds that never go back (Kulkarni et al., 2014)."""

import threading
from collections.abc import Callable

from crdt_sync.limits import STAMP_FOLLOWED_US_MAX, STAMP_MAX


class HybridClock:
    """Gives strictly rising stamps that stay close to real time.

    `now` returns wall-clock microseconds since 1970 and may jump either way. `offset` is what the handshake
    measured between this device's clock and the relay's; it corrects a wrong device clock.
    """

    def __init__(self, now: Callable[[], int], last: int = 0, offset: int = 0) -> None:
        self._now = now
        self.last = last
        self.offset = offset
        self._ticking = threading.Lock()  # edits of several threads get different stamps

    def now(self) -> int:
        """Corrected wall-clock time in microseconds; may repeat or go back."""
        return max(0, self._now() + self.offset)

    def latest(self) -> int:
        """The stamp of now: nothing that was written or observed here comes after it."""
        return max(self.now(), self.last)

    def tick(self) -> int:
        """The next stamp: `max(now, last + 1)`, below 2**53."""
        with self._ticking:
            self.last = min(max(self.now(), self.last + 1), STAMP_MAX)
            return self.last

    def observe(self, stamp: int) -> None:
        """Take note of a stamp seen elsewhere, so that the next write comes after it.

        One far ahead of corrected time is a wrong clock's: following it would have our own writes refused.
        """
        with self._ticking:
            if self.last < stamp <= self.now() + STAMP_FOLLOWED_US_MAX:
                self.last = min(stamp, STAMP_MAX - 1)

    def correct(self, offset: int) -> None:
        """Set the offset to a trusted clock and forget stamps that lie ahead of corrected time."""
        with self._ticking:
            self.offset = offset
            self.last = min(self.last, self.now())
