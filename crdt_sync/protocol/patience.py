"""How long something has been waited for, but for the time in which the link was busy with what comes before it."""

from crdt_sync import limits


class Wait:
    """One wait. `came` is how many bytes the partner has sent in all; times are microseconds.

    Bytes that come stop the clock for as long as they take at `LINK_BYTES_PER_S_MIN`, but never for longer than they
    took: what comes fast buys nothing, apart from `BURST_US_MAX`, as bytes come in bursts. After `FRAME_BYTES_MAX` of
    them it runs whatever comes, because no more can be on its way before what is waited for.
    """

    __slots__ = ("_ahead", "_came", "_left", "_looked_at", "begun", "since")

    def __init__(self, now: int, came: int) -> None:
        self.begin(now, came)

    def begin(self, now: int, came: int) -> None:
        """Wait anew."""
        self.begun = now
        self.since = now  # moves on while the clock stands
        self._looked_at = now
        self._came = came
        self._left = limits.FRAME_BYTES_MAX
        self._ahead = 0  # time that was bought and has not passed yet

    def skip(self, start: int, now: int) -> None:
        """The time from `start` to `now` is not waited."""
        passed = now - max(start, self._looked_at)
        self.since += passed
        self._looked_at += passed

    def look(self, now: int, came: int) -> int:
        """Take note of what has come; returns `since`, from which the time that was waited counts."""
        counted = min(max(0, came - self._came), self._left)
        self._came = came
        self._left -= counted
        bought = self._ahead + counted * 1_000_000 // limits.LINK_BYTES_PER_S_MIN
        stood = min(bought, now - self._looked_at)
        self._ahead = min(bought - stood, limits.BURST_US_MAX)
        self._looked_at = now
        self.since += stood
        return self.since
