"""Updates that were integrated and are on their way to the disk: what the worker must find beside the store.

Invariant: what is found here is on disk soon, or is given up here at the same moment as in the hub. A commit that
fails takes all later ones with it, since they may build on it; what of them was still found here afterwards would be
integrated upon, and acknowledged, and is stored nowhere.
"""

from collections.abc import Sequence

from crdt_sync.protocol.hub import StoredUpdates


class Uncommitted:
    """See the module. Pure; used by the engine and by the simulator."""

    def __init__(self) -> None:
        self._generation = 0  # rises when everything is given up
        self._numbers: dict[int, int] = {}  # commit -> its generation
        self._waiting: dict[str, dict[int, tuple[bytes, ...]]] = {}  # by record and commit

    def __contains__(self, record: str) -> bool:
        return record in self._waiting

    def of(self, record: str) -> list[bytes]:
        """The updates of a record on their way, in order."""
        return [update for updates in self._waiting.get(record, {}).values() for update in updates]

    def begin(self, number: int, changes: Sequence[StoredUpdates]) -> None:
        """A commit was handed to the writer."""
        self._numbers[number] = self._generation
        for change in changes:
            self._waiting.setdefault(change.record, {})[number] = change.updates

    def end(self, number: int, changes: Sequence[StoredUpdates], *, failed: bool) -> None:
        """The commit is on disk, or was refused."""
        if self._numbers.pop(number) != self._generation:
            return  # given up with an earlier one
        if failed:
            self._generation += 1
            self._waiting.clear()
            return
        for change in changes:
            waiting = self._waiting[change.record]
            del waiting[number]
            if not waiting:
                del self._waiting[change.record]
