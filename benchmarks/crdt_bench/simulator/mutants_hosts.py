"""Mutants of the code that hosts sessions, of the loops that keep them, and of the relay's repair."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

from crdt_bench.simulator import damage, devices
from crdt_bench.simulator.mutants import Method, Mutant, returns
from crdt_sync.runtime.conversation import Conversation
from crdt_sync.runtime.hosting.digests import WorkerDigests
from crdt_sync.runtime.hosting.engine import Engine
from crdt_sync.runtime.hosting.held_records import HeldRecords
from crdt_sync.runtime.presence import PresenceBoard
from crdt_sync.runtime.screening import Trial
from crdt_sync.runtime.worker.pool import IntegrationPool
from crdt_sync.storage.values import Committed
from crdt_sync.storage.writer import GroupCommit

_DISK = {"relay_disk_fails": 0.2, "cut": 0.05}


async def _never(*_arguments: Any) -> None:
    await asyncio.Event().wait()


def _failure_is_success(committed: Method) -> Method:
    def mutated(self: Any, effect: Any, begun: float, future: "Future[Committed]") -> None:
        if future.exception() is not None:
            seq, seqs = self.store.head(), []
            for change in effect.changes:
                seqs.append(tuple(range(seq + 1, seq + 1 + len(change.updates))))
                seq += len(change.updates)
            future = Future()
            future.set_result(Committed(tuple(seqs)))
        committed(self, effect, begun, future)

    return mutated


def _stored_only(_: Method) -> Method:
    def mutated(self: Any, record: str) -> Sequence[bytes]:
        stored: Sequence[bytes] = self._store.load(record).updates
        return stored

    return mutated


def _not_handed_over(readable: Method) -> Method:
    def mutated(self: Any, record: str) -> Any:
        self._handed_over = {}
        return readable(self, record)

    return mutated


def _out_of_order(integrate: Method) -> Method:
    async def mutated(self: Any, items: Any, stamp_max: Any, in_force: Any = None) -> Any:
        self._answered = _Always()
        return await integrate(self, items, stamp_max, in_force)

    return mutated


class _Always(asyncio.Event):
    def is_set(self) -> bool:
        return True

    async def wait(self) -> Any:
        return True


def _commits_outdated(_: Method) -> Method:
    return lambda _self, _item: False


def _takes_what_was_refused(screened: Method) -> Method:
    return lambda self, results: replace(screened(self, results), refused={})


async def _stale(*_: Any) -> None:
    """The digests stay as they are."""


def _keeps_epoch(mend: Method) -> Method:
    def mutated(store: Any, *named: Any) -> Any:
        store.renew_epoch = lambda: None
        try:
            return mend(store, *named)
        finally:
            del store.renew_epoch

    return mutated


def _ends_with_a_session(keep: Method) -> Method:
    async def mutated(*arguments: Any, **named: Any) -> None:
        over = asyncio.Event()
        work = asyncio.ensure_future(keep(*arguments, on_error=lambda *_: over.set(), **named))
        ended = asyncio.ensure_future(over.wait())
        await asyncio.wait((work, ended), return_when=asyncio.FIRST_COMPLETED)
        work.cancel()
        await asyncio.Event().wait()

    return mutated


HOST_MUTANTS = (
    Mutant(
        "a failed commit is acknowledged",
        "acknowledged means synced",
        ((Engine, "_committed", _failure_is_success),),
        _DISK,
        seeds_from=1,
    ),
    Mutant(
        "what is on its way is not loaded",
        "the worker finds what was accepted and is not stored yet",
        ((HeldRecords, "load", _stored_only),),
        {"worker_killed": 0.3, "second_session": 0.1},
        60,
        records=2,
        seeds_from=3,
    ),
    Mutant(
        "what is handed over is not loaded",
        "the worker finds what was accepted in the batch before",
        ((IntegrationPool, "_readable", _not_handed_over),),
        {"second_session": 0.1},
        steps=60,
        records=2,
        pace=3_000,
        documents_max=1,
        scales={"INTEGRATION_UPDATES_MAX": 24},
        seeds_from=6,
    ),
    Mutant(
        "batches overtake each other",
        "batches are answered in order",
        ((IntegrationPool, "integrate", _out_of_order),),
        {"relay_rots": 0.3, "device_crash": 0.1},
        60,
        records=4,
        seeds_from=32,
    ),
    Mutant(
        "outdated batches are committed",
        "nothing is stored without what it builds on",
        ((GroupCommit, "_outdated", _commits_outdated),),
        {"relay_disk_fails": 0.3, "second_session": 0.1},
        60,
        seeds_from=48,
    ),
    Mutant(
        "a link that waits is never read again",
        "a device that was ahead of the disk is heard again",
        ((Engine, "readable", lambda _: _never),),
        {"slow": 0.1},
        60,
        seeds_from=25,
        scales={"PUSHES_IN_FLIGHT_MAX": 1},  # what comes with more of them under way is rare
    ),
    Mutant(
        "a host's timers stand still",
        "a host gives up sessions that fell silent",
        ((Engine, "_arm", returns(None)),),
        {"half_open": 0.1},
        60,
        beside=0.05,
    ),
    Mutant("an edit wakes no session", "edits spread while connected", ((Conversation, "_edited", returns(None)),), {}),
    Mutant(
        "a device's timers stand still",
        "a device gives up a relay that fell silent",
        ((Conversation, "_keep_time", lambda _: _never),),
        {"half_open": 0.1},
    ),
    Mutant(
        "what was refused counts as taken",
        "a cursor passes only what is asked for again",
        ((Trial, "screened", _takes_what_was_refused),),
        {"device_clock": 0.2},
        60,
        neighbours=0.3,
    ),
    Mutant(
        "digests are never computed",
        "receipts of equal stores are equal",
        ((WorkerDigests, "refresh", lambda _: _stale),),
        {},
        beside=0.1,
    ),
    Mutant(
        "presence is not shown",
        "everybody sees what others have open",
        ((Engine, "_show_presence", returns(None)),),
        {},
        beside=0.2,
    ),
    Mutant(
        "presence is said once",
        "what is opened during a session is told",
        ((PresenceBoard, "listen", returns(None)),),
        {},
        beside=0.2,
    ),
    Mutant(
        "a repair keeps the epoch",
        "devices bring back what damage took from the relay",
        ((damage, "mend", _keeps_epoch),),
        {"relay_rots": 0.2},
        60,
        seeds_from=4,
    ),
    Mutant(
        "syncing ends with its first session",
        "a device comes back",
        ((devices, "keep_syncing_forever", _ends_with_a_session),),
        {"cut": 0.1},
    ),
)
