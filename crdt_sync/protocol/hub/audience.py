"""Who of those that hold some records and not others is to hear of what was committed.

Rules:

1. The log is read once for all of them, up to `position`. Whoever may hold a record that changed, or may have held it
   before, is woken where it stands, and reads on by itself. All others are not looked at: a change costs what its
   record's places cost, however many sessions there are.
2. A session at rest stands at `position`, wherever that is. One that is not stands where it says, and is `concerned`.
"""

from collections.abc import Collection

from crdt_sync import limits
from crdt_sync.policy.index import Index
from crdt_sync.policy.values import Whereabouts
from crdt_sync.protocol.live_pages import LivePages
from crdt_sync.protocol.selecting import places_of
from crdt_sync.protocol.serving_selected import SelectedServing
from crdt_sync.protocol.sight import Sights
from crdt_sync.protocol.source import AcceptorSource


class Audience:
    """See the module."""

    def __init__(self, source: AcceptorSource, live: LivePages, sights: Sights) -> None:
        self._source = source
        self._live = live
        self._sights = sights
        self._index: Index[int] = Index()
        self._sessions: dict[int, SelectedServing] = {}
        self._awake: dict[int, None] = {}
        self._position = 0

    def __len__(self) -> int:
        return len(self._sessions)

    def position(self) -> int:
        """How far those who follow may read."""
        return self._position

    def join(self, session: int, serving: SelectedServing) -> None:
        """A session follows, or may hold something else than before."""
        if not self._sessions:
            self._position = self._source.followed()
        self._sessions[session] = serving
        self._index.put(session, serving.sight.cells)

    def leave(self, session: int) -> None:
        """A session is over."""
        if self._sessions.pop(session, None) is not None:
            self._index.remove(session)
            self._awake.pop(session, None)

    def note(self, session: int) -> None:
        """Something was done with a session: it may be at rest now, or no more."""
        serving = self._sessions.get(session)
        if serving is None or serving.at_rest:
            self._awake.pop(session, None)
        else:
            self._awake[session] = None

    def holders(self, record: str) -> Collection[int]:
        """The sessions that may hold a record."""
        where = self._sights.whereabouts(record, 0) if self._sessions else None
        return () if where is None else self._index.reached(record, where.forms)

    def concerned(self) -> list[int]:
        """Read on in the log; the sessions that may have something to send. Raises `StoreError`."""
        if self._sessions:
            self._advance()
        return [session for session in self._awake if self._sessions[session].wants_room]

    def _advance(self) -> None:
        followed = self._source.followed()
        while self._position < followed:
            page = self._live.after(self._position, limits.FRAME_BYTES_TARGET)
            if page is None:  # compaction was there
                self._wake(self._sessions)
                self._position = followed
                return
            found: set[int] = set()
            for record, where in places_of(page, self._position, self._sights).items():
                if where is not None:
                    found |= self._reached(record, where)
            self._wake(dict.fromkeys(sorted(found)))
            self._position = page.cursor

    def _reached(self, record: str, where: Whereabouts) -> set[int]:
        return set().union(*(self._index.reached(record, forms) for forms in (where.forms, *where.left)))

    def _wake(self, sessions: "dict[int, None] | dict[int, SelectedServing]") -> None:
        for session in sessions:
            self._sessions[session].wake(self._position)
            self._awake[session] = None
