"""Whether what a store holds can be loaded: each record in a worker, as when an update for it comes.

Checksums tell that bytes are as they were written. Only loading tells that they are a record, and one that a worker can
build in the processor time and the memory that it has. What cannot be loaded takes no edit of anybody any more.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from crdt_sync.errors import StoreCorrupt
from crdt_sync.runtime.outside import OUTSIDE
from crdt_sync.runtime.worker.plan import STORED
from crdt_sync.runtime.worker.pool import IntegrationPool, StartWorker
from crdt_sync.runtime.worker.process import WorkerUnavailable
from crdt_sync.runtime.worker.values import Item
from crdt_sync.storage.port import Records
from crdt_sync.storage.values import SEVERAL_ORIGINS

_PAGE = 256
_AUTHORS_SHOWN_MAX = 3


@dataclass(frozen=True, slots=True)
class Author:
    """A replica that wrote into a record: its id in hex (empty where several came together), the name with which it
    signed, if any, how many updates of it the log has, their bytes, and when the last came (µs since 1970)."""

    replica: str
    name: str
    updates: int
    bytes: int
    last_at: int

    def __str__(self) -> str:
        at = datetime.fromtimestamp(self.last_at / 1_000_000, UTC)
        who = " ".join(part for part in (self.name, self.replica or "several replicas") if part)
        return f"{who} ({self.updates} updates, {self.bytes} bytes, the last {at:%Y-%m-%d %H:%M} UTC)"


@dataclass(frozen=True, slots=True)
class Unloadable:
    """A record that no worker can load, its stored bytes, and who wrote it, as far as the log still tells: the one who
    wrote most first."""

    record: str
    bytes: int
    authors: tuple[Author, ...]

    @property
    def written_by(self) -> str:
        """Its authors, in one line."""
        if not self.authors:
            return "nobody that the log still names"
        more = ", and others" if len(self.authors) > _AUTHORS_SHOWN_MAX else ""
        return "; ".join(map(str, self.authors[:_AUTHORS_SHOWN_MAX])) + more

    def as_dict(self) -> dict[str, object]:
        """For `--json`."""
        return {
            "record": self.record,
            "bytes": self.bytes,
            "written_by": self.written_by,
            "authors": [
                {
                    "replica": author.replica,
                    "name": author.name,
                    "updates": author.updates,
                    "bytes": author.bytes,
                    "last_at_us": author.last_at,
                }
                for author in self.authors
            ],
        }


async def unloadable(
    store: Records, records: Sequence[str] | None = None, start_worker: StartWorker = OUTSIDE.start_worker
) -> list[Unloadable]:
    """Those of `records` (None: of all that a store holds) that no worker can load. Damaged ones are left to
    `Maintenance.verify`.

    Raises `WorkerUnavailable` where that cannot be told, and `StoreError`.
    """
    pool = IntegrationPool(lambda record: store.load(record).updates, keep_spare=False, start_worker=start_worker)
    found: list[Unloadable] = []
    try:
        for page in _pages(store) if records is None else [records]:
            results = await pool.integrate([Item(record, ()) for record in page], None)
            for record, result in zip(page, results, strict=True):
                if pool.poisons.knows(record, STORED):
                    found.append(_described(store, record))
                elif not result.state_vector and _is_intact(store, record):
                    raise WorkerUnavailable(f"{record} could not be examined: workers end by themselves here")
    finally:
        await pool.close()
    return found


def _pages(store: Records) -> Iterator[list[str]]:
    after = ""
    while page := store.records(after, _PAGE):
        yield page
        after = page[-1]


def _is_intact(store: Records, record: str) -> bool:
    try:
        return store.load(record).head is not None
    except StoreCorrupt:
        return False


def _described(store: Records, record: str) -> Unloadable:
    try:
        history = store.history(record)
    except StoreCorrupt:
        history = []
    updates, sizes = Counter[bytes](), Counter[bytes]()
    last: dict[bytes, tuple[int, str]] = {}
    for entry in history:
        updates[entry.origin] += 1
        sizes[entry.origin] += len(entry.update)
        last[entry.origin] = (entry.received_at, entry.actor)
    authors = tuple(
        Author(
            "" if origin == SEVERAL_ORIGINS else origin.hex(), last[origin][1], updates[origin], size, last[origin][0]
        )
        for origin, size in sizes.most_common()
    )
    return Unloadable(record, sum(map(len, store.load(record).updates)), authors)
