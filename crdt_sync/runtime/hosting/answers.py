"""What a session asks for that takes reading or digests: the answers, made beside all else, and handed to the hub.

Whatever cannot be read ends the session that asked, which comes back later.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from crdt_sync.errors import CrdtSyncError, StoreError
from crdt_sync.protocol.hub import Hub, MakeCheck, MakeReceipt, PinAudit, PinIndex
from crdt_sync.protocol.reconcile import Pinned, View
from crdt_sync.protocol.sight import Sight
from crdt_sync.replica.held import held_root, held_view, part_of
from crdt_sync.replica.index import UNKNOWN_TO_ACCEPTOR, StoreIndex
from crdt_sync.replica.sights import StoreSights
from crdt_sync.runtime.hosting.audits import Audits
from crdt_sync.runtime.hosting.digests import Digests
from crdt_sync.runtime.hosting.logs import LOG, Log
from crdt_sync.runtime.worker.process import WorkerUnavailable
from crdt_sync.storage.port import Store

Asked = PinIndex | PinAudit | MakeCheck | MakeReceipt


@dataclass(frozen=True, slots=True)
class Answers:
    """See the module. `forget` has the workers load records anew, `unreadable` ends a session, and `sights` tells which
    records one may hold that may not hold all.
    """

    hub: Hub
    store: Store
    index: StoreIndex
    digests: Digests
    audits: Audits
    forget: Callable[[Sequence[str]], None]
    unreadable: Callable[[int, CrdtSyncError], None]
    now: Callable[[], int]
    sights: StoreSights | None = None
    log: Log = LOG

    async def answer(self, asked: Asked) -> None:
        """Hand the answer to the hub."""
        try:
            match asked:
                case PinIndex(session):
                    self.hub.pinned(session, await self._state_view(session), self.now())
                case PinAudit(session, content):
                    view = await (self._content_view(session) if content else self._state_view(session))
                    self.hub.audit_pinned(session, view, self.now())
                case MakeCheck():
                    await self._check(asked)
                case MakeReceipt():
                    await self._receipt(asked)
        except (StoreError, WorkerUnavailable) as error:
            self.unreadable(asked.session, error)

    async def _content_view(self, session: int) -> View:
        sight, sights = self.hub.sight(session), self.sights
        view = await self.audits.pin()
        if sight is None or sights is None:
            return view
        return await asyncio.to_thread(lambda: part_of(view, sights.held(sight)))

    async def _state_view(self, session: int) -> View:
        try:
            await self.digests.refresh()
        except (StoreError, WorkerUnavailable) as error:
            # A digest that is missing makes its record be exchanged, which costs more and is right all the same.
            self.log.warning("digests_stale", code=error.code)
        sight = self.hub.sight(session)
        pin = self.index.pin if sight is None else partial(self._held_view, sight)
        return await asyncio.get_running_loop().run_in_executor(None, pin)

    def _held_view(self, sight: Sight) -> Pinned:
        assert self.sights is not None, "it gave the sight"
        return held_view(self.store, self.sights.held(sight), UNKNOWN_TO_ACCEPTOR)

    async def _check(self, asked: MakeCheck) -> None:
        entries = await self.audits.check(asked.records, mend=asked.mend)
        if asked.mend:  # what the partner sends now is judged by what is on disk, not by what the worker remembers
            self.forget(asked.records)
        self.hub.checked(asked.session, asked.number, self.store.head(), entries, self.now())

    async def _receipt(self, asked: MakeReceipt) -> None:
        await self.digests.refresh()
        root, head = self.store.root(), self.store.head()
        count, digest = root.count + root.stale, root.sum.to_bytes(32, "big")
        sight, sights = self.hub.sight(asked.session), self.sights
        if sight is not None and sights is not None:
            count, digest = await asyncio.to_thread(lambda: held_root(self.store, sights.held(sight)))
        self.hub.receipt(asked.session, asked.number, head, count, digest, self.now())
