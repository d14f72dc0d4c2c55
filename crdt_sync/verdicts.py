"""What became of an update of somebody else: one form from the gate, through the worker and the hub, to the sender."""

from enum import StrEnum
from typing import Final, NamedTuple


class VerdictCode(StrEnum):
    """What became of one update. Everything but `ACCEPTED` was not stored.

    The order is that of their numbers on the wire, from 0: new ones are added at the end.
    """

    ACCEPTED = "accepted"
    GAP = "gap"  # it builds on something that is missing; the verdict carries the state vector to diff against
    MALFORMED = "malformed"
    TOO_LARGE = "too_large"
    CLOCK_AHEAD = "clock_ahead"  # stamped too far in the future: stamp again and push again
    POISON = "poison"  # integrating it killed a worker twice, the second time alone in a fresh one
    QUOTA = "quota"
    FORBIDDEN = "forbidden"  # the sender may not write that
    RETRY = "retry"  # not examined or not stored now (full disk, failure); the same push may succeed later
    RATE_LIMITED = "rate_limited"  # faster than its sender may: see `RetryAfter`


class RetryAfter(NamedTuple):
    """After how many milliseconds a refused update is worth another try. `all`: no other is before that, either."""

    ms: int
    all: bool


class Touched(NamedTuple):
    """Which fields an update touches, sorted, and who else than its session's user signed entries in it, sorted.

    `_deleted` stands for deletes and restores, and other names with an underscore for what is remembered of imports
    and beginnings. Users whom the policy does not name are left out, and so is what cannot be the name of a field.
    """

    fields: tuple[str, ...] = ()
    authors: tuple[str, ...] = ()


class Verdict(NamedTuple):
    """What became of one update.

    `seq` is where it was stored (0: it brought nothing new, was refused, or is not stored yet); `state_vector` is what
    a sender is to diff against after a `GAP`; `reason` is text for people, and only a refusal has one. `new` is false
    where nothing changed, so that nothing need be stored. `touched` is told where a policy is in force and the update
    was read so far. Neither of the two travels. `retry_after` comes with `QUOTA`, and always with `RATE_LIMITED`.
    """

    code: VerdictCode
    seq: int = 0
    state_vector: bytes = b""
    reason: str = ""
    new: bool = False
    touched: Touched | None = None
    retry_after: RetryAfter | None = None

    @property
    def for_now(self) -> bool:
        """Whether the same push may succeed later, by itself."""
        if self.retry_after is not None and self.retry_after.all:
            return True
        return self.code in {VerdictCode.RETRY, VerdictCode.RATE_LIMITED}

    @property
    def told(self) -> str:
        """The refusal in one line, as it is kept and shown."""
        return f"{self.code}: {self.reason}"


def refused(code: VerdictCode, reason: str = "", touched: Touched | None = None) -> Verdict:
    """A refusal."""
    return Verdict(code, reason=reason, touched=touched)


POSTPONED: Final = Verdict(VerdictCode.RETRY, reason="it takes longer than others can wait: it comes after them")
"""Not examined, as it is more than a short turn: to be asked for again where it delays nobody, and sent to nobody."""

UNDECIDED: Final = Verdict(VerdictCode.RETRY, reason="not examined: it is to be told first whose its writers are")
"""Not examined: the gate was not told whose a writer is. To be asked for again with that, and sent to nobody."""
