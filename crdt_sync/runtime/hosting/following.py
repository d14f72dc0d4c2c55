"""Up to where followers may read the log while commits are on their way: a host tells of no number before its answer.

Behind what was told, others may have committed, and so may the next of ours that nobody was told of.
"""

from collections.abc import Sequence

from crdt_sync.replica import StoreSource
from crdt_sync.storage.port import Log


class Following:
    """See the module. Pure; used by the engine and by the simulator."""

    def __init__(self, store: Log, source: StoreSource) -> None:
        self._store = store
        self._source = source
        self._under_way = 0

    def begin(self) -> None:
        """A commit is handed to the writer."""
        if not self._under_way:
            self._source.followed_max = self._store.head()
        self._under_way += 1

    def committed(self, seqs: Sequence[Sequence[int]]) -> None:
        """It is on disk; `seqs` are the log's numbers per change and update."""
        self._under_way -= 1
        newest = max(self._source.followed(), *(max(numbers) for numbers in seqs))
        self._source.followed_max = newest if self._under_way else None

    def failed(self) -> None:
        """It was refused. It may be on disk all the same: nobody will be told of it."""
        self._under_way -= 1
        self._source.followed_max = None
