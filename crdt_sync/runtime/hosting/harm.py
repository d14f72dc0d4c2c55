"""What the log says of harm: which record, and who did it, as far as their sessions are known."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from crdt_sync.protocol.quotas import Owner
from crdt_sync.runtime.hosting.logs import Log
from crdt_sync.runtime.worker.values import WorkedOn

_NAMED_MAX = 8  # senders in one line of the log


class Named(Protocol):
    """A link, of which the log says whose it is."""

    def named(self) -> Mapping[str, str]:
        """See `Link.named`."""


class Harm:
    """See the module. `links` are those of all sessions, until what they pushed was decided on."""

    def __init__(self, log: Log, links: Mapping[int, Named]) -> None:
        self._log = log
        self._links = links

    def named(self, sessions: Sequence[int]) -> dict[str, object]:
        """Who these are, for a line of the log: one by its fields, several in a list."""
        found = [link.named() for session in sessions if (link := self._links.get(session)) is not None]
        if len(found) == 1:
            return {**found[0]}
        return {"senders": found[:_NAMED_MAX]} if found else {}

    def quota_reached(self, session: int, owner: Owner, limit: str) -> None:
        """A session is refused more, as that owner has used what it may."""
        self._log.warning("quota_reached", session=session, of=owner.kind, limit=limit, **self.named((session,)))

    def worker_died(self, reason: str, at: WorkedOn) -> None:
        """A worker ended while it worked on that."""
        record = {"record": at.record} if at.record else {}
        self._log.warning("worker_died", reason=reason, **record, **self.named(at.sessions))

    def unloadable(self, found: WorkedOn) -> None:
        """A record is stored that no worker can load."""
        hint = "pushes to it are answered retry: see verify --repair"
        self._log.error("unloadable_record", record=found.record, hint=hint, **self.named(found.sessions))
