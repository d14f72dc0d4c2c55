"""What applying a bundle needs of others: somebody who examines foreign updates where they can do no harm."""

from collections.abc import Sequence
from typing import Protocol

from crdt_sync.verdicts import Verdict


class Vetting(Protocol):
    """Examines updates against what is stored, in a process that may die of them."""

    def judge(
        self, updates: Sequence[tuple[str, Sequence[bytes]]], stamp_max: int | None, user: str | None = None
    ) -> Sequence[Sequence[Verdict]]:
        """A verdict for each update of each (record, updates), in order. Stamps beyond `stamp_max` are refused, and
        where a policy is in force what `user` may not write; None: what whose device this is may not.
        """

    def trim(self, updates: Sequence[tuple[str, bytes, bytes]]) -> Sequence[bytes | None]:
        """For each (record, update, state vector) what the state vector does not cover; None for what is no update."""
