"""How much processor time a request may take, before whatever the worker is at is taken for a loop that never ends.

It follows the bytes that are gone through: the record as it is stored, and what is sent. Wall time is never counted:
how long the worker has to wait for a processor says nothing about the bytes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from crdt_sync import limits
from crdt_sync.runtime.worker.progress import Mark


@dataclass(frozen=True, slots=True)
class Budget:
    """Processor time for one request, in µs: for each step (one update, or loading one record), and for everything.

    `sizes` holds for each item the bytes of its record and its updates. `again`: the worker died of it before, and it
    is now tried alone. `short`: what takes longer than `QUICK_STEP_US` is tried elsewhere.
    """

    sizes: Sequence[int]
    again: bool = False
    short: bool = False

    @property
    def whole_us(self) -> int:
        """What all steps may take together."""
        return self._us(sum(self.sizes))

    def step_us(self, mark: Mark | None) -> int:
        """What the step may take that the worker is at."""
        if self.short and mark is not None:
            return limits.QUICK_STEP_US
        return self.whole_us if mark is None or mark.item >= len(self.sizes) else self._us(self.sizes[mark.item])

    def _us(self, size: int) -> int:
        once = limits.INTEGRATION_US + limits.INTEGRATION_US_PER_KIB * size // limits.KIB
        return once * limits.INTEGRATION_AGAIN_FACTOR if self.again else once
