"""What masks show, derived by a relay: read in the worker, a page at a time, beside all else, once it is on the disk.

Only a relay does it: it holds every value, and devices believe nobody else.
"""

import asyncio
import random
from collections.abc import Callable, Coroutine, Iterable, Sequence

from crdt_sync import ids, limits
from crdt_sync.errors import StoreCorrupt, StoreError
from crdt_sync.policy.in_force import InForce
from crdt_sync.policy.model import masks_of
from crdt_sync.policy.values import forms_of
from crdt_sync.replica.masking import Masker, Masks, Page, Unit, is_begun
from crdt_sync.runtime.hosting.logs import Log
from crdt_sync.runtime.worker.pool import IntegrationPool
from crdt_sync.runtime.worker.process import WorkerUnavailable
from crdt_sync.runtime.worker.values import MaskedRow, ToMask
from crdt_sync.storage.port import Store
from crdt_sync.storage.values import Batch, Change
from crdt_sync.storage.writer import Writer

_AGAIN_S = 5.0  # after the disk, or the worker, refused
_NOTHING = forms_of({})  # shows in fields that choose records: its record does


class Masking:
    """See the module. `start` runs a task, `told` is called after each commit, and `fields` names the filter fields
    that count, see `Placing`.
    """

    def __init__(
        self,
        store: Store,
        in_force: Callable[[], InForce | None],
        pool: IntegrationPool,
        writer: Writer,
        start: Callable[[Coroutine[object, object, None]], None],
        told: Callable[[], None],
        fields: Callable[[], bytes | None],
        wall_clock: Callable[[], int],
        rng: random.Random,
        log: Log,
    ) -> None:
        self._store = store
        self._in_force = in_force
        self._pool = pool
        self._writer = writer
        self._start = start
        self._told = told
        self._fields = fields
        self._wall_clock = wall_clock
        self._id = ids.new_writer(rng)  # of this life, as an edit's
        self._log = log
        self._masker: Masker | None = None
        self._doubted = True  # whether other masks may count than its
        self._running = False
        self._rested = asyncio.Event()
        self._rested.set()

    async def settled(self) -> None:
        """Return when all is derived, or it cannot be for now."""
        await self._rested.wait()

    def written(self, records: Iterable[str]) -> None:
        """These records were written."""
        for record in records:
            if ids.collection_of(record) == ids.SCHEMAS:
                self.begin()
            elif ids.SECTION_MARK in record and self._masker is not None and self._masker.concerns(record):
                self._begin()

    def begin(self) -> None:
        """Another policy is in force, or other schemas count: derive what they show in part, and no more."""
        self._doubted = True
        self._begin()

    def _begin(self) -> None:
        if not self._running and self._in_force() is not None:
            self._running = True
            self._rested.clear()
            self._start(self._run())

    async def _run(self) -> None:
        try:
            while not await self._caught_up():
                self._rested.set()
                await asyncio.sleep(_AGAIN_S)
        finally:
            self._running = False
            self._rested.set()

    async def _caught_up(self) -> bool:
        """Derive all; False where that cannot be done now."""
        try:
            while (in_force := self._in_force()) is not None:
                if self._doubted:
                    self._doubted = False
                    self._masker = await self._ask(in_force)
                elif self._masker is None or (page := self._masker.page()) is None:
                    return True
                else:
                    await self._derive(self._masker, page, in_force)
        except (StoreError, WorkerUnavailable) as error:
            self._doubted = True
            self._log.warning("masks_not_derived", code=error.code, error=error.message)
            return False
        return True

    async def _ask(self, in_force: InForce) -> Masker | None:
        """What is to be derived; None where nothing is, nor ever was."""
        grants = (grant for role in in_force.policy.roles.values() for grant in role.grants)
        collections = sorted({grant.collection for grant in grants if masks_of(in_force.policy, grant.collection)})
        if not collections and not is_begun(self._store):
            return None
        found = await self._pool.masks(collections, in_force) if collections else []
        masks: Masks = dict(zip(collections, found, strict=True))
        return Masker(self._store, masks)

    async def _derive(self, masker: Masker, page: Page, in_force: InForce) -> None:
        changes: list[Change] = []
        for items in self._parts(page.units):
            for item, rows in zip(items, await self._pool.masked(items, in_force), strict=True):
                for (field, mask, _), row in zip(item.rows, rows or (), strict=rows is not None):
                    if row is not None:
                        changes.append(self._change(ids.in_part(ids.whole_record(item.record), field, mask), row))
        if in_force is not self._in_force() or self._doubted:
            return  # what was derived may be more than is to be seen
        batch = Batch(changes=tuple(changes), meta=masker.meta(page))
        if batch != Batch():
            await asyncio.wrap_future(self._writer.submit(batch))
        masker.done(page)
        if changes:
            self._told()

    def _parts(self, units: Sequence[Unit]) -> Iterable[list[ToMask]]:
        """What to ask the worker, no more at once than a push may bring."""
        items: list[ToMask] = []
        size = 0
        for unit in units:
            if (item := self._read(unit)) is None:
                continue
            if items and size + item.size > limits.INTEGRATION_BYTES_MAX:
                yield items
                items, size = [], 0
            items.append(item)
            size += item.size
        if items:
            yield items

    def _read(self, unit: Unit) -> ToMask | None:
        """A unit with what is stored; None where that is damaged: once it is mended, it is in the log again."""
        whole = ids.whole_record(unit.record)
        try:
            rows = [(field, mask, self._store.load(ids.in_part(whole, field, mask))) for field, mask in unit.rows]
            stored = self._store.load(unit.record).updates if unit.shown else ()
        except StoreCorrupt:
            return None
        return ToMask(unit.record, stored, self._id, tuple((field, mask, row.updates) for field, mask, row in rows))

    def _change(self, record: str, row: MaskedRow) -> Change:
        return Change(
            record,
            (row.update,),
            self._store.replica,
            "",
            self._wall_clock(),
            row.state_vector,
            row.snapshot,
            forms=_NOTHING,
            fields=self._fields() or b"",
        )
