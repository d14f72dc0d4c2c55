"""The writer ids of one life of a replica, minted as they are needed.

Two documents that go on under one id are not told apart by anybody. So an edit block takes an id for its record and
gives it back at its end; of blocks that edit one record at the same time, each has another one. There are as many as
blocks of one record were ever open together, whatever number of edits is made.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from crdt_sync.errors import EditInProgress
from crdt_sync.limits import FOLLOWING_WRITERS_MAX, OVERLAPPING_EDITS_MAX


class Writers:
    """See the module. `mint` draws an id that nobody has used. Calls may come from any thread."""

    def __init__(self, mint: Callable[[], int]) -> None:
        self._mint = mint
        self._ids: list[int] = []
        self._taken: dict[str, set[int]] = {}  # by record
        self._lock = threading.Lock()

    @property
    def current(self) -> tuple[int, ...]:
        """The ids in use, the one that most edits are made under first."""
        return tuple(self._ids)

    def first(self) -> int:
        """The id that most edits are made under."""
        with self._lock:
            return self._id(0)

    def take(self, record: str) -> int:
        """An id that no other block of this record has now. Raises `EditInProgress` where too many are open."""
        with self._lock:
            taken = self._taken.setdefault(record, set())
            if len(taken) >= OVERLAPPING_EDITS_MAX:
                raise EditInProgress(
                    f"{OVERLAPPING_EDITS_MAX} edits of {record} are open at once", "Let some of them end first."
                )
            number = 0
            while (writer := self._id(number)) in taken:
                number += 1
            taken.add(writer)
            return writer

    def give_back(self, record: str, writer: int) -> None:
        """The block is over."""
        with self._lock:
            taken = self._taken[record]
            taken.discard(writer)
            if not taken:
                del self._taken[record]

    @contextmanager
    def taken(self, record: str) -> Iterator[int]:
        """An id for this record while the block runs."""
        writer = self.take(record)
        try:
            yield writer
        finally:
            self.give_back(record, writer)

    def abandon(self) -> None:
        """Somebody else writes under one of our ids (a copy of this store): none of them is taken again."""
        with self._lock:
            self._ids = []

    def is_ours(self, writer: int) -> bool:
        """Whether it is one of the ids in use, or one under which edits of a renewed record go on from there."""
        return any(0 <= writer - each < FOLLOWING_WRITERS_MAX for each in self.current)

    def _id(self, number: int) -> int:
        while len(self._ids) <= number:
            self._ids.append(self._mint())
        return self._ids[number]
