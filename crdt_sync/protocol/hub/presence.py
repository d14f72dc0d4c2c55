"""Who has which record open, and which sessions are to be told: the newest state only, when there is room. Pure."""

from collections import Counter
from collections.abc import Iterable

from crdt_sync.limits import PRESENCE_ENTRIES_MAX
from crdt_sync.protocol.messages import PresenceEntry


class OpenRecords:
    """What all sessions of one hub have open."""

    def __init__(self) -> None:
        self._sessions: dict[int, tuple[PresenceEntry, ...]] = {}
        self._open: Counter[PresenceEntry] = Counter()  # what anybody has open, and how many sessions do
        self._sorted: list[PresenceEntry] | None = None
        self._due: set[int] = set()  # what others have open has changed since these were told
        self._told: set[int] = set()
        self._unnamed: dict[int, None] = {}

    def opened(self, session: int, entries: tuple[PresenceEntry, ...], followers: Iterable[int]) -> None:
        """A session says what it has open now; the other `followers` are to be told if that is anything new."""
        entries = tuple(dict.fromkeys(entries))
        before = self._sessions.get(session, ())
        if entries == before:
            return
        for entry in before:
            self._open[entry] -= 1
            if not self._open[entry]:
                del self._open[entry]
        self._open.update(entries)
        self._sorted = None
        self._sessions[session] = entries
        for other in followers:
            if other != session:
                self.inform(other)

    def left(self, session: int, followers: Iterable[int]) -> None:
        """The session is over."""
        self.opened(session, (), followers)
        self._sessions.pop(session, None)
        self._due.discard(session)
        self._told.discard(session)
        self._unnamed.pop(session, None)

    def inform(self, session: int) -> None:
        """The session is to be told what is open, unless that is nothing and it knows of nothing."""
        if self._open or session in self._told:
            self._due.add(session)
            self._unnamed[session] = None

    def is_due(self, session: int) -> bool:
        """Whether there is anything new to tell the session."""
        return session in self._due

    def tell(self, session: int) -> tuple[PresenceEntry, ...]:
        """What everybody but the session has open: the first entries in order, a bounded number. It is told by that."""
        self._due.discard(session)
        self._told.add(session)
        if self._sorted is None:
            self._sorted = sorted(self._open)
        own = {entry for entry in self._sessions.get(session, ()) if self._open[entry] == 1}
        first = self._sorted[: PRESENCE_ENTRIES_MAX + len(own)]
        return tuple(entry for entry in first if entry not in own)[:PRESENCE_ENTRIES_MAX]

    @property
    def unnamed(self) -> bool:
        """Whether `take_unnamed` names anybody."""
        return bool(self._unnamed)

    def take_unnamed(self) -> list[int]:
        """Sessions that are to be told, and were not named since that changed."""
        sessions, self._unnamed = self._unnamed, {}
        return list(sessions)
