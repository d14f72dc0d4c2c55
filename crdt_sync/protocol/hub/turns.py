"""The turns of those who share them in one lane.

In a module of its own, as it is not compiled with the lanes: they keep it for as long as somebody has it, by a weak
reference, which compiled classes do not take.
"""

from dataclasses import dataclass, field
from typing import Generic, TypeVar

Who = TypeVar("Who")
"""A session that has pushed, see `Sender`."""


@dataclass(slots=True, eq=False, weakref_slot=True)
class Turns(Generic[Who]):
    """Those of all sessions of one share in one lane."""

    waiting: dict[Who, None] = field(default_factory=dict)  # of whom something waits, the next one first
    begun: int = 0  # the time of the lane at which the next piece would begin
    served: int = 0  # and the one at which all that was taken from them would be done
    place: int = 0  # the one in the lane that counts
