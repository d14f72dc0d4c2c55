"""What a run reads of this side's records."""

from typing import Protocol


class View(Protocol):
    """An ordered set of (record id, 16-byte state digest) that stays the same for the whole run.

    All ranges are `after < record <= through`; `through` None means up to the end.
    """

    def aggregate(self, after: str, through: str | None) -> tuple[int, int]:
        """How many records a range holds, and the sum of their leaves mod 2**256. In O(log n)."""

    def split(self, after: str, through: str | None, parts: int) -> list[str]:
        """Ascending inner bounds that cut a range of at least `parts` records into `parts` of about equal size."""

    def items(self, after: str, through: str | None, limit: int) -> list[tuple[str, bytes]]:
        """The first `limit` records of a range with their digests, ascending."""
