"""Audits by a host of sessions: views of content digests, and checks of records, without holding up live updates.

A content view costs about 300 µs a record. It is kept and followed by the feed, so that one partner, or many, cannot
have everything computed again and again; after `CONTENT_DIGESTS_AGE_US_MAX` it is made anew, because bytes that rot
do not show in the feed. A check always reads the bytes.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from crdt_sync import limits
from crdt_sync.protocol.messages import CheckedEntry, Standing
from crdt_sync.protocol.reconcile import Index, Pinned, View
from crdt_sync.records.updates import bytes_diff
from crdt_sync.records.updates import state_vector as vectors
from crdt_sync.replica import Replica
from crdt_sync.replica.audit import check, content_digest, standing
from crdt_sync.runtime.hosting.rest import AtRest
from crdt_sync.runtime.worker.pool import IntegrationPool
from crdt_sync.runtime.worker.values import RecordDigest
from crdt_sync.storage.port import LoggedRecords, Store
from crdt_sync.storage.values import Batch, Change, Head
from crdt_sync.storage.writer import Writer

UNREADABLE_THERE = b"\xfd" * 16  # of a record that cannot be read: it must not seem equal to anything
_PAGE = 256
_MENDED = frozenset({Standing.DISAGREES, Standing.UNREADABLE})
_ROUNDS_MAX = 3  # a record that changes while it is read is read again so often

Compute = Callable[[Sequence[str]], Awaitable[Sequence[bytes | None]]]
"""Content digests of records, in order; None for one that cannot be read."""


class Audits(Protocol):
    """What a host needs for audits. Both raise `StoreError` and `WorkerUnavailable`."""

    async def pin(self) -> View:
        """A view of the content digests of all records."""

    async def check(self, records: Sequence[str], *, mend: bool) -> Sequence[CheckedEntry]:
        """How the records are stored; with `mend`, what the log contradicts is made anew from it first."""


class Contents:
    """The content digests of a store, as of a moment; see the module. `clock` gives microseconds, and never falls."""

    def __init__(self, store: LoggedRecords, compute: Compute, clock: Callable[[], int]) -> None:
        self._store = store
        self._compute = compute
        self._clock = clock
        self._turn = asyncio.Lock()
        self._index = Index()
        self._head = 0
        self._made_at = clock()

    async def pin(self) -> Pinned:
        """A view that holds everything committed before this call. One at a time: who waits finds the work done."""
        async with self._turn:
            if self._clock() - self._made_at > limits.CONTENT_DIGESTS_AGE_US_MAX:
                self._begin()
            await self._follow()
            if len(self._index) != self._store.count():  # records were set aside, which the feed does not tell
                self._begin()
                await self._follow()
            return self._index.pin()

    def _begin(self) -> None:
        self._index, self._head, self._made_at = Index(), 0, self._clock()

    async def _follow(self) -> None:
        head = self._store.head()
        while self._head < head and (page := self._store.feed(self._head, _PAGE)):
            records = [entry.record for entry in page]
            for record, digest in zip(records, await self._compute(records), strict=True):
                self._index.put(record, digest or UNREADABLE_THERE)
            self._head = page[-1].seq


class ReplicaAudits:
    """Audits of a device, which can build its own records."""

    def __init__(self, replica: Replica, clock: Callable[[], int]) -> None:
        self._replica = replica
        self._contents = Contents(replica.store, self._compute, clock)

    async def pin(self) -> View:
        """See `Audits`."""
        return await self._contents.pin()

    async def check(self, records: Sequence[str], *, mend: bool) -> Sequence[CheckedEntry]:
        """See `Audits`."""
        return await asyncio.to_thread(lambda: [check(self._replica.context, record, mend=mend) for record in records])

    async def _compute(self, records: Sequence[str]) -> Sequence[bytes | None]:
        store = self._replica.store
        return await asyncio.to_thread(lambda: [content_digest(store, record) for record in records])


class WorkerAudits:
    """Audits of a relay, whose records are built in its worker, a few per request."""

    def __init__(
        self, store: Store, pool: IntegrationPool, writer: Writer, rest: AtRest, clock: Callable[[], int]
    ) -> None:
        self._store = store
        self._pool = pool
        self._writer = writer
        self._rest = rest
        self._contents = Contents(store, self._compute, clock)

    async def pin(self) -> View:
        """See `Audits`."""
        return await self._contents.pin()

    async def check(self, records: Sequence[str], *, mend: bool) -> Sequence[CheckedEntry]:
        """See `Audits`."""
        found: dict[str, CheckedEntry] = {}
        rest = list(dict.fromkeys(records))
        for _ in range(_ROUNDS_MAX):
            found |= await self._look(rest)
            if mend and (mended := [record for record in rest if found[record].standing in _MENDED]):
                for record in mended:
                    await self._mend(record)
                found |= await self._look(mended)
            rest = [record for record in rest if found[record].standing is Standing.CHANGING]
            if not rest:
                break
        return [found[record] for record in records]

    async def _compute(self, records: Sequence[str]) -> Sequence[bytes | None]:
        return [found.digest if found else None for found in await self._pool.digests(records, content=True)]

    async def _look(self, records: Sequence[str]) -> dict[str, CheckedEntry]:
        before = self._rest.look(records)
        states = await self._pool.digests(records)
        contents = await self._pool.digests(records, content=True)
        logs = await self._pool.digests(records, content=True, load=self._log)
        found: dict[str, CheckedEntry] = {}
        wrong: dict[str, bytes | None] = {}
        for record, state, content, log in zip(records, states, contents, logs, strict=True):
            head = before.heads[record]
            code: Standing
            if not before.lasts(record):
                code = Standing.CHANGING
            elif head is None:
                code = Standing.ABSENT
            elif not isinstance(head, Head) or state is None or content is None:
                code = Standing.UNREADABLE
            else:
                code = Standing.INCOMPLETE if log is None else _standing(head, content, log)
                found[record] = CheckedEntry(record, state.digest, content.digest, code)
                if self._store.digest(record) not in {None, state.digest}:
                    wrong[record] = None
                continue
            found[record] = CheckedEntry(record, b"", b"", code)
        if wrong:  # they are derived from the bytes, so the bytes are right
            await asyncio.wrap_future(self._writer.submit(Batch(digests=wrong)))
        return found

    async def _mend(self, record: str) -> None:
        """Make a record's snapshot anew from its log, unless it was changed meanwhile, or would be too large."""
        before = self._rest.look([record])
        head = before.heads[record]
        updates = self._log(record)
        (log,) = await self._pool.digests([record], load=lambda _: updates)
        if log is None or not isinstance(head, Head):
            return
        whole = await asyncio.to_thread(bytes_diff.diff, updates, vectors.EMPTY)
        if len(whole) > limits.RECORD_BYTES_MAX or not vectors.covers(log.state_vector, head.state_vector):
            return
        if not before.lasts(record):
            return  # from here to `submit` nothing is awaited: no commit of this record can come between
        change = Change(record, (), self._store.replica, "", 0, log.state_vector, whole)
        await asyncio.wrap_future(self._writer.submit(Batch(changes=(change,), digests={record: None})))

    def _log(self, record: str) -> Sequence[bytes]:
        return [entry.update for entry in self._store.history(record)]


def _standing(head: Head, content: RecordDigest, log: RecordDigest) -> Standing:
    return standing(head, content.digest, log.state_vector, log.digest)
