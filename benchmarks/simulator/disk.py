"""The virtual disk: a `MemoryStore` whose commits can fail, and which tells what became durable."""

import random
from collections.abc import Callable, Sequence

from crdt_sync.errors import StoreFailed, StoreFull
from crdt_sync.storage.memory import MemoryStore
from crdt_sync.storage.port import Batch, Committed

Fault = Callable[["Disk"], str]
"""What goes wrong with a commit: nothing (""), "full", "failed", "found" (it failed, and is nevertheless found whole),
"crash before" or "crash after" it became durable."""


class Crashed(Exception):
    """The process that used `disk` died in a commit."""

    def __init__(self, disk: "Disk") -> None:
        super().__init__("crashed in a commit")
        self.disk = disk


class Disk(MemoryStore):
    """See the module. `fault` is asked at every commit; `durable` hears of every batch that was stored."""

    def __init__(self, replica: bytes | None, rng: random.Random) -> None:
        super().__init__(replica, rng)
        self.fault: Fault | None = None
        self.durable: Callable[[Disk, Sequence[Batch]], None] | None = None
        self.commits = 0

    def clone(self) -> "Disk":
        """What a restart finds."""
        twin = Disk(self._replica, self._rng)
        twin._take(self._content.clone())
        twin.fault, twin.durable = self.fault, self.durable
        return twin

    def commit(self, batches: Sequence[Batch]) -> list[Committed]:
        """See `Store.commit`; fails when the fault plan says so."""
        fault = self.fault(self) if self.fault is not None else ""
        if fault == "full":
            raise StoreFull("the virtual disk is full")
        if fault == "failed":
            raise StoreFailed("the virtual disk failed")
        if fault == "crash before":
            raise Crashed(self)
        committed = super().commit(batches)
        self.commits += 1
        if self.durable is not None:
            self.durable(self, batches)
        if fault == "crash after":
            raise Crashed(self)
        if fault == "found":
            raise StoreFailed("the virtual disk failed, and wrote everything")
        return committed
