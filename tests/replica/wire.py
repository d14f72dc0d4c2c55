"""A relay in memory on virtual time, that is started again, wiped and put back."""

import random
from collections.abc import Callable

from crdt_bench.minimal.host import MinimalHost
from crdt_bench.minimal.line import URL, Line, exchange
from crdt_sync.storage.memory import MemoryStore

__all__ = ["URL", "Line", "MemoryRelay", "VirtualTime", "exchange"]


class VirtualTime:
    """Microseconds since 1970 that pass only when a test says so, but a little at each reading of a clock."""

    def __init__(self, now: int = 1_700_000_000_000_000) -> None:
        self.now = now

    def clock(self, skew_us: int = 0) -> Callable[[], int]:
        """A clock that is `skew_us` ahead."""

        def read() -> int:
            self.now += 1
            return self.now + skew_us

        return read


class MemoryRelay(MinimalHost):
    """A host over a store in memory, whose process can end and begin again; with that, every line is cut."""

    store: MemoryStore

    def __init__(self, time: VirtualTime, store: MemoryStore | None = None, rng: random.Random | None = None) -> None:
        self.time = time
        self._rng = rng or random.Random(0)
        self.open(store or MemoryStore(rng=self._rng))

    def open(self, store: MemoryStore) -> None:
        """Begin a new life over `store`."""
        super().__init__(store, lambda: self.time.now, self.time.clock())

    def restart(self) -> None:
        """Crash and open again: what was committed is there."""
        self.open(self.store.clone())

    def wipe(self) -> None:
        """Begin with an empty store and a new replica id."""
        self.open(MemoryStore(rng=self._rng))

    def put_back(self, backup: MemoryStore) -> None:
        """Begin with an old state of the store, which nobody tells that it is old."""
        self.open(backup)
