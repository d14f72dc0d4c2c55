"""What records show in filter fields, read in the worker where the store does not know it: a page at a time, beside all
else. Meanwhile sessions that it concerns are put off.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b

from crdt_sync.errors import StoreError
from crdt_sync.ids import SCHEMAS, collection_of
from crdt_sync.policy.in_force import InForce
from crdt_sync.policy.values import Values
from crdt_sync.records.filtered import FIELDS_BYTES, Schemas
from crdt_sync.replica.placing import Placer, defined, shown_here
from crdt_sync.runtime.hosting.logs import LOG, Log
from crdt_sync.runtime.worker.pool import IntegrationPool
from crdt_sync.runtime.worker.process import WorkerUnavailable
from crdt_sync.runtime.worker.values import Item
from crdt_sync.storage.port import Store
from crdt_sync.storage.values import Batch, Placement
from crdt_sync.storage.writer import Writer


@dataclass(frozen=True, slots=True)
class OwnSchemas:
    """Of a host that reads records itself: its schemas, and a name for their filter fields."""

    known: Callable[[], Schemas]
    fields: Callable[[], bytes]


class Placing:
    """See the module. `start` runs a task, and `changed` is called when other filter fields count than before.

    `schemas` are those of a host that reads records itself; else the worker does, by the schemas that the store holds
    as records.
    """

    def __init__(
        self,
        store: Store,
        in_force: Callable[[], InForce | None],
        pool: IntegrationPool,
        writer: Writer,
        start: Callable[[Coroutine[object, object, None]], None],
        changed: Callable[[], None],
        schemas: OwnSchemas | None = None,
        log: Log = LOG,
    ) -> None:
        self._log = log
        self._store = store
        self._in_force = in_force
        self._pool = pool
        self._writer = writer
        self._start = start
        self._changed = changed
        self._schemas = schemas
        self._found: bytes | None = None
        self._doubted = True  # whether other fields may count than those
        self._running = False

    def fields(self) -> bytes | None:
        """A name for the filter fields that count; None where that is not known yet."""
        return self._found if self._schemas is None else self._schemas.fields()

    def sure(self) -> bytes | None:
        """The same; None also while others may count, as a schema was written."""
        return None if self._schemas is None and self._doubted else self.fields()

    def written(self, records: Iterable[str]) -> None:
        """These records were written: where a schema is among them, all may show something else."""
        if any(collection_of(record) == SCHEMAS for record in records):
            self._doubted = True
            self.begin()

    def begin(self) -> None:
        """Find out what is not known, unless that is under way, or no policy is in force."""
        if not self._running and self._in_force() is not None:
            self._running = True
            self._start(self._run())

    async def _run(self) -> None:
        try:
            while (in_force := self._in_force()) is not None:
                if self._schemas is None and self._doubted:
                    await self._ask(in_force)
                self._doubted = False
                if await self._read() and not self._doubted:
                    return
        except (StoreError, WorkerUnavailable) as error:  # the next one whom it concerns begins again
            self._log.warning("places_not_read", code=error.code, error=error.message)
        finally:
            self._running = False

    async def _ask(self, in_force: InForce) -> None:
        self._doubted = False
        collections = defined(self._store)
        named = await self._pool.fields(collections, in_force) if collections else []
        before, self._found = self._found, b"".join(named)
        self._found = blake2b(self._found, digest_size=FIELDS_BYTES).digest()
        if before not in (None, self._found):
            self._changed()

    async def _read(self) -> bool:
        """Read all; False where other fields count meanwhile, or not all of it is known after all."""
        fields = self.fields()
        assert fields is not None, "it was asked for"
        placer = Placer(self._store, fields)
        if (known := self._store.placement()) is not None and known == Placement(fields):
            return True
        for batch in placer.begin():
            await self._commit(batch)
        while page := placer.page():
            if (in_force := self._in_force()) is None:
                return False
            seqs = placer.seqs(page)
            await self._commit(placer.read(page, seqs, await self._shown(page, in_force)))
            if self.fields() != fields or self._doubted:
                return False
        if (known := self._store.placement()) is None or known.fields != fields or not known.through:
            return False
        await self._commit(placer.end())
        return True

    async def _shown(self, page: Sequence[str], in_force: InForce) -> Sequence[Values | None]:
        if self._schemas is not None:
            return await asyncio.to_thread(shown_here, self._store, self._schemas.known(), page)
        results = await self._pool.integrate([Item(record, ()) for record in page], None, in_force)
        for record in page:
            self._pool.forget(record)  # another worker may be at it
        return [result.shown for result in results]

    async def _commit(self, batch: Batch) -> None:
        await asyncio.wrap_future(self._writer.submit(batch))
