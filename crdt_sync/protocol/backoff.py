"""When to try again: exponential back-off with full jitter, and the partner's own wish before it."""

from typing import TYPE_CHECKING

from crdt_sync.limits import BACKOFF_US_FIRST, BACKOFF_US_MAX

if TYPE_CHECKING:
    import random


class Backoff:
    """Delays between attempts, in microseconds.

    Full jitter (a uniform draw up to the ceiling) spreads a thousand devices that lost one relay at one instant;
    source: Brooker, "Exponential Backoff And Jitter", 2015.
    """

    def __init__(self, rng: "random.Random") -> None:
        self._rng = rng
        self._attempts = 0

    def succeeded(self) -> None:
        """A session was established: start from the shortest delay again."""
        self._attempts = 0

    def delay_us(self, retry_after_us: int | None = None) -> int:
        """How long to wait before the next attempt; never less than the partner asked for."""
        ceiling = min(BACKOFF_US_MAX, BACKOFF_US_FIRST << min(self._attempts, 16))
        self._attempts += 1
        wish = min(retry_after_us or 0, BACKOFF_US_MAX)
        return wish + self._rng.randrange(ceiling + 1)
