"""Who has which record open, and which sessions are to be told. Pure.

Rules:

1. Only the newest state is told, when there is room.
2. What sessions say is looked at once a round: what somebody says costs as much as it is long, however many listen.
3. A session is told what others have open, and nothing where that has not changed for it.
"""

import heapq
from collections import Counter
from collections.abc import Callable, Collection

from crdt_sync.limits import PRESENCE_ENTRIES_MAX
from crdt_sync.protocol.messages import PresenceEntry

Entries = tuple[PresenceEntry, ...]


class OpenRecords:
    """What all sessions of one hub have open."""

    def __init__(self) -> None:
        self._sessions: dict[int, Entries] = {}
        self._open: Counter[PresenceEntry] = Counter()  # what anybody has open, and how many sessions do
        self._first: Entries = ()  # of that, when the round began
        self._to_most: Entries = ()  # what is told to whoever has none of it open
        self._of_some: dict[int, list[PresenceEntry]] = {}  # of the round, by sessions that may not hold all records
        self._following: dict[int, None] = {}
        self.due: set[int] = set()  # who follows and was not told yet in this round
        self._told: dict[int, Entries] = {}  # by session, last
        self.changed = False  # since the round began: there is something to tell

    def opened(self, session: int, entries: Entries) -> None:
        """A session says what it has open now."""
        entries = tuple(dict.fromkeys(entries))
        before = self._sessions.get(session, ())
        if entries == before:
            return
        for entry in before:
            self._open[entry] -= 1
            if not self._open[entry]:
                del self._open[entry]
        self._open.update(entries)
        self._sessions[session] = entries
        self.changed = True

    def follow(self, session: int) -> None:
        """The session is to be told, from the next round on."""
        self._following[session] = None
        self.changed = self.changed or bool(self._open)

    def left(self, session: int) -> None:
        """The session is over."""
        self.opened(session, ())
        self._sessions.pop(session, None)
        self._following.pop(session, None)
        self.due.discard(session)
        self._told.pop(session, None)

    def begin_round(self, holders: Callable[[str], Collection[int]] | None = None) -> list[int]:
        """From now on, tell what is open now. Returns who is to be told.

        `holders` names who may hold a record, of the sessions that may not hold all: they are told of nothing else.
        """
        self.changed = False
        self._of_some = {}
        for entry in sorted(self._open) if holders is not None else ():
            for session in holders(entry.record) if holders is not None else ():
                found = self._of_some.setdefault(session, [])
                if len(found) < 2 * PRESENCE_ENTRIES_MAX:
                    found.append(entry)
        self._first = tuple(heapq.nsmallest(2 * PRESENCE_ENTRIES_MAX, self._open))  # a session has half of that
        self._to_most = self._first[:PRESENCE_ENTRIES_MAX]
        self.due = set(self._following)
        return list(self._following)

    def is_due(self, session: int) -> bool:
        """Whether there may be anything new to tell the session."""
        return session in self.due

    def tell(self, session: int, sees: Callable[[str], bool] | None = None) -> Entries | None:
        """What everybody but the session has open, the first entries in order; None: it knows. It is told by that.

        With `sees` it is told of records that it may hold, when the round began and now.
        """
        self.due.discard(session)
        mine = self._sessions.get(session, ())
        entries = self._to_most
        first = self._first
        if sees is not None:
            first = tuple(entry for entry in self._of_some.get(session, ()) if sees(entry.record))
            entries = first[:PRESENCE_ENTRIES_MAX]
        if mine:
            own = {entry for entry in mine if self._open[entry] == 1}
            entries = tuple(entry for entry in first if entry not in own)[:PRESENCE_ENTRIES_MAX]
        if entries == self._told.get(session, ()):
            return None
        self._told[session] = entries
        return entries
