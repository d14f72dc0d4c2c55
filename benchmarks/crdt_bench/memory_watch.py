"""The most memory that a process took, seen from outside."""

import threading
from collections.abc import Callable
from typing import Self

from crdt_bench.usage import usage_of


class MemoryWatch:
    """The most bytes that a process and those below it held by themselves, while the block lasts: a thread samples.

    `pid` says which process it is at the moment, None while there is none.
    """

    def __init__(self, pid: Callable[[], int | None], every_s: float) -> None:
        self.most = 0
        self._pid = pid
        self._every_s = every_s
        self._ended = threading.Event()
        self._sampler = threading.Thread(target=self._sample)

    def now(self) -> int:
        """What it holds at this moment."""
        pid = self._pid()
        held = 0 if pid is None else usage_of(pid).private_bytes
        self.most = max(self.most, held)
        return held

    def __enter__(self) -> Self:
        self._sampler.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._ended.set()
        self._sampler.join()

    def _sample(self) -> None:
        while not self._ended.wait(self._every_s):
            self.now()
