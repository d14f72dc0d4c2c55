"""The disk fails, the worker fails: nothing acknowledged is lost, nobody waits for ever, and it ends by itself."""

import asyncio
import itertools
import os
import random
import signal
import threading
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import lmdb
import pytest

from crdt_relay.server import Relay
from crdt_sync import Address, Replica, bundled_schema, limits
from crdt_sync.errors import Rejected, StoreCorrupt, StoreFailed, StoreFull
from crdt_sync.protocol.messages import Receipt, ReceiptRequest, VerdictCode
from crdt_sync.runtime import conversation, sync_once
from crdt_sync.runtime.hosting import health
from crdt_sync.runtime.worker.process import WorkerUnavailable
from crdt_sync.runtime.worker.values import Item, Result
from crdt_sync.storage import Batch, Committed, LmdbStore
from crdt_sync.storage.lmdb import environment
from crdt_sync.storage.memory import MemoryStore

from .devices import Device, eventually, running, seen, stored_markers, update


def serve(scenario: Callable[[Relay], Awaitable[None]], data: Path) -> None:
    async def whole() -> None:
        async with running(data) as relay:
            await scenario(relay)

    asyncio.run(whole())


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "_PROBE_EVERY_S", 0.02)


class Disk:
    """Commits of the store, which fail while `error` is set."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.error: Callable[[], Exception] | None = None
        self.failed = 0
        commit = environment.commit

        def failing(transaction: Any) -> None:
            if self.error is not None:
                self.failed += 1
                raise self.error()
            commit(transaction)

        monkeypatch.setattr(environment, "commit", failing)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (lambda: lmdb.DiskError("mdb_txn_commit: No space left on device"), "store_full"),
        (lambda: lmdb.Error("mdb_txn_commit: Input/output error"), "store_failed"),
        (lambda: lmdb.PanicError("MDB_PANIC"), "store_failed"),
    ],
)
def test_while_the_disk_fails_pushes_are_answered_retry_and_stored_later(
    tmp_path: Path, disk: Disk, error: Callable[[], Exception], code: str
) -> None:
    async def scenario(relay: Relay) -> None:
        async with await Device.join(relay.url, follow=False) as device:
            assert await device.store(("customers/a", update(1))) == [VerdictCode.ACCEPTED]
            disk.error = error
            again = ("customers/a", update(2))
            assert await device.store(again) == [VerdictCode.RETRY]
            assert relay.engine.unready() == f"{code}: the last commit failed"
            assert await device.store(again, ("customers/b", update(3))) == [VerdictCode.RETRY] * 2
            disk.error = None
            await eventually("ready again by itself", lambda: relay.engine.unready() is None)
            assert await device.store(again, ("customers/b", update(3))) == [VerdictCode.ACCEPTED] * 2
        assert seen(relay.store.load("customers/a").updates) == {1, 2}

    serve(scenario, tmp_path)


def test_a_relay_is_not_ready_when_nothing_would_be_stored_though_nobody_pushed(tmp_path: Path, disk: Disk) -> None:
    async def scenario(relay: Relay) -> None:
        assert await relay.engine.tried() is None
        disk.error = lambda: lmdb.Error("mdb_txn_commit: Input/output error")
        relay.engine.health._canary_until = 0.0  # as if some seconds had passed
        assert await relay.engine.tried() == "store_failed: the last commit failed"
        disk.error = None
        await eventually("ready again by itself", lambda: relay.engine.unready() is None)

    serve(scenario, tmp_path)


def test_a_disk_that_does_not_answer_is_told_in_bounded_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = threading.Event()
    commit = LmdbStore.commit

    def commit_later(store: LmdbStore, batches: Sequence[Batch]) -> list[Committed]:
        answers.wait(60)
        return commit(store, batches)

    async def scenario(relay: Relay) -> None:
        async def at_once(items: Sequence[Item], stamp_max: int | None) -> list[Result]:
            return []

        monkeypatch.setattr(LmdbStore, "commit", commit_later)
        with monkeypatch.context() as patched:
            patched.setattr(relay.engine.pool, "integrate", at_once)  # who would be late, too, on a busy machine
            patched.setattr(limits, "CANARY_US_MAX", 20_000)
            for _ in range(3):
                relay.engine.health._canary_until = 0.0
                assert await relay.engine.tried() == "busy: the store did not answer within 0 s"
        answers.set()
        monkeypatch.setattr(limits, "CANARY_US_MAX", 60_000_000)
        relay.engine.health._canary_until = 0.0
        assert await relay.engine.tried() is None

    serve(scenario, tmp_path)


def test_a_worker_that_does_not_answer_is_told_and_not_killed_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(relay: Relay) -> None:
        pool, answers = relay.engine.pool, asyncio.Event()
        integrate, pid = pool.integrate, pool.pid

        async def later(items: Sequence[Item], stamp_max: int | None) -> list[Result]:
            await answers.wait()
            return await integrate(items, stamp_max)

        monkeypatch.setattr(pool, "integrate", later)
        monkeypatch.setattr(limits, "CANARY_US_MAX", 20_000)
        assert await relay.engine.tried() == "busy: the integration worker did not answer within 0 s"
        answers.set()
        monkeypatch.setattr(limits, "CANARY_US_MAX", 60_000_000)
        relay.engine.health._canary_until = 0.0
        assert await relay.engine.tried() is None
        assert pool.pid == pid

    serve(scenario, tmp_path)


def test_many_questions_at_once_make_one_canary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[int] = []
    commit = LmdbStore.commit

    def counted(store: LmdbStore, batches: Sequence[Batch]) -> list[Committed]:
        tried.append(len(batches))
        return commit(store, batches)

    async def scenario(relay: Relay) -> None:
        monkeypatch.setattr(LmdbStore, "commit", counted)
        assert await asyncio.gather(*(relay.engine.tried() for _ in range(50))) == [None] * 50
        assert len(tried) == 2  # a row, and that it goes

    serve(scenario, tmp_path)


def test_a_disk_with_room_for_little_is_not_taken_for_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    room = 50_000
    tried: list[int] = []
    commit = LmdbStore.commit

    def commit_if_it_fits(store: LmdbStore, batches: Sequence[Batch]) -> list[Committed]:
        meta = [value for batch in batches for value in batch.meta.values() if value is not None]
        size = sum(map(len, meta)) + sum(len(u) for batch in batches for each in batch.changes for u in each.updates)
        tried.append(size)
        if size > room:
            raise StoreFull("no room")
        return commit(store, batches)

    monkeypatch.setattr(LmdbStore, "commit", commit_if_it_fits)

    async def scenario(relay: Relay) -> None:
        nonlocal room
        async with await Device.join(relay.url, follow=False) as device:
            large = ("customers/a", update("x" * 60_000))
            assert await device.store(large) == [VerdictCode.RETRY]
            probes = len(tried) + 3
            await eventually("probed", lambda: len(tried) >= probes)
            assert relay.engine.unready() == "store_full: the last commit failed"
            room = 1 << 30
            await eventually("ready again by itself", lambda: relay.engine.unready() is None)
            assert await device.store(large) == [VerdictCode.ACCEPTED]
        assert relay.store.meta("probe") is None

    serve(scenario, tmp_path)


def test_one_exchange_with_a_relay_whose_disk_is_full_ends_with_an_error_and_the_next_one_stores(
    tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversation, "_REFUSING_US_MAX", 0)

    async def scenario(relay: Relay) -> None:
        replica = Replica.over(MemoryStore(rng=random.Random(1)))
        replica.name = "anna"
        replica.add_schema(bundled_schema("customers"))
        with replica.edit("customers") as customer:
            customer["name"] = "Müller GmbH"
        disk.error = lambda: lmdb.DiskError("mdb_txn_commit: No space left on device")
        with pytest.raises(Rejected, match="takes nothing now, perhaps it is full") as refused:
            await asyncio.wait_for(sync_once(replica, Address(relay.url)), 60)
        assert refused.value.retryable
        assert replica.record_status(customer.record).state == "pending"
        disk.error = None
        await eventually("ready again by itself", lambda: relay.engine.unready() is None)
        await asyncio.wait_for(sync_once(replica, Address(relay.url)), 60)
        assert replica.record_status(customer.record).state == "stored"

    serve(scenario, tmp_path)


def test_a_disk_that_fails_now_and_then_loses_nothing_that_was_acknowledged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    acknowledged: dict[str, set[object]] = {}

    async def scenario(relay: Relay) -> None:
        commits = itertools.count()
        commit = environment.commit

        def moody(transaction: Any) -> None:
            if next(commits) % 3 == 1:
                raise lmdb.DiskError("mdb_txn_commit: No space left on device")
            commit(transaction)

        monkeypatch.setattr(environment, "commit", moody)

        async def write(name: str) -> None:
            async with await Device.join(relay.url) as device:
                for number in range(40):
                    waiting = [(f"customers/{number % 5}", f"{name}{number}{part}") for part in "xy"]
                    while waiting:
                        verdicts = await device.store(*((record, update(marker)) for record, marker in waiting))
                        for (record, marker), verdict in zip(waiting, verdicts, strict=True):
                            if verdict is VerdictCode.ACCEPTED:
                                acknowledged.setdefault(record, set()).add(marker)
                        waiting = [
                            entry
                            for entry, verdict in zip(waiting, verdicts, strict=True)
                            if verdict is not VerdictCode.ACCEPTED
                        ]

        await asyncio.gather(*(write(name) for name in "abcd"))
        assert relay.engine.writer.metrics.failures > 3
        monkeypatch.setattr(environment, "commit", commit)

    serve(scenario, tmp_path)
    stored = stored_markers(tmp_path)
    assert sum(len(markers) for markers in acknowledged.values()) == 4 * 40 * 2
    for record, markers in acknowledged.items():
        assert markers <= stored[record]


def test_a_replica_whose_relay_has_a_full_disk_keeps_its_edits_and_delivers_them_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crdt_sync.protocol.pushing._RETRY_AFTER_US", 50_000)

    async def scenario(relay: Relay) -> None:
        replica = Replica.create(tmp_path / "anna", "anna", [bundled_schema("customers")])
        with replica.edit("customers") as customer:
            customer["name"] = "Zoë"
        commit = environment.commit

        def full(transaction: Any) -> None:
            # The device's own commits are made by threads of its own.
            if threading.current_thread().name == "store-writer" and not freed.is_set():
                failed.append(1)
                raise lmdb.DiskError("mdb_txn_commit: No space left on device")
            commit(transaction)

        failed: list[int] = []
        freed = threading.Event()
        monkeypatch.setattr(environment, "commit", full)
        syncing = asyncio.create_task(sync_once(replica, Address(relay.url)))
        await eventually("retried", lambda: len(failed) > 3)
        assert replica.record_status(customer.record).state == "pending"
        freed.set()
        progress = await asyncio.wait_for(syncing, 60)
        assert progress.pushed == 1
        assert replica.record_status(customer.record).state == "stored"
        replica.close()

    serve(scenario, tmp_path / "relay")


def test_an_error_that_nobody_foresaw_is_answered_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(relay: Relay) -> None:
        async with await Device.join(relay.url) as device:
            commit, integrate = relay.store.commit, relay.engine.pool.integrate
            monkeypatch.setattr(relay.store, "commit", lambda batches: 1 // 0)
            assert await device.store(("customers/a", update(1))) == [VerdictCode.RETRY]
            assert relay.engine.unready() is not None
            monkeypatch.setattr(relay.store, "commit", commit)
            monkeypatch.setattr(relay.engine.pool, "integrate", lambda *_: 1 // 0)
            assert await device.store(("customers/a", update(1))) == [VerdictCode.RETRY]
            monkeypatch.setattr(relay.engine.pool, "integrate", integrate)
            while await device.store(("customers/a", update(1))) != [VerdictCode.ACCEPTED]:
                pass

    serve(scenario, tmp_path)


def test_without_a_worker_the_relay_is_not_ready_and_recovers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(relay: Relay) -> None:
        integrate = relay.engine.pool.integrate

        async def unavailable(*_: object) -> None:
            raise WorkerUnavailable("no processes left", "Free some.")

        monkeypatch.setattr(relay.engine.pool, "integrate", unavailable)
        async with await Device.join(relay.url) as device:
            assert await device.store(("customers/a", update(1))) == [VerdictCode.RETRY]
            assert relay.engine.unready() == "worker_unavailable: no integration worker"
            monkeypatch.setattr(relay.engine.pool, "integrate", integrate)
            await eventually("ready again by itself", lambda: relay.engine.unready() is None)
            assert await device.store(("customers/a", update(1))) == [VerdictCode.ACCEPTED]

    serve(scenario, tmp_path)


def test_a_receipt_that_cannot_be_made_ends_that_session_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(relay: Relay) -> None:
        async with await Device.join(relay.url) as device, await Device.join(relay.url) as other:
            await device.store(("customers/a", update(1)))
            digests = relay.engine.pool.digests

            async def unavailable(*_: object) -> None:
                raise WorkerUnavailable("no processes left", "Free some.")

            monkeypatch.setattr(relay.engine.pool, "digests", unavailable)
            await device.send(ReceiptRequest(1))
            bye = await device.bye()
            assert bye.code == "unavailable"
            assert bye.retry_after_ms
            monkeypatch.setattr(relay.engine.pool, "digests", digests)
            await other.send(ReceiptRequest(1))
            assert (await other.expect(Receipt)).count == 1

    serve(scenario, tmp_path)


def test_a_store_that_cannot_be_read_ends_sessions_politely(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(relay: Relay) -> None:
        head = relay.store.head

        def failing() -> int:
            raise StoreFailed("the store failed and could not be opened again", "Check the disk.")

        monkeypatch.setattr(relay.store, "head", failing)
        async with await Device.open(relay.url) as device:
            await device.hello()
            bye = await device.bye()
            assert bye.code == "unavailable"
            assert bye.retry_after_ms
        monkeypatch.setattr(relay.store, "head", head)
        async with await Device.join(relay.url) as device:
            assert await device.store(("customers/a", update(1))) == [VerdictCode.ACCEPTED]

    serve(scenario, tmp_path)


def test_a_corrupt_record_is_answered_retry_and_the_others_are_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(relay: Relay) -> None:
        load = relay.store.load

        def damaged(record: str) -> Any:
            if record == "customers/bad":
                raise StoreCorrupt("a stored value does not match its checksum", record=record)
            return load(record)

        monkeypatch.setattr(relay.store, "load", damaged)
        async with await Device.join(relay.url) as device:
            verdicts = await device.store(("customers/bad", update(1)), ("customers/good", update(2)))
            assert verdicts == [VerdictCode.RETRY, VerdictCode.ACCEPTED]

    serve(scenario, tmp_path)


def test_workers_that_are_killed_under_load_are_noticed_by_nobody(tmp_path: Path) -> None:
    async def scenario(relay: Relay) -> None:
        pool = relay.engine.pool

        async def kill() -> None:
            for number in range(3):
                await eventually("some work", lambda number=number: stored() >= 40 * number and pool.pid is not None)
                assert pool.pid is not None
                os.kill(pool.pid, signal.SIGKILL)
                await eventually("its death", lambda number=number: pool.kills > number)

        async def write(name: str) -> None:
            async with await Device.join(relay.url) as device:
                for number in itertools.count():
                    if number >= 50 and killing.done():
                        break
                    marker = f"{name}{number}"
                    pushed = (f"customers/{number % 7}", update(marker))
                    assert await device.store(pushed) == [VerdictCode.ACCEPTED]
                    markers.setdefault(pushed[0], set()).add(marker)

        killing = asyncio.create_task(kill())
        await asyncio.gather(*(write(name) for name in "abc"))
        await killing

    def stored() -> int:
        return sum(map(len, markers.values()))

    markers: dict[str, set[object]] = {}
    serve(scenario, tmp_path)
    assert stored_markers(tmp_path) == markers
