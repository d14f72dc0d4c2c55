"""Updates that partners pushed to a device that accepts sessions: stored as its own edits are.

The worker has found that each may be integrated, on what it had loaded. Meanwhile the user may have edited the record,
and another partner may have sent updates of it. So each is integrated once more, under the replica's lock, on what is
stored now; that also gives the view, and what partners lack. Who pushed an update is among those, where we also open
sessions with it: should its store be put back, nothing else would tell that it lost the update.

The principals for whom the updates were let in come with them, and are asked once more, as by every other way in.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from crdt_sync.errors import StoreFailed
from crdt_sync.principal import Principal
from crdt_sync.replica.awaiting import take_up
from crdt_sync.replica.context import Context
from crdt_sync.replica.intake import Intake
from crdt_sync.replica.origin import Origin
from crdt_sync.replica.schemas import Schemas
from crdt_sync.storage.values import SEVERAL_ORIGINS, Batch, Change, Committed
from crdt_sync.verdicts import VerdictCode


class HostedReplica(Protocol):
    """What hosting needs of a replica."""

    @property
    def context(self) -> Context:
        """What its parts share."""

    @property
    def shared_schemas(self) -> Schemas:
        """Its schemas."""


class PushedUpdates:
    """A `Committer` over a replica, for the group writer of whoever hosts sessions."""

    def __init__(self, replica: HostedReplica) -> None:
        self._context = replica.context
        self._schemas = replica.shared_schemas

    def commit(self, batches: Sequence[Batch]) -> list[Committed]:
        """Store the batches in one transaction.

        An update that brings nothing new any more, or became part of a renewal, has no number, see `Committed`.

        Raises what `Store.commit` raises; `StoreFailed` also where an update cannot be integrated any more.
        """
        with self._context.lock:
            integration = _Integration(self._context)
            for batch in batches:
                for change in batch.changes:
                    integration.add(change)
            completed = integration.batch()
            others = [replace(batch, changes=()) for batch in batches if replace(batch, changes=()) != Batch()]
            if completed != Batch() or others:
                committed, *_ = self._store([completed, *others])
                integration.number(committed)
            taken_up = take_up(self._context, [change.record for change in completed.changes])
        self._announce(completed)
        self._context.announce("edited", taken_up)
        return [Committed(tuple(integration.seqs(change) for change in batch.changes)) for batch in batches]

    def _store(self, batches: Sequence[Batch]) -> list[Committed]:
        try:
            return self._context.store.commit(batches)
        except StoreFailed:
            self._announce(batches[0])  # it may be found whole, and then our own sessions have to push it
            self._schemas.doubt(change.record for change in batches[0].changes)
            raise

    def _announce(self, batch: Batch) -> None:
        self._context.announce("received", [change.record for change in batch.changes], owed=bool(batch.outbox))


class _Integration:
    """The updates of one commit, by record, and what becomes of them."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._updates: dict[str, list[bytes]] = {}
        self._origins: dict[str, set[bytes]] = {}
        self._principals: dict[str, set[Principal]] = {}
        self._places: dict[int, range] = {}  # by the identity of a change: where in its record's updates it stands
        self._numbers: dict[str, list[int]] = {}
        self._new: dict[str, list[int]] = {}  # positions of the updates that are stored as they came

    def add(self, change: Change) -> None:
        updates = self._updates.setdefault(change.record, [])
        self._places[id(change)] = range(len(updates), len(updates) + len(change.updates))
        updates += change.updates
        self._origins.setdefault(change.record, set()).add(change.origin)
        self._principals.setdefault(change.record, set()).update(change.principals)

    def batch(self) -> Batch:
        """What to commit."""
        intake = Intake(self._context)
        for record, updates in self._updates.items():
            self._integrate(intake, record, updates)
        return intake.batch()

    def number(self, committed: Committed) -> None:
        """Take the log's numbers for the batch."""
        for (record, new), seqs in zip(self._new.items(), committed.seqs, strict=True):
            if new:
                for position, seq in zip(new, seqs, strict=True):
                    self._numbers[record][position] = seq

    def seqs(self, change: Change) -> tuple[int, ...]:
        """The numbers of one change's updates."""
        return tuple(self._numbers[change.record][position] for position in self._places[id(change)])

    def _integrate(self, intake: Intake, record: str, updates: list[bytes]) -> None:
        origins = self._origins[record]
        origin = next(iter(origins)) if len(origins) == 1 else SEVERAL_ORIGINS
        principals = self._principals[record]
        denied = [each.write_refused(record) for each in principals]
        who = next(iter(principals)) if len(principals) == 1 else Principal(origin)
        users = {principal.user for principal in principals}
        actor = users.pop() if len(users) == 1 else ""  # who brought it, whoever its entries name
        taken = intake.take(record, updates, Origin("push", replace(who, device=origin)), actor=actor)
        for verdict in (*filter(None, denied), *taken.verdicts):
            if verdict.code is not VerdictCode.ACCEPTED:
                raise StoreFailed(f"an update of {record} cannot be stored: {verdict.reason}", "Send it again.")
        new = [position for position, verdict in enumerate(taken.verdicts) if verdict.new]
        self._numbers[record] = [0] * len(updates)
        if new:
            self._new[record] = [] if intake.changes[-1].renewed else new
