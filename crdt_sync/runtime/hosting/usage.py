"""Quotas with what they count kept beside what it is about, so that a restart of the host gives nobody another day.

Rules:

1. What was counted goes with the commit of what it counts: neither is on disk without the other. What was under way
   when the host died counts too high, as it is sent again; what was said to fail and is on disk, once it is sent again.
2. Rows of another day are dropped with the first commit of the new one.
3. What cannot be read, as it is damaged or of a later form, begins anew.
"""

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from functools import partial

from crdt_sync.errors import StoreError
from crdt_sync.protocol.quotas import SPACE, Bounds, Owner, Quotas, Used
from crdt_sync.storage.port import Settings
from crdt_sync.storage.values import Batch
from crdt_sync.storage.writer import Writer
from crdt_sync.strict_cbor import dumps, loads

_PREFIX = "quota/"  # meta, by a hash of the owner: day, kind, name, bytes, records, whether its limits are lifted
_ROW_ITEMS = 16
_MEASURE_BYTES = 1 << 20  # stored since the store was measured
_MEASURE_US = 1_000_000
NO_COMMIT = 0  # the number of what goes with no commit of the hub


class CountedUsage:
    """See the module. `now` is that of the steady clock, and `measure` tells how many bytes of the store are in use, at
    the cost of a few reads; the other arguments are those of `Quotas`.
    """

    def __init__(
        self,
        store: Settings,
        now: Callable[[], int],
        measure: Callable[[], int],
        wall_clock: Callable[[], int],
        is_known: Callable[[str], bool],
        reached: Callable[[int, Owner, str], None],
    ) -> None:
        self.quotas = Quotas(wall_clock, is_known, reached, self.store_bytes)
        self._store = store
        self._now = now
        self._measure = measure
        self._measured = 0
        self._measured_at: int | None = None
        self._unmeasured = 0
        self._stale: dict[str, bytes | None] = {}  # rows to drop
        self._riding: dict[int, Sequence[Owner]] = {}  # by commit

    def allow(self, bounds: Bounds) -> None:
        """Go by these from here on; what was counted today counts on. Raises `StoreError` where that is not known."""
        was_off = self.quotas.off
        self.quotas.go_by(bounds)
        if was_off and not self.quotas.off:
            self._load()

    def _load(self) -> None:
        rows = []
        for key in self._store.meta_keys(_PREFIX):
            row = self._row(key)
            if row is None or row[0] != self.quotas.day:
                self._stale[key] = None
            else:
                rows.append(row[1:])
        self.quotas.restore(self.quotas.day, rows)

    def rows(self, number: int) -> dict[str, bytes | None]:
        """What goes with the commit of that number, for `Batch.meta`."""
        changed, day = self.quotas.changed(), self.quotas.day
        if not changed and not self._stale:
            return {}
        self._riding[number] = [owner for owner, _ in changed]
        rows, self._stale = self._stale, {}
        for owner, used in changed:
            rows[_key(owner)] = None if used is None else _told(day, owner, used)
        return rows

    def committed(self, number: int, size: int, *, failed: bool) -> None:
        """That commit of `size` bytes is on disk, or was refused."""
        owners = self._riding.pop(number, ())
        if failed:
            self.quotas.unwritten(owners)
        else:
            self._unmeasured += size

    async def keep(self, writer: Writer) -> None:
        """Write what was counted, beside what goes with commits. On the loop. Raises `StoreError`."""
        rows, loop = self.rows(NO_COMMIT), asyncio.get_running_loop()
        if not rows:
            return
        future = writer.submit(Batch(meta=rows))
        future.add_done_callback(
            lambda done: loop.call_soon_threadsafe(
                partial(self.committed, NO_COMMIT, 0, failed=done.exception() is not None)
            )
        )
        await asyncio.wrap_future(future)

    def store_bytes(self) -> int:
        """How large the store is: as measured a moment ago, and what came since."""
        now = self._now()
        if self._measured_at is None or self._unmeasured >= _MEASURE_BYTES or now - self._measured_at >= _MEASURE_US:
            try:
                self._measured = self._measure()
            except StoreError:
                return self._measured + self._unmeasured  # while the disk fails, nothing is stored
            self._measured_at, self._unmeasured = now, 0
        return self._measured + self._unmeasured

    def _row(self, key: str) -> tuple[int, Owner, Used] | None:
        try:
            row = loads(self._store.meta(key) or b"", items_max=_ROW_ITEMS, depth_max=2)
        except (StoreError, ValueError):
            return None
        match row:
            case (int(day), ("device" | "user" | "space") as kind, str(name), int(size), int(records), bool(lifted)):
                return day, Owner(kind, name), Used(size, records, lifted)
        return None


def _key(owner: Owner) -> str:
    if owner == SPACE:
        return _PREFIX + "space"
    return _PREFIX + hashlib.blake2b(f"{owner.kind}/{owner.name}".encode(), digest_size=16).hexdigest()


def _told(day: int, owner: Owner, used: Used) -> bytes:
    return dumps((day, owner.kind, owner.name, used.bytes, used.records, used.lifted))
