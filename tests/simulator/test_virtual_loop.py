"""The event loop on virtual time: time, order, executors, processes that die, and the same run every time."""

import asyncio
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress

import pytest

from crdt_bench.simulator.virtual_loop import LoopExecutor, Stalled, VirtualLoop


@pytest.fixture
def loop() -> Iterator[VirtualLoop]:
    with VirtualLoop(random.Random(1)) as loop:
        yield loop


def test_an_hour_of_sleep_takes_no_time_and_ends_on_the_microsecond(loop: VirtualLoop) -> None:
    loop.run_until_complete(asyncio.sleep(3600.000001))
    assert loop.now_us == 3_600_000_001
    assert loop.time() == 3600.000001


def test_no_timer_wakes_before_its_time(loop: VirtualLoop) -> None:
    """Whoever sets a timer for a microsecond and finds it not reached would set it again, for ever."""
    rng = random.Random(7)
    for _ in range(2000):
        wanted = loop.now_us + rng.randint(1, 10_000_000)
        woken: list[int] = []
        loop.call_at(wanted / 1e6, lambda seen=woken: seen.append(round(loop.time() * 1e6)))  # type: ignore[misc]
        loop.run_until(wanted)
        assert woken == [wanted]


def test_timers_of_one_instant_wake_in_the_order_in_which_they_were_set(loop: VirtualLoop) -> None:
    seen: list[int] = []
    for number in range(50):
        loop.call_at(1.0, seen.append, number)
    loop.call_at(0.5, seen.append, -1)
    loop.run_until(1_000_000)
    assert seen == [-1, *range(50)]


def test_run_until_stops_at_its_time_and_goes_on_there(loop: VirtualLoop) -> None:
    seen: list[str] = []
    loop.call_at(1.0, seen.append, "at one")
    loop.call_at(1.000001, seen.append, "later")
    loop.run_until(1_000_000)
    assert (seen, loop.now_us) == (["at one"], 1_000_000)
    loop.run_until(2_000_000)
    assert (seen, loop.now_us) == (["at one", "later"], 2_000_000)


def test_a_cancelled_timer_neither_wakes_nor_moves_time(loop: VirtualLoop) -> None:
    loop.call_at(5.0, pytest.fail, "cancelled").cancel()
    loop.call_at(1.0, loop.stop)
    loop.run_forever()
    assert loop.now_us == 1_000_000


def test_a_timeout_ends_what_takes_too_long(loop: VirtualLoop) -> None:
    async def work() -> int:
        with suppress(TimeoutError):
            async with asyncio.timeout(2):
                await asyncio.Event().wait()
        return loop.now_us

    assert loop.run_until_complete(work()) == 2_000_000


def test_waiting_for_what_never_comes_is_an_error(loop: VirtualLoop) -> None:
    with pytest.raises(Stalled):
        loop.run_until_complete(asyncio.Event().wait())


# --- executors ---------------------------------------------------------------------------------------------------


def test_an_executor_answers_later_and_in_order() -> None:
    takes = iter([(500, 50), (10, 50), (10, 50)])
    seen: list[tuple[str, int]] = []
    with VirtualLoop(delay=lambda: next(takes)) as loop:
        executor = LoopExecutor(loop)

        async def work() -> list[str]:
            asked = [
                loop.run_in_executor(executor, lambda name=name: seen.append((name, loop.now_us)) or name)  # type: ignore[misc]
                for name in ("slow", "quick")
            ]
            return [*await asyncio.gather(*asked), await asyncio.to_thread(str.upper, "beside")]

        assert loop.run_until_complete(work()) == ["slow", "quick", "BESIDE"]
    assert seen == [("slow", 500), ("quick", 510)]


def test_what_an_executor_raises_is_raised_to_the_caller(loop: VirtualLoop) -> None:
    with pytest.raises(ZeroDivisionError):
        loop.run_until_complete(loop.run_in_executor(None, lambda: 1 // 0))


def test_what_has_begun_is_carried_through_and_what_waits_is_not(loop: VirtualLoop) -> None:
    seen: list[str] = []

    async def work() -> None:
        executor = LoopExecutor(loop)
        begun = loop.run_in_executor(executor, seen.append, "begun")
        waiting = loop.run_in_executor(executor, seen.append, "waiting")
        begun.cancel()
        waiting.cancel()
        await asyncio.sleep(1)

    loop.run_until_complete(work())
    assert seen == ["begun"]


def test_shutting_an_executor_down_waits_for_what_it_was_given(loop: VirtualLoop) -> None:
    seen: list[str] = []
    executor = LoopExecutor(loop)
    begun, cancelled, _ = [
        loop.run_in_executor(executor, seen.append, name) for name in ("begun", "cancelled", "waiting")
    ]
    begun.cancel()
    cancelled.cancel()
    executor.shutdown(wait=True)
    assert seen == ["begun", "waiting"]
    loop.run_until(1_000_000)
    assert seen == ["begun", "waiting"]


# --- processes ---------------------------------------------------------------------------------------------------


def test_nothing_of_a_killed_process_happens_any_more(loop: VirtualLoop) -> None:
    seen: list[str] = []

    async def tick(name: str) -> None:
        try:
            while True:
                await asyncio.sleep(1)
                seen.append(name)
        finally:
            seen.append(f"{name} ends")

    async def parent(name: str) -> None:
        await asyncio.gather(tick(name), asyncio.to_thread(seen.append, f"{name} thread"))

    killed, kept = loop.process("killed"), loop.process("kept")
    killed.start(loop, parent("killed"))
    kept.start(loop, tick("kept"))
    loop.run_until(1_500_000)
    killed.call(loop.call_later, 1, seen.append, "a timer")
    killed.kill()
    loop.run_until(3_500_000)
    assert seen == ["killed thread", "kept", "killed", "kept", "kept"]


def test_closing_the_loop_closes_what_was_not_finished_even_where_its_end_waits(loop: VirtualLoop) -> None:
    ended: list[str] = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(1)
            ended.append("never")

    loop.process("work").start(loop, work())
    loop.run_until(10)
    loop.close()
    assert ended == []


def test_a_failure_is_raised_though_others_catch_it(loop: VirtualLoop) -> None:
    async def work() -> None:
        with suppress(ValueError):
            error = ValueError("a promise was broken")
            loop.fail(error)
            raise error
        await asyncio.sleep(3600)

    loop.main.start(loop, work())
    with pytest.raises(ValueError, match="a promise"):
        loop.run_until(10_000_000)
    assert loop.now_us < 10_000_000


# --- the same every time -----------------------------------------------------------------------------------------

_STORY = """
import asyncio, random
from crdt_bench.simulator.virtual_loop import VirtualLoop

seen = []

async def work(loop, name, rng):
    for step in range(20):
        await asyncio.sleep(rng.random())
        await asyncio.to_thread(seen.append, (name, step))
        waited = {asyncio.ensure_future(asyncio.sleep(0, other)) for other in range(5)}
        done, _ = await asyncio.wait(waited)
        seen.extend((name, task.result(), loop.now_us) for task in done)
        seen.append(hash(str(name)) and loop.callbacks)

async def all_of_it(loop):
    await asyncio.gather(*(work(loop, name, random.Random(name)) for name in range(5)))

with VirtualLoop(random.Random(3)) as loop:
    loop.run_until_complete(all_of_it(loop))
print(seen)
"""


def test_one_seed_is_one_run_whatever_the_hash_seed() -> None:
    told = {
        subprocess.run(
            [sys.executable, "-c", _STORY],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(told) == 1
    assert len(told.pop()) > 1000


def test_no_timer_wakes_in_the_microsecond_before_its_time() -> None:
    """Else whoever waits for what is left of a timeout would wait for ever, at once, without time going on."""
    with VirtualLoop() as loop:
        woken: list[int] = []
        loop.call_later(3e-7, lambda: woken.append(loop.now_us))
        loop.run_until(10)
    assert woken == [1]
