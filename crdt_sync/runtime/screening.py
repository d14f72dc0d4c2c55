"""Updates that come straight from another device: tried in the worker process before they touch this one.

A relay's worker has integrated what it passes on (docs/decisions/0005); another device's may not have. A bundle of
records on a stick may come from anywhere.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from crdt_sync import limits
from crdt_sync.protocol.effects import Effect, Integrate
from crdt_sync.protocol.messages import UpdatesEntry
from crdt_sync.replica import Replica
from crdt_sync.runtime.worker.pool import IntegrationPool, StartWorker
from crdt_sync.runtime.worker.process import WorkerProcess
from crdt_sync.runtime.worker.ruling import standing_at
from crdt_sync.runtime.worker.values import Item, Result, clocks_differ

_HARMLESS = frozenset({"accepted", "gap"})  # a gap is told to the partner, which closes it


@dataclass(frozen=True, slots=True)
class Screened:
    """What may be integrated here, in order, and why the rest may not: by record.

    `clocks_differ`: some of it is stamped ahead of our clock.
    """

    entries: tuple[UpdatesEntry, ...]
    refused: dict[str, str] = field(default_factory=dict)
    clocks_differ: bool = False

    def only(self, run: Sequence[Integrate]) -> list[Effect]:
        """The effects whose entries were screened, without those that may not be integrated."""
        kept = {id(entry) for entry in self.entries}
        return [
            replace(effect, entries=tuple(entry for entry in effect.entries if id(entry) in kept)) for effect in run
        ]


class Trial:
    """Updates of one sender, and what becomes of them once the worker has tried `items`. Pure."""

    def __init__(self, entries: Sequence[UpdatesEntry], sender: str, user: str | None = None) -> None:
        self._entries = entries
        by_record: dict[str, list[int]] = {}
        for position, entry in enumerate(entries):
            by_record.setdefault(entry.record, []).append(position)
        self._by_record = by_record
        self.items = [
            Item(
                record,
                tuple(entries[place].update for place in places),
                False,
                (sender,) * len(places),
                users=() if user is None else (user,) * len(places),
            )
            for record, places in by_record.items()
        ]

    def screened(self, results: Sequence[Result]) -> Screened:
        """What may be integrated, by the worker's results for `items`."""
        kept: set[int] = set()
        refused: dict[str, str] = {}
        for (record, places), result in zip(self._by_record.items(), results, strict=True):
            for place, verdict in zip(places, result.verdicts, strict=True):
                if verdict.code in _HARMLESS:
                    kept.add(place)
                else:
                    refused[record] = verdict.told
        return Screened(
            tuple(entry for place, entry in enumerate(self._entries) if place in kept), refused, clocks_differ(results)
        )


class Screening:
    """A worker that tries updates for one replica. Use it inside one event loop, and `close` it there."""

    def __init__(self, replica: Replica, start_worker: StartWorker = WorkerProcess.start) -> None:
        self._replica = replica
        self._pool = IntegrationPool(
            lambda record: replica.store.load(record).updates,
            keep_spare=False,
            start_worker=start_worker,
            seq=lambda record: standing_at(replica.store, record),
        )

    async def screen(self, entries: Sequence[UpdatesEntry], sender: str, user: str = "") -> Screened:
        """Try the updates, in order, on what is stored. Where a policy is in force they are to be allowed to `user`,
        who sends them. Raises `WorkerUnavailable`.
        """
        if not entries:
            return Screened(())
        in_force = self._replica.context.in_force()
        trial = Trial(entries, sender, None if in_force is None else user)
        stamp_max = self._replica.clock.now() + limits.STAMP_AHEAD_US_MAX
        results = await self._pool.integrate(trial.items, stamp_max, in_force)
        self._pool.forget_all()  # what was tried is not stored yet, and may never be
        return trial.screened(results)

    async def close(self) -> None:
        """End the worker."""
        await self._pool.close()
