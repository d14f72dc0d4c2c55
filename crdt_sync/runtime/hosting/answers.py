"""What a session asks for that takes reading or digests: the answers, made beside all else, and handed to the hub.

Whatever cannot be read ends the session that asked, which comes back later.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog

from crdt_sync.errors import CrdtSyncError, StoreError
from crdt_sync.protocol.hub import Hub, MakeCheck, MakeReceipt, PinAudit, PinIndex
from crdt_sync.protocol.reconcile import View
from crdt_sync.replica.index import StoreIndex
from crdt_sync.runtime.hosting.audits import Audits
from crdt_sync.runtime.hosting.digests import Digests
from crdt_sync.runtime.worker.process import WorkerUnavailable
from crdt_sync.storage.port import Store

Asked = PinIndex | PinAudit | MakeCheck | MakeReceipt
_log = structlog.get_logger("crdt_sync.hosting")


@dataclass(frozen=True, slots=True)
class Answers:
    """See the module. `forget` has the workers load records anew, `unreadable` ends a session."""

    hub: Hub
    store: Store
    index: StoreIndex
    digests: Digests
    audits: Audits
    forget: Callable[[Sequence[str]], None]
    unreadable: Callable[[int, CrdtSyncError], None]
    now: Callable[[], int]

    async def answer(self, asked: Asked) -> None:
        """Hand the answer to the hub."""
        try:
            match asked:
                case PinIndex(session):
                    self.hub.pinned(session, await self._state_view(), self.now())
                case PinAudit(session, content):
                    view = await (self.audits.pin() if content else self._state_view())
                    self.hub.audit_pinned(session, view, self.now())
                case MakeCheck():
                    await self._check(asked)
                case MakeReceipt():
                    await self._receipt(asked)
        except (StoreError, WorkerUnavailable) as error:
            self.unreadable(asked.session, error)

    async def _state_view(self) -> View:
        try:
            await self.digests.refresh()
        except (StoreError, WorkerUnavailable) as error:
            # A digest that is missing makes its record be exchanged, which costs more and is right all the same.
            _log.warning("digests_stale", code=error.code)
        return await asyncio.get_running_loop().run_in_executor(None, self.index.pin)

    async def _check(self, asked: MakeCheck) -> None:
        entries = await self.audits.check(asked.records, mend=asked.mend)
        if asked.mend:  # what the partner sends now is judged by what is on disk, not by what the worker remembers
            self.forget(asked.records)
        self.hub.checked(asked.session, asked.number, self.store.head(), entries, self.now())

    async def _receipt(self, asked: MakeReceipt) -> None:
        await self.digests.refresh()
        root, head = self.store.root(), self.store.head()
        count, digest = root.count + root.stale, root.sum.to_bytes(32, "big")
        self.hub.receipt(asked.session, asked.number, head, count, digest, self.now())
