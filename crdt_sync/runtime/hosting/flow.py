"""What those who share their turns of the loop have used, and wait for.

In a module of its own, as it is not compiled with the queue: that keeps it for as long as somebody has it, by a weak
reference, which compiled classes do not take.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(slots=True, eq=False, weakref_slot=True)
class Flow:
    """What the sessions of one principal have used and what they wait for."""

    used_s: float = 0.0
    contention: int = 0  # the one in which that was used
    steps: deque[tuple[Callable[[], None], float]] = field(default_factory=deque)  # and what each counts at least
    queued: bool = False
