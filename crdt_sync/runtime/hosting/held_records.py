"""What is held of records, stored or on its way to the disk: for the workers, the hub, and what counts."""

from collections.abc import Callable, Sequence

from crdt_sync.errors import StoreCorrupt, StoreError
from crdt_sync.runtime.hosting.tails import length
from crdt_sync.runtime.hosting.uncommitted import Uncommitted
from crdt_sync.runtime.worker.ruling import standing_at
from crdt_sync.storage.port import LoggedRecords


class HeldRecords:
    """See the module. `corrupt` hears of damage that is met."""

    def __init__(self, store: LoggedRecords, uncommitted: Uncommitted, corrupt: Callable[[StoreCorrupt], None]) -> None:
        self._store = store
        self._uncommitted = uncommitted
        self._corrupt = corrupt

    def load(self, record: str) -> Sequence[bytes]:
        """The updates of a record, in order. Raises `StoreError`."""
        try:
            stored = self._store.load(record).updates
        except StoreCorrupt as corrupt:
            self._corrupt(corrupt)
            raise
        return [*stored, *self._uncommitted.of(record)] if record in self._uncommitted else stored

    def seq(self, record: str) -> int:
        """Where a record stands in the log, 0 for nowhere. Raises `StoreError`."""
        return standing_at(self._store, record)

    def tail(self, record: str) -> int:
        """How long the tail of a record's updates is, see `tails.length`."""
        try:
            head = self._store.record_head(record)
        except StoreError:
            return 0  # what is wrong with the record shows when it is loaded
        return length(head.tail, head.tail_bytes) if head is not None else 0

    def is_known(self, record: str) -> bool:
        """Whether a record is there, be it damaged."""
        try:
            return record in self._uncommitted or self._store.record_head(record) is not None
        except StoreError:
            return True
