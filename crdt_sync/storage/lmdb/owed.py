"""The records that an encrypted store owes to each partner, in their order, in memory: on disk they have none.

Those of a partner are read when a long outbox is first paged through. What commits of this process put and take away
is told after each of them; where another process writes, they are read anew for each state that it commits.
"""

import threading
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Mapping

Changes = Mapping[tuple[bytes, bytes], bool]
"""(partner, record) to whether it is owed, of one commit."""


class Owed:
    """See the module. Thread-safe."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._names: dict[bytes, list[bytes]] = {}  # by partner, sorted; a list is never changed, but replaced
        self._changed: dict[bytes, dict[bytes, bool]] = {}  # of those partners, not taken into their lists yet
        self._state = 0  # the last transaction that is known

    def forget(self) -> None:
        """Know nothing: what was read may not be so any more."""
        with self._guard:
            self._names.clear()
            self._changed.clear()

    def told(self, changes: Changes, state: int) -> None:
        """A commit of this process, whose transaction has this number, changed that."""
        with self._guard:
            self._state = state
            for (partner, name), owed in changes.items():
                if partner in self._names:
                    self._changed.setdefault(partner, {})[name] = owed

    def page(
        self, read: Callable[[], list[bytes]], partner: bytes, state: int, start: bytes, beyond: bool, told: bool
    ) -> Iterator[bytes]:
        """Names from `start` on, or `beyond` it, sorted. `read` gives all of them, as they are in that state.

        `told`: of whatever is committed this is told, so that what was read before still holds.
        """
        with self._guard:
            if not told and state != self._state:
                self._names.clear()
                self._state = state
            names = self._merged(partner)
            if names is None:
                names = sorted(read())
                if state >= self._state:  # else a commit came in between, of which this would never hear
                    self._names[partner] = names
        place = bisect_right(names, start) if beyond else bisect_left(names, start)
        for at in range(place, len(names)):
            yield names[at]

    def _merged(self, partner: bytes) -> list[bytes] | None:
        names, changed = self._names.get(partner), self._changed.pop(partner, None)
        if names is not None and changed:
            left = [name for name in names if name not in changed]
            names = self._names[partner] = sorted(left + [name for name, owed in changed.items() if owed])
        return names
