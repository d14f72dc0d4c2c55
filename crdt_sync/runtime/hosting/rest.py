"""Which records stayed as they were while something was computed of them: neither on disk nor on the way to it."""

from collections.abc import Callable, Sequence
from typing import Literal

from crdt_sync.errors import StoreCorrupt
from crdt_sync.storage.port import Records
from crdt_sync.storage.values import Head

FoundHead = Head | Literal["damaged"] | None
"""Where a record stands; None for one that is not held."""


class AtRest:
    """Looks at records of a store.

    `unstored` says whether updates of a record are on their way to the disk, and `failures` how many failed commits
    the engine was told of: what a failed commit held counts as unstored until then.
    """

    def __init__(self, store: Records, unstored: Callable[[str], bool], failures: Callable[[], int]) -> None:
        self._store = store
        self._unstored = unstored
        self._failures = failures

    def look(self, records: Sequence[str]) -> "Moment":
        """The records as they stand now. Raises `StoreError`."""
        return Moment(self, {record: self.head(record) for record in records}, self._failures())

    def head(self, record: str) -> FoundHead:
        """Where a record stands on disk."""
        try:
            return self._store.record_head(record)
        except StoreCorrupt:
            return "damaged"

    def still(self, record: str, head: FoundHead, failures: int) -> bool:
        """Whether that is how it stands, and nothing of it is on its way."""
        return not self._unstored(record) and self.head(record) == head and failures == self._failures()


class Moment:
    """How records stood when they were looked at."""

    def __init__(self, rest: AtRest, heads: dict[str, FoundHead], failures: int) -> None:
        self._rest = rest
        self._failures = failures
        self.heads = heads

    def lasts(self, record: str) -> bool:
        """Whether the record is the same now, and will be as long as nothing is awaited."""
        return self._rest.still(record, self.heads[record], self._failures)
