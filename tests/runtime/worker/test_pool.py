"""The pool with its real worker: verdicts, the cache, what the caller is asked to load, and digests."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from crdt_sync import limits
from crdt_sync.errors import StoreCorrupt
from crdt_sync.runtime.worker import process
from crdt_sync.runtime.worker.pool import IntegrationPool
from crdt_sync.runtime.worker.process import WorkerUnavailable
from crdt_sync.runtime.worker.values import Item, Turn
from tests.local_workers import LocalWorker

from .conftest import RunScenario, Shelf, Writer, codes

ANNA = "customers/anna"
BEN = "customers/ben"


def test_a_new_update_is_accepted_once_and_then_known(run_scenario: RunScenario) -> None:
    async def scenario(pool: IntegrationPool, shelf: Shelf) -> None:
        items = [Item(ANNA, (Writer().write("1"),))]
        (first,) = await pool.integrate(items, None)
        (second,) = await pool.integrate(items, None)
        assert [(verdict.code, verdict.new) for verdict in first.verdicts] == [("accepted", True)]
        assert [(verdict.code, verdict.new) for verdict in second.verdicts] == [("accepted", False)]
        assert first.state_vector == second.state_vector != b"\x00"
        assert (pool.batches, pool.updates, pool.kills) == (2, 2, 0)
        assert pool.last_batch_seconds > 0

    run_scenario(scenario)


def test_each_update_has_its_own_verdict(run_scenario: RunScenario) -> None:
    async def scenario(pool: IntegrationPool, shelf: Shelf) -> None:
        writer, other = Writer(1), Writer(2)
        first, lost, third = writer.write("1"), writer.write("2"), writer.write("3")
        ahead = other.write("4", stamp=9_000_000)
        results = await pool.integrate(
            [Item(ANNA, (first, third, b"\xff", ahead, lost, third)), Item(BEN, (third,))], stamp_max=8_000_000
        )
        assert codes(results) == [["accepted", "gap", "malformed", "clock_ahead", "accepted", "accepted"], ["gap"]]
        assert results[1].state_vector == b"\x00"

    run_scenario(scenario)


def test_a_snapshot_comes_when_it_is_wanted_and_holds_everything(run_scenario: RunScenario) -> None:
    async def scenario(pool: IntegrationPool, shelf: Shelf) -> None:
        writer = Writer()
        edits = tuple(writer.write(str(number)) for number in range(9))
        plain, wanted, alone = await pool.integrate(
            [Item(ANNA, edits[:3]), Item(ANNA, edits[3:], want_snapshot=True), Item(ANNA, (), want_snapshot=True)], None
        )
        assert plain.snapshot is None
        assert wanted.snapshot is not None
        assert alone.verdicts == ()
        assert alone.state_vector == wanted.state_vector
        shelf.updates[BEN] = [wanted.snapshot]
        (copy,) = await pool.integrate([Item(BEN, edits)], None)
        assert copy.state_vector == wanted.state_vector
        assert not any(verdict.new for verdict in copy.verdicts)

    run_scenario(scenario)


def test_the_next_call_knows_what_the_last_one_accepted_before_its_caller_has_stored_it(
    run_scenario: RunScenario,
) -> None:
    async def scenario(pool: IntegrationPool, shelf: Shelf) -> None:
        writer = Writer()
        calls = [asyncio.create_task(pool.integrate([Item(ANNA, (writer.write(value),))], None)) for value in "12"]
        await asyncio.sleep(0)
        pool.forget(ANNA)  # so that the second call has to load it
        assert codes([result for results in await asyncio.gather(*calls) for result in results]) == [["accepted"]] * 2
        assert shelf.loads == [ANNA, ANNA]

    run_scenario(scenario)


def test_what_was_handed_over_is_asked_for_again_once_the_caller_has_it(run_scenario: RunScenario) -> None:
    async def scenario(pool: IntegrationPool, shelf: Shelf) -> None:
        writer = Writer()
        first, second, third = (Item(ANNA, (writer.write(value),)) for value in "123")
        await asyncio.gather(pool.integrate([first], None), pool.integrate([second], None))
        pool.forget(ANNA)  # the caller gives both up: nothing of them may be left
        (result,) = await pool.integrate([third], None)
        assert codes([result]) == [["gap"]]

    run_scenario(scenario)


def test_a_record_is_loaded_once_and_again_after_it_was_forgotten(run_scenario: RunScenario) -> None:
    async def scenario(pool: IntegrationPool, shelf: Shelf) -> None:
        writer = Writer()
        assert not pool.cached(ANNA)
        for value in "12":
            await pool.integrate([Item(ANNA, (writer.write(value),))], None)
        assert pool.cached(ANNA)
        assert shelf.loads == [ANNA]
        pool.forget(ANNA)
        assert not pool.cached(ANNA)
        (result,) = await pool.integrate([Item(ANNA, (writer.write("3"),))], None)
        assert shelf.loads == [ANNA, ANNA]
        assert codes([result]) == [["gap"]]  # the store holds nothing of it, and so does the worker now

    run_scenario(scenario)


@pytest.mark.parametrize("everything", [False, True])
def test_a_record_forgotten_during_a_batch_is_not_cached_after_it(run_scenario: RunScenario, everything: bool) -> None:
    async def scenario(pool: IntegrationPool, shelf: Shelf) -> None:
        batch = asyncio.create_task(pool.integrate([Item(ANNA, (Writer().write("1"),))], None))
        while not shelf.loads:
            await asyncio.sleep(0)
        pool.forget_all() if everything else pool.forget(ANNA)
        await batch
        assert not pool.cached(ANNA)

    run_scenario(scenario)


def test_evicted_records_are_loaded_again(run_scenario: RunScenario, rogue: None) -> None:
    async def scenario(pool: IntegrationPool, shelf: Shelf) -> None:  # this worker holds 8 records
        writers = {f"customers/{number}": Writer() for number in range(20)}
        for _ in range(3):
            items = [Item(record, (writer.write("x"),)) for record, writer in writers.items()]
            results = await pool.integrate(items, None)
            assert codes(results) == [["accepted"]] * 20
            shelf.keep(items, results)
            assert [record for record in writers if pool.cached(record)] == list(writers)[-8:]

    run_scenario(scenario)


def test_a_record_evicted_within_a_batch_is_loaded_with_what_the_batch_got_accepted(
    run_scenario: RunScenario, rogue: None
) -> None:
    async def scenario(pool: IntegrationPool, shelf: Shelf) -> None:
        writer = Writer()
        others = [Item(f"customers/{number}", (Writer().write("x"),)) for number in range(8)]
        items = [Item(ANNA, (writer.write("1"),)), *others, Item(ANNA, (writer.write("2"),))]
        results = await pool.integrate(items, None)
        assert codes(results) == [["accepted"]] * 10
        assert results[-1].verdicts[0].new

    run_scenario(scenario)


def test_loaded_records_are_bounded_by_their_size_as_well(run_scenario: RunScenario) -> None:
    async def scenario(pool: IntegrationPool, shelf: Shelf) -> None:
        large = limits.VALUE_BYTES_MAX * 3 // 4
        per_record = 20
        count = limits.WORKER_CACHE_BYTES_MAX // (large * per_record) + 2
        for number in range(count):
            writer = Writer()
            edits = tuple(writer.write("x" * large, field=f"c.{field}") for field in range(per_record))
            (result,) = await pool.integrate([Item(f"customers/{number}", edits)], None)
            assert codes([result]) == [["accepted"] * per_record]
        assert not pool.cached("customers/0")
        assert pool.cached(f"customers/{count - 1}")
        assert pool.kills == 0

    run_scenario(scenario)


def test_a_record_that_is_edited_without_end_is_as_large_as_its_last_snapshot() -> None:
    async def scenario() -> None:
        turn = Turn(limits.QUICK_TURN_US * 1000, short=True)  # however slow the machine is
        shelf, writer = Shelf(), Writer()
        pool = IntegrationPool(shelf.load, keep_spare=False, start_worker=LocalWorker.start, turn=turn)
        value = "x" * 1000
        for number in range(2 * limits.QUICK_ITEM_BYTES_MAX // len(value)):
            item = Item(ANNA, (writer.write(f"{number}{value}"),), want_snapshot=number % 32 == 31)
            results = await pool.integrate([item], None)
            assert codes(results) == [["accepted"]]
        await pool.close()

    asyncio.run(scenario())


def test_more_than_one_request_holds_is_divided(run_scenario: RunScenario) -> None:
    async def scenario(pool: IntegrationPool, shelf: Shelf) -> None:
        items = [Item(f"customers/{number}", (Writer().write("x"),)) for number in range(600)]
        assert codes(await pool.integrate(items, None)) == [["accepted"]] * 600

    run_scenario(scenario)


def test_batches_asked_for_at_once_are_served_in_order(run_scenario: RunScenario) -> None:
    async def scenario(pool: IntegrationPool, shelf: Shelf) -> None:
        writer = Writer()
        batches = [pool.integrate([Item(ANNA, (writer.write(str(number)),))], None) for number in range(10)]
        for results in await asyncio.gather(*batches):
            assert codes(results) == [["accepted"]]

    run_scenario(scenario)


def test_a_record_whose_own_state_cannot_be_scanned_is_answered_retry_and_nobody_is_blamed(
    run_scenario: RunScenario,
) -> None:
    nested_map_beside_text = bytes.fromhex("01020900040103742e610161070103632e610100")

    async def scenario(pool: IntegrationPool, shelf: Shelf) -> None:
        shelf.updates[ANNA] = [nested_map_beside_text]
        items = [Item(ANNA, (Writer().write("1"),), sources=("anna",)), Item(BEN, (Writer().write("1"),))]
        results = await pool.integrate(items, None)
        assert codes(results) == [["retry"], ["accepted"]]
        assert "cannot be loaded" in results[0].verdicts[0].reason
        assert (pool.kills, pool.poisoned, pool.unloadable) == (0, 0, 1)
        shelf.updates[ANNA] = []
        pool.forget(ANNA)
        assert codes(await pool.integrate(items[:1], None)) == [["accepted"]]

    run_scenario(scenario)


def test_a_record_whose_stored_bytes_are_corrupt_is_answered_retry_and_the_others_go_on(
    run_scenario: RunScenario,
) -> None:
    async def scenario(pool: IntegrationPool, shelf: Shelf) -> None:
        shelf.updates[ANNA] = [b"\xff\xff"]
        items = [Item(ANNA, (Writer().write("1"),)), Item(BEN, (Writer().write("1"),))]
        results = await pool.integrate(items, None)
        assert codes(results) == [["retry"], ["accepted"]]
        assert "cannot be loaded" in results[0].verdicts[0].reason
        shelf.updates[ANNA] = []
        assert codes(await pool.integrate(items[:1], None)) == [["retry"]]  # not tried again until told so
        pool.forget(ANNA)
        assert codes(await pool.integrate(items[:1], None)) == [["accepted"]]
        assert (pool.kills, pool.unloadable) == (0, 1)

    run_scenario(scenario)


def test_a_record_that_the_store_cannot_read_is_answered_retry_with_its_reason() -> None:
    def load(record: str) -> list[bytes]:
        if record == ANNA:
            raise StoreCorrupt("the checksum of customers/anna is wrong")
        return []

    async def scenario() -> None:
        pool = IntegrationPool(load)
        await pool.start()
        try:
            results = await pool.integrate([Item(ANNA, (b"",)), Item(BEN, (Writer().write("1"),))], None)
            assert codes(results) == [["retry"], ["accepted"]]
            assert "checksum" in results[0].verdicts[0].reason
            assert [digest is None for digest in await pool.digests([ANNA, BEN])] == [True, False]
        finally:
            await pool.close()

    asyncio.run(scenario())


def test_digests_are_of_what_is_stored_and_equal_for_equal_content(run_scenario: RunScenario) -> None:
    async def scenario(pool: IntegrationPool, shelf: Shelf) -> None:
        left, right = Writer(1), Writer(2)
        edits = [left.write("1"), right.write("2", field="c.email")]
        shelf.updates = {ANNA: edits, BEN: edits[::-1], "customers/cem": edits[:1]}
        for content in (False, True):
            anna, ben, cem = await pool.digests(list(shelf.updates), content)
            assert anna is not None
            assert ben is not None
            assert cem is not None
            assert (anna.digest, anna.state_vector) == (ben.digest, ben.state_vector)
            assert anna.digest != cem.digest
            assert len(anna.digest) == 16

    run_scenario(scenario)


def test_digests_of_many_and_of_large_records_come_in_the_order_asked(run_scenario: RunScenario) -> None:
    async def scenario(pool: IntegrationPool, shelf: Shelf) -> None:
        value = "x" * (limits.INTEGRATION_BYTES_MAX // 3)
        shelf.updates = {f"customers/large-{number}": [Writer().write(value)] for number in range(5)}
        shelf.updates |= {f"customers/small-{number}": [Writer().write("x")] for number in range(150)}
        digests = await pool.digests(list(shelf.updates))
        assert [digest.record for digest in digests if digest is not None] == list(shelf.updates)

    run_scenario(scenario)


def test_a_spare_that_died_while_it_waited_is_passed_over(run_scenario: RunScenario) -> None:
    async def scenario(pool: IntegrationPool, shelf: Shelf) -> None:
        first = pool.pid
        assert first is not None
        children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children")
        await pool.digests([])
        while not (spares := [int(pid) for pid in children.read_text().split() if int(pid) != first]):
            await asyncio.sleep(0)
        for pid in (first, *spares):
            os.kill(pid, signal.SIGKILL)
        assert codes(await pool.integrate([Item(ANNA, (Writer().write("1"),))], None)) == [["accepted"]]

    run_scenario(scenario, keep_spare=True)


def test_a_worker_killed_between_batches_is_replaced_by_the_spare(run_scenario: RunScenario) -> None:
    async def scenario(pool: IntegrationPool, shelf: Shelf) -> None:
        writer = Writer()
        for count in range(1, 4):
            items = [Item(ANNA, (writer.write("x"),))]
            before = pool.pid
            shelf.keep(items, await pool.integrate(items, None))
            assert before is not None
            os.kill(before, signal.SIGKILL)
            items = [Item(ANNA, (writer.write("y"),))]
            results = await pool.integrate(items, None)
            shelf.keep(items, results)
            assert codes(results) == [["accepted"]]
            assert pool.pid != before
            assert pool.restarts == count

    run_scenario(scenario, keep_spare=True)


def test_a_worker_that_cannot_start_is_an_error_that_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "worker_command", lambda: ["/bin/sh", "-c", "echo no such module >&2; exit 3"])

    async def scenario() -> None:
        pool = IntegrationPool(lambda record: [])
        try:
            with pytest.raises(WorkerUnavailable, match="no such module"):
                await pool.start()
        finally:
            await pool.close()

    asyncio.run(scenario())


def test_a_closed_pool_refuses_work_and_leaves_no_process(run_scenario: RunScenario) -> None:
    async def scenario(pool: IntegrationPool, shelf: Shelf) -> None:
        pid = pool.pid
        assert pid is not None
        await pool.close()
        with pytest.raises(WorkerUnavailable, match="closed"):
            await pool.integrate([Item(ANNA, (b"",))], None)
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)

    run_scenario(scenario)
