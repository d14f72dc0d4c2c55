"""Notes who calls a device that listens, and how far each caller has read: what `status` tells of them.

Rules:

1. What is noted may be older than what is so, and never newer: a death costs claims, and makes none up.
2. Who is here now is not forgotten for the sake of others, however many replicas somebody makes up.
3. Where one replica has two sessions, as copies of one store do, the newer one speaks for it.
4. The disk is written to once in `_EVERY_S` at most, whoever comes and goes, and in a thread of its own.
"""

import asyncio
import threading
from contextlib import suppress
from dataclasses import replace

from crdt_sync.errors import StoreError
from crdt_sync.limits import PARTNERS_MAX
from crdt_sync.protocol.agent import name_in
from crdt_sync.protocol.hub import Arrived, Stored
from crdt_sync.replica import Replica
from crdt_sync.replica.callers import Caller, callers, remembered
from crdt_sync.storage.values import Batch

_EVERY_S = 1.0


class NotedCallers:
    """The `Visits` of a device. Run `keep` while it listens, and call `write` once no session is left."""

    def __init__(self, replica: Replica) -> None:
        self._replica = replica
        self._known = callers(replica.store)
        self._newest: dict[bytes, int] = {}  # of each replica that is here, its newest session
        self._replicas: dict[int, bytes] = {}  # of each session
        self._news = asyncio.Event()
        self._writing = threading.Lock()

    def heard(self, said: Arrived | Stored) -> None:
        """See `Visits.heard`."""
        store, now = self._replica.store, self._replica.wall_clock()
        match said:
            case Arrived(session, replica, agent, cursor):
                self._replicas[session], self._newest[replica] = replica, session
                self._note(Caller(replica, name_in(agent), now, store.epoch, cursor, store.head()))
            case Stored(session, cursor):
                known = self._of(session)
                if known is not None:
                    self._note(replace(known, at=now, life=store.epoch, cursor=max(known.cursor, cursor)))

    def left(self, session: int) -> None:
        """See `Visits.left`."""
        known = self._of(session)
        if known is not None:
            self._note(replace(known, at=self._replica.wall_clock()))
            del self._newest[known.replica]
        self._replicas.pop(session, None)

    async def keep(self) -> None:
        """Write what is new, until cancelled."""
        while True:
            await self._news.wait()
            self._news.clear()
            await asyncio.to_thread(self.write)
            await asyncio.sleep(_EVERY_S)

    def write(self) -> None:
        """Write what is known now. What the disk refuses is written with what comes next."""
        with self._writing, suppress(StoreError):
            self._replica.store.commit([Batch(meta=remembered(dict(self._known)))])

    def _of(self, session: int) -> Caller | None:
        """Who speaks in this session, if it is the newest of that replica."""
        replica = self._replicas.get(session, b"")
        return self._known.get(replica) if self._newest.get(replica) == session else None

    def _note(self, caller: Caller) -> None:
        self._known[caller.replica] = caller
        if len(self._known) > PARTNERS_MAX:
            gone = min(self._known.values(), key=lambda known: (known.replica in self._newest, known.at))
            del self._known[gone.replica]
        self._news.set()
