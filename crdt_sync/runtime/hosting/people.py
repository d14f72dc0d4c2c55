"""Passes on what a space said to the sessions of an engine, renews their tokens, and ends those that may not stay.

What becomes known is told to all at once, so that who is out is out within a moment: it hears so as its space said it,
and then the bye. Who was let in without an identity, before there were any, ends then too.
"""

from collections.abc import Callable

from crdt_sync.errors import CrdtSyncError, IdentityRefused
from crdt_sync.identity.statements import Versions
from crdt_sync.protocol.acceptor import Refusal
from crdt_sync.protocol.hub import Hub
from crdt_sync.runtime.guests import IDENTITY_NEEDED, Guest, Identities
from crdt_sync.runtime.hosting.logs import LOG, Log

LOOK_S = 60.0  # between two looks at tokens that are due, and at who is out for another reason than news


class People:
    """See the module. `now` is steady, in microseconds; after each call the hub's effects are to be carried out."""

    def __init__(self, hub: Hub, now: Callable[[], int], log: Log = LOG) -> None:
        self._log = log
        self._hub = hub
        self._now = now
        self.identities: Identities | None = None
        self._guests: dict[int, Guest] = {}
        self._inside: set[int] = set()

    def came(self, session: int, guest: Guest | None) -> None:
        """Somebody has connected."""
        if guest is not None:
            self._guests[session] = guest

    def arrived(self, session: int) -> None:
        """Its hello was accepted."""
        self._inside.add(session)
        if self.identities is not None:
            self._renew(session)
            self._tell(session, self.identities)

    def left(self, session: int) -> None:
        """The session is over."""
        self._guests.pop(session, None)
        self._inside.discard(session)

    def said(self, session: int, statements: tuple[bytes, ...]) -> bool:
        """Its partner passes on what the space said; whether that may be news."""
        identities, guest = self.identities, self._guests.get(session)
        if identities is None or guest is None or guest.known is None:
            return False  # there is nobody here whom it could concern
        try:
            news = identities.hear(statements)
        except IdentityRefused as refusal:
            self._log.warning("statement_refused", session=session, reason=refusal.reason, error=refusal.message)
            self._hub.expel(session, "protocol_violation", f"said: {refusal.message}", None, self._now())
            news = True  # of what came with it
        except CrdtSyncError as error:
            self._log.warning("statement_not_kept", session=session, code=error.code, error=error.message)
            return False
        if news:
            self.changed()
        return news

    def changed(self) -> None:
        """What the space said is more than before: tell everybody, and end who may not stay."""
        for session in list(self._inside):
            if self.identities is not None:
                self._tell(session, self.identities)
        self.look()

    def look(self) -> None:
        """Renew what is due, and end who may not stay."""
        if self.identities is None:
            return
        for session in list(self._inside):
            guest = self._guests.get(session)
            refusal = IDENTITY_NEEDED if guest is None or guest.known is None else guest.check()
            if refusal is not None:
                self._end(session, refusal)
            else:
                self._renew(session)

    def _tell(self, session: int, identities: Identities) -> None:
        guest = self._guests.get(session)
        if guest is None or guest.known is None:
            return
        lacking = identities.statements.lacking(guest.known)
        if lacking and self._hub.say(session, lacking, self._now()):
            guest.known = Versions(*map(max, zip(guest.known, identities.statements.versions, strict=True)))

    def _renew(self, session: int) -> None:
        guest = self._guests.get(session)
        token = guest.due_token() if guest is not None else None
        if token is not None:
            self._hub.give_token(session, token, self._now())

    def _end(self, session: int, refusal: Refusal) -> None:
        self._log.info("session_ended_by_identity", session=session, code=refusal.code)
        self._hub.expel(session, refusal.code, refusal.message, refusal.retry_after_us, self._now())
