"""Updates that hang, crash or bloat the worker: the sender's own update is refused, and nobody else notices."""

import asyncio
import json
import os
import signal
from pathlib import Path

import pytest

from crdt_sync import limits
from crdt_sync.protocol.messages import VerdictCode
from crdt_sync.runtime.worker.pool import IntegrationPool, Worker
from crdt_sync.runtime.worker.process import WorkerUnavailable
from crdt_sync.runtime.worker.values import Item

from .conftest import RunScenario, Shelf, Writer, codes

ANNA = "customers/anna"
BEN = "customers/ben"
CEM = "customers/cem"


def honest() -> Item:
    return Item(f"customers/{os.urandom(8).hex()}", (Writer().write("x"),))


async def answers_before_another_worker_starts(pool: IntegrationPool) -> None:
    """The promise of a pool whose spare is warm."""
    if pool._spare is not None:
        await asyncio.shield(pool._spare)
    start, answered = pool._start_worker, asyncio.Event()

    async def start_later() -> Worker:
        await answered.wait()
        return await start()

    pool._start_worker = start_later
    assert codes(await asyncio.wait_for(pool.integrate([honest()], None), 60)) == [["accepted"]]
    answered.set()
    pool._start_worker = start


@pytest.mark.parametrize("order", [b"!hang", b"!crash", b"!exit", b"!bomb"])
def test_an_update_that_kills_the_worker_is_poison_and_its_neighbours_are_accepted(
    run_scenario: RunScenario, rogue: None, monkeypatch: pytest.MonkeyPatch, order: bytes
) -> None:
    monkeypatch.setattr(limits, "INTEGRATION_AGAIN_FACTOR", 1)

    async def scenario(pool: IntegrationPool, shelf: Shelf) -> None:
        anna = Writer()
        items = [
            Item(ANNA, (anna.write("1"),)),
            Item(BEN, (Writer().write("1"), order, Writer(2).write("2")), want_snapshot=True),
            Item(ANNA, (anna.write("2"),)),
            honest(),
        ]
        results = await pool.integrate(items, None)
        assert codes(results) == [["accepted"], ["accepted", "poison", "accepted"], ["accepted"], ["accepted"]]
        assert results[1].snapshot is not None
        assert (pool.kills, pool.poisoned, pool.restarts) == (2, 1, 2)
        await answers_before_another_worker_starts(pool)

    run_scenario(scenario, keep_spare=True)


def test_poison_sent_again_is_refused_without_a_worker_dying_of_it(run_scenario: RunScenario, rogue: None) -> None:
    async def scenario(pool: IntegrationPool, shelf: Shelf) -> None:
        items = [Item(ANNA, (b"!crash",))]
        assert codes(await pool.integrate(items, None)) == [["poison"]]
        kills = pool.kills
        assert codes(await pool.integrate(items, None)) == [["poison"]]
        assert pool.kills == kills

    run_scenario(scenario)


def test_an_update_that_a_worker_died_of_once_by_chance_is_accepted(
    run_scenario: RunScenario, rogue: None, tmp_path: Path
) -> None:
    async def scenario(pool: IntegrationPool, shelf: Shelf) -> None:
        chance = tmp_path / "chance"
        chance.touch()
        items = [honest(), Item(ANNA, (Writer().write("1"), b"!once " + os.fsencode(chance))), honest()]
        assert codes(await pool.integrate(items, None)) == [["accepted"], ["accepted"] * 2, ["accepted"]]
        assert (pool.kills, pool.poisoned) == (1, 0)

    run_scenario(scenario)


def test_a_worker_killed_from_outside_in_the_middle_of_a_batch_costs_nobody_anything(run_scenario: RunScenario) -> None:
    async def scenario(pool: IntegrationPool, shelf: Shelf) -> None:
        writers = {f"customers/{number}": Writer() for number in range(200)}
        items = [Item(record, (writer.write("x"),)) for record, writer in writers.items()]
        assert pool.pid is not None
        os.kill(pool.pid, signal.SIGSTOP)  # so that the batch is still under way when the worker dies
        batch = asyncio.create_task(pool.integrate(items, None))
        while len(shelf.loads) < len(items):
            await asyncio.sleep(0)
        os.kill(pool.pid, signal.SIGKILL)
        assert codes(await batch) == [["accepted"]] * 200
        assert (pool.kills, pool.poisoned) == (1, 0)

    run_scenario(scenario)


def test_a_sender_of_much_poison_is_examined_no_further(run_scenario: RunScenario, rogue: None) -> None:
    async def scenario(pool: IntegrationPool, shelf: Shelf) -> None:
        poison = tuple(b"!crash %d" % number for number in range(limits.POISON_STRIKES_MAX + 2))
        items = [
            Item(ANNA, (*poison, Writer().write("x")), sources=("mallory",) * len(poison) + ("anna",)),
            Item(BEN, (Writer().write("x"),), sources=("mallory",)),
            Item(CEM, (Writer().write("x"),), sources=("cem",)),
        ]
        results = await pool.integrate(items, None)
        expected = ["poison"] * limits.POISON_STRIKES_MAX + ["retry"] * 2 + ["accepted"]
        assert codes(results) == [expected, ["retry"], ["accepted"]]
        assert pool.kills == 2 * limits.POISON_STRIKES_MAX

    run_scenario(scenario)


def test_stored_bytes_that_kill_the_worker_condemn_no_update(run_scenario: RunScenario, rogue: None) -> None:
    async def scenario(pool: IntegrationPool, shelf: Shelf) -> None:
        shelf.updates[ANNA] = [b"!crash"]
        items = [honest(), Item(ANNA, (Writer().write("x"),)), honest()]
        assert codes(await pool.integrate(items, None)) == [["accepted"], ["retry"], ["accepted"]]
        assert (pool.poisoned, pool.unloadable) == (0, 1)
        kills = pool.kills
        assert codes(await pool.integrate(items[1:2], None)) == [["retry"]]
        assert pool.kills == kills

    run_scenario(scenario)


@pytest.mark.parametrize("order", [b"!garbage", b"!huge"])
def test_an_answer_that_is_none_kills_the_worker_and_is_asked_for_again(
    run_scenario: RunScenario, rogue: None, order: bytes
) -> None:
    async def scenario(pool: IntegrationPool, shelf: Shelf) -> None:
        items = [honest(), Item(ANNA, (order,)), honest()]
        assert codes(await pool.integrate(items, None)) == [["accepted"], ["retry"], ["accepted"]]
        assert pool.poisoned == 0
        await answers_before_another_worker_starts(pool)

    run_scenario(scenario, keep_spare=True)


def test_what_native_code_prints_is_not_taken_for_an_answer(run_scenario: RunScenario, rogue: None) -> None:
    async def scenario(pool: IntegrationPool, shelf: Shelf) -> None:
        items = [Item(ANNA, (Writer().write("1"), b"!print")), honest()]
        assert codes(await pool.integrate(items, None)) == [["accepted"] * 2, ["accepted"]]
        assert pool.kills == 0

    run_scenario(scenario)


def test_a_worker_that_uses_no_processor_is_given_up_in_the_end_and_nothing_is_said_of_the_update(
    run_scenario: RunScenario, rogue: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "INTEGRATION_STUCK_US_MAX", 100_000)

    async def scenario(pool: IntegrationPool, shelf: Shelf) -> None:
        items = [Item(ANNA, (b"!freeze",)), honest()]
        assert codes(await pool.integrate(items, None)) == [["retry"], ["accepted"]]
        assert pool.poisoned == 0
        kills = pool.kills
        assert codes(await pool.integrate(items, None)) == [["retry"], ["accepted"]]
        assert pool.kills > kills  # it was tried again

    run_scenario(scenario)


def test_a_worker_that_is_stopped_for_longer_than_its_processor_time_is_waited_for(
    run_scenario: RunScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "INTEGRATION_US", 20_000)

    async def scenario(pool: IntegrationPool, shelf: Shelf) -> None:
        assert pool.pid is not None
        os.kill(pool.pid, signal.SIGSTOP)
        batch = asyncio.create_task(pool.integrate([honest()], None))
        finished, _ = await asyncio.wait((batch,), timeout=10 * limits.INTEGRATION_US / 1e6)
        assert not finished
        os.kill(pool.pid, signal.SIGCONT)
        assert codes(await batch) == [["accepted"]]
        assert pool.kills == 0

    run_scenario(scenario)


def test_an_update_that_took_too_long_once_is_accepted_alone_in_a_fresh_worker(
    run_scenario: RunScenario, rogue: None, tmp_path: Path
) -> None:
    async def scenario(pool: IntegrationPool, shelf: Shelf) -> None:
        chance = tmp_path / "chance"
        chance.touch()
        await pool.integrate([honest()], None)
        dear = Item(ANNA, (Writer().write("1"), b"!slow-once " + os.fsencode(chance), Writer(2).write("2")))
        assert codes(await pool.integrate([honest(), dear, honest()], None)) == [
            ["accepted"],
            ["accepted"] * 3,
            ["accepted"],
        ]
        assert (pool.kills, pool.poisoned) == (1, 0)

    run_scenario(scenario)


@pytest.mark.parametrize("content", [False, True])
def test_a_stuck_worker_says_nothing_of_the_records_whose_digests_were_asked_for(
    run_scenario: RunScenario, monkeypatch: pytest.MonkeyPatch, content: bool
) -> None:
    monkeypatch.setattr(limits, "INTEGRATION_STUCK_US_MAX", 100_000)

    async def scenario(pool: IntegrationPool, shelf: Shelf) -> None:
        shelf.updates[ANNA] = [Writer().write("1")]

        def load(record: str) -> list[bytes]:
            return shelf.load(record)

        (expected,) = await pool.digests([ANNA], content)
        assert pool.pid is not None
        os.kill(pool.pid, signal.SIGSTOP)
        (found,) = await pool.digests([ANNA], content, load)
        assert found == expected
        assert pool.kills == 1

    run_scenario(scenario)


def test_a_cancelled_batch_leaves_a_pool_that_answers(run_scenario: RunScenario, rogue: None) -> None:
    async def scenario(pool: IntegrationPool, shelf: Shelf) -> None:
        batch = asyncio.create_task(pool.integrate([Item(ANNA, (b"!hang",))], None))
        while not shelf.loads:
            await asyncio.sleep(0)
        batch.cancel()
        with pytest.raises(asyncio.CancelledError):
            await batch
        assert not pool.cached(ANNA)
        await answers_before_another_worker_starts(pool)

    run_scenario(scenario, keep_spare=True)


def test_a_pool_closed_during_a_batch_ends_it_with_an_error(run_scenario: RunScenario, rogue: None) -> None:
    async def scenario(pool: IntegrationPool, shelf: Shelf) -> None:
        batch = asyncio.create_task(pool.integrate([Item(ANNA, (b"!hang",))], None))
        while not shelf.loads:
            await asyncio.sleep(0)
        await pool.close()
        with pytest.raises(WorkerUnavailable, match="closed"):
            await batch

    run_scenario(scenario)


def hostile_cases(shared_data: Path) -> list[tuple[bytes, bytes]]:
    cases = json.loads((shared_data / "vectors" / "hostile_updates.json").read_text())["cases"]
    pairs = {(bytes.fromhex(case["base"]), bytes.fromhex(case["update"])): None for case in cases}
    return list(pairs)


def test_known_hostile_updates_are_refused_or_harmless_and_harm_no_neighbour(
    run_scenario: RunScenario, shared_data: Path
) -> None:
    """Through the gate, on top of the very states that they were made for."""

    async def scenario(pool: IntegrationPool, shelf: Shelf) -> None:
        for number, (base, update) in enumerate(hostile_cases(shared_data)):
            record = f"customers/hostile-{number}"
            shelf.updates[record] = [base] if base else []
            neighbours = [honest(), honest()]
            results = await pool.integrate([neighbours[0], Item(record, (update,)), neighbours[1]], None)
            assert codes(results)[0] == codes(results)[2] == ["accepted"]
            assert len(codes(results)[1]) == 1
            await answers_before_another_worker_starts(pool)

    run_scenario(scenario, keep_spare=True)


def test_hostile_updates_that_get_past_the_gate_are_survived_too(
    run_scenario: RunScenario, rogue: None, monkeypatch: pytest.MonkeyPatch, shared_data: Path
) -> None:
    """This worker integrates unread, so that they really hang, crash and panic."""
    monkeypatch.setattr(limits, "INTEGRATION_AGAIN_FACTOR", 1)

    async def scenario(pool: IntegrationPool, shelf: Shelf) -> None:
        outcomes = []
        for number, (base, update) in enumerate(hostile_cases(shared_data)[::3]):
            record = f"customers/hostile-{number}"
            shelf.updates[record] = [base] if base else []
            neighbours = [honest(), honest()]
            results = await pool.integrate([neighbours[0], Item(record, (update,)), neighbours[1]], None)
            assert codes(results)[0] == codes(results)[2] == ["accepted"]
            outcomes.append(results[1].verdicts[0].code)
        assert outcomes.count(VerdictCode.POISON) == pool.poisoned >= 6
        assert pool.kills >= 2 * pool.poisoned
        await answers_before_another_worker_starts(pool)

    run_scenario(scenario, keep_spare=True)
