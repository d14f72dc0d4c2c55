"""Updates that come straight from another device: tried in the worker process before they touch this one.

A relay's worker has integrated what it passes on (docs/decisions/0005); another device's may not have. A bundle of
records on a stick may come from anywhere.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from crdt_sync import limits
from crdt_sync.protocol.messages import UpdatesEntry
from crdt_sync.replica import Replica
from crdt_sync.runtime.worker.pool import IntegrationPool
from crdt_sync.runtime.worker.values import Item

_HARMLESS = frozenset({"accepted", "gap"})  # a gap is told to the partner, which closes it


@dataclass(frozen=True, slots=True)
class Screened:
    """What may be integrated here, in order, and why the rest may not: by record."""

    entries: tuple[UpdatesEntry, ...]
    refused: dict[str, str] = field(default_factory=dict)


class Screening:
    """A worker that tries updates for one replica. Use it inside one event loop, and `close` it there."""

    def __init__(self, replica: Replica) -> None:
        self._replica = replica
        self._pool = IntegrationPool(lambda record: replica.store.load(record).updates, keep_spare=False)

    async def screen(self, entries: Sequence[UpdatesEntry], sender: str) -> Screened:
        """Try the updates, in order, on what is stored. Raises `WorkerUnavailable`."""
        if not entries:
            return Screened(())
        by_record: dict[str, list[int]] = {}
        for position, entry in enumerate(entries):
            by_record.setdefault(entry.record, []).append(position)
        items = [
            Item(record, tuple(entries[place].update for place in places), False, (sender,) * len(places))
            for record, places in by_record.items()
        ]
        stamp_max = self._replica.clock.now() + limits.STAMP_AHEAD_US_MAX
        results = await self._pool.integrate(items, stamp_max)
        self._pool.forget_all()  # what was tried is not stored yet, and may never be
        kept: set[int] = set()
        refused: dict[str, str] = {}
        for (record, places), result in zip(by_record.items(), results, strict=True):
            for place, verdict in zip(places, result.verdicts, strict=True):
                if verdict.code in _HARMLESS:
                    kept.add(place)
                else:
                    refused[record] = f"{verdict.code}: {verdict.reason}"
        return Screened(tuple(entry for place, entry in enumerate(entries) if place in kept), refused)

    async def close(self) -> None:
        """End the worker."""
        await self._pool.close()
