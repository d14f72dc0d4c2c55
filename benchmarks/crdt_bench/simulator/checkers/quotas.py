"""What a space stores in a day is never more than it may, and is counted, however often its relay dies."""

from collections import Counter
from collections.abc import Sequence

from crdt_bench.simulator.failure import Failure
from crdt_sync import limits
from crdt_sync.protocol.quotas import SPACE, Allowance, Bounds, Rate, Usage
from crdt_sync.storage.values import Batch

DAY_US = 20_000_000
_SETTLED_US = 2_000_000  # what was taken yesterday is on disk by then
BOUNDS = Bounds(
    device=Allowance(bytes=4_100, records=15, growth=4_000),
    space=Allowance(bytes=4_200),
    device_rate=Rate(bytes=2_000, updates=10),
    burst_s=2,
)
"""Of a run with `STEPS_MAX` steps: any update is less than a day's, so that all is stored in the end."""
STEPS_MAX = 60


class StoredByDay:
    """The bytes of updates that the relay stored, by day."""

    def __init__(self) -> None:
        self._stored: Counter[int] = Counter()

    def stored(self, wall: int, batches: Sequence[Batch]) -> None:
        """These are on disk. Raises `Failure`."""
        day, after_us = divmod(wall, limits.QUOTA_DAY_US)
        if after_us < _SETTLED_US:
            return
        self._stored[day] += sum(
            len(update) for batch in batches for change in batch.changes for update in change.updates
        )
        most = BOUNDS.space.bytes
        if most is not None and self._stored[day] > most:
            raise Failure("quota", f"{self._stored[day]} bytes were stored on day {day}, {most} may be")

    def check_counted(self, wall: int, usage: Sequence[Usage]) -> None:
        """A relay has begun, and counts on from this. Raises `Failure`."""
        stored = self._stored[wall // limits.QUOTA_DAY_US]
        counted = next((each.bytes for each in usage if each.owner == SPACE), 0)
        if counted < stored:
            raise Failure("quota", f"{stored} bytes were stored today, and after a restart {counted} are counted")
