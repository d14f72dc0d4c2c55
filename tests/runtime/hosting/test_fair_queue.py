"""FairQueue: whoever asks for much waits, whoever asks for little does not, and nothing is left out or done twice."""

import asyncio
import gc
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdt_sync import limits
from crdt_sync.runtime.hosting.fair_queue import _CREDIT_S, FairQueue
from crdt_sync.runtime.hosting.flow import Flow

_STEP_S = 0.0005


class Work:
    """Steps that take time on a clock of their own, and note that they ran."""

    def __init__(self) -> None:
        self.now = 0.0
        self.done: list[str] = []
        self.queue = FairQueue(asyncio.get_running_loop(), lambda: self.now)

    def step(self, name: str, took: float = _STEP_S) -> Callable[[], None]:
        def run() -> None:
            self.now += took
            self.done.append(name)

        return run


def test_a_step_runs_at_once_while_little_is_asked_for():
    async def ask() -> None:
        work = Work()
        work.queue.take(Flow(), work.step("a"))
        work.queue.take(Flow(), work.step("b"))
        assert work.done == ["a", "b"]
        assert work.queue.ran(work.step("c"))

    asyncio.run(ask())


def test_who_asks_for_little_is_served_before_a_flood_that_came_earlier():
    async def ask() -> None:
        work = Work()
        floods = [Flow() for _ in range(50)]
        for _ in range(20):
            for flood in floods:
                work.queue.take(flood, work.step("flood"))
        while len(work.done) < 2 * len(floods):
            await asyncio.sleep(0)
        before = len(work.done)
        work.queue.take(Flow(), work.step("little"))
        while "little" not in work.done:
            await asyncio.sleep(0)
        assert work.done.index("little") - before <= 1

    asyncio.run(ask())


def test_two_that_flood_share_by_what_their_steps_take_and_not_by_how_many_they_are():
    async def ask() -> None:
        work = Work()
        dear, cheap = Flow(), Flow()
        work.queue.take(Flow(), work.step("first", 1.0))  # fills the pass
        for _ in range(400):
            work.queue.take(dear, work.step("dear", 10 * _STEP_S))
            work.queue.take(cheap, work.step("cheap"))
        while work.done.count("cheap") < 200:
            await asyncio.sleep(0)
        assert 18 <= work.done.count("dear") <= 22

    asyncio.run(ask())


def test_between_two_passes_the_loop_goes_round():
    async def ask() -> None:
        work = Work()
        for _ in range(100):
            work.queue.take(Flow(), work.step("step", 0.0007))
        rounds = 0
        while len(work.done) < 100:
            seen = len(work.done)
            await asyncio.sleep(0)
            rounds += 1
            assert len(work.done) - seen <= 1  # which takes longer than a pass
        assert rounds >= 90

    asyncio.run(ask())


def test_who_comes_late_has_no_claim_to_what_others_used_before():
    async def ask() -> None:
        work = Work()
        early, late = Flow(), Flow()
        work.queue.take(Flow(), work.step("first", 1.0))
        for _ in range(400):
            work.queue.take(early, work.step("early"))
        while len(work.done) < 200:
            await asyncio.sleep(0)
        work.done.clear()
        for _ in range(100):
            work.queue.take(late, work.step("late"))
        while len(work.done) < 60:
            await asyncio.sleep(0)
        ahead = round(_CREDIT_S / _STEP_S)
        assert abs(work.done.count("late") - work.done.count("early") - ahead) <= 2

    asyncio.run(ask())


def test_steps_that_take_no_time_end_a_pass_too():
    async def ask() -> None:
        work = Work()
        work.queue.take(Flow(), work.step("first", 1.0))
        flow = Flow()
        for _ in range(1000):
            work.queue.take(flow, work.step("nothing", 0.0))
        while len(work.done) == 1:
            await asyncio.sleep(0)
        assert len(work.done) - 1 <= 26  # half a millisecond, of 20 µs each

    asyncio.run(ask())


def test_what_was_used_while_nobody_waited_is_not_held_against_anybody():
    async def ask() -> None:
        work = Work()
        busy = Flow()
        for _ in range(1000):
            work.queue.take(busy, work.step("alone", 0.001))
            await asyncio.sleep(0)
        work.done.clear()
        work.queue.take(Flow(), work.step("first", 1.0))
        for _ in range(8):
            work.queue.take(busy, work.step("busy"))
            work.queue.take(Flow(), work.step("other"))
        while len(work.done) < 17:
            await asyncio.sleep(0)
        assert "busy" in work.done[:3]

    asyncio.run(ask())


def test_strangers_of_one_address_share_one_turn():
    async def ask() -> None:
        work = Work()
        work.queue.take(Flow(), work.step("first", 1.0))
        for _ in range(300):
            work.queue.take(work.queue.stranger("192.0.2.1"), work.step("stranger"))
        member = Flow()
        for _ in range(10):
            work.queue.take(member, work.step("member"))
        while work.done.count("member") < 10:
            await asyncio.sleep(0)
        assert work.done.count("stranger") <= 11
        work.queue.take(work.queue.stranger("192.0.2.2"), work.step("elsewhere"))
        before = len(work.done)
        while "elsewhere" not in work.done:
            await asyncio.sleep(0)
        assert work.done.index("elsewhere") - before <= 1

    asyncio.run(ask())


def test_all_sessions_of_a_share_have_one_flow_as_long_as_any_is_here():
    async def ask() -> None:
        queue = Work().queue
        device, beside = ("", "192.0.2.1", b"d" * 16), ("", "192.0.2.1", b"e" * 16)
        first = queue.member(device)
        first.used_s = 1.0
        assert queue.member(device) is first
        assert queue.member(beside) is not first
        del first
        gc.collect()
        assert queue.member(device).used_s == 0.0

    asyncio.run(ask())


def test_a_step_counts_as_what_it_is_said_to_begin():
    async def ask() -> None:
        work = Work()
        begins, works = Flow(), Flow()
        work.queue.take(Flow(), work.step("first", 1.0))
        for _ in range(100):
            work.queue.take(begins, work.step("begun", 0.0), 10 * _STEP_S)
            work.queue.take(works, work.step("done"))
        while work.done.count("done") < 100:
            await asyncio.sleep(0)
        assert 8 <= work.done.count("begun") <= 14

    asyncio.run(ask())


def test_flows_of_addresses_are_forgotten_the_oldest_first(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(limits, "STRANGERS_MAX", 2)

    async def ask() -> None:
        queue = Work().queue
        first, second = queue.stranger("a"), queue.stranger("b")
        assert queue.stranger("a") is first
        queue.stranger("c")
        assert queue.stranger("a") is first
        assert queue.stranger("b") is not second

    asyncio.run(ask())


def test_no_flow_is_forgotten_while_something_waits_in_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(limits, "STRANGERS_MAX", 2)

    async def ask() -> None:
        work = Work()
        queue = work.queue
        queue.take(Flow(), work.step("first", 1.0))
        waits, idle = queue.stranger("a"), queue.stranger("b")
        queue.take(waits, work.step("waits"))
        queue.stranger("c")
        assert queue.stranger("a") is waits
        assert queue.stranger("b") is not idle
        while "waits" not in work.done:
            await asyncio.sleep(0)

    asyncio.run(ask())


def test_waiting_tells_what_a_step_raised():
    async def ask() -> None:
        work = Work()
        work.queue.take(Flow(), work.step("first", 1.0))

        def fails() -> None:
            raise ValueError("no")

        with pytest.raises(ValueError, match="no"):
            await work.queue.wait(Flow(), fails)
        await work.queue.wait(Flow(), work.step("after"))
        assert work.done[-1] == "after"

    asyncio.run(ask())


def test_a_step_that_raises_holds_up_nobody():
    async def ask() -> None:
        work = Work()
        heard: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: heard.append(context["exception"]))

        def fails() -> None:
            raise ValueError("no")

        flow = Flow()
        work.queue.take(Flow(), work.step("first", 1.0))
        work.queue.take(flow, fails)
        work.queue.take(flow, work.step("same"))
        work.queue.take(Flow(), work.step("other"))
        while len(work.done) < 3:
            await asyncio.sleep(0)
        assert sorted(work.done) == ["first", "other", "same"]
        assert [str(error) for error in heard] == ["no"]

    asyncio.run(ask())


def test_what_was_used_is_forgotten_when_nobody_waits_also_where_the_last_step_raises():
    async def ask() -> None:
        work = Work()
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)

        def fails() -> None:
            work.step("failed")()
            raise ValueError("no")

        busy = Flow()
        work.queue.take(Flow(), work.step("first", 1.0))
        for _ in range(20):
            work.queue.take(busy, work.step("busy"))
        work.queue.take(busy, fails)
        while "failed" not in work.done:
            await asyncio.sleep(0)
        for _ in range(2):
            await asyncio.sleep(0)
        work.done.clear()
        work.queue.take(Flow(), work.step("first", 1.0))
        work.queue.take(busy, work.step("busy"))
        for _ in range(4):
            work.queue.take(Flow(), work.step("other"))
        while len(work.done) < 6:
            await asyncio.sleep(0)
        assert work.done[1] == "busy"

    asyncio.run(ask())


@given(
    st.lists(st.tuples(st.integers(0, 4), st.sampled_from((0.0, 0.0004, 0.003)), st.booleans(), st.booleans())),
)
def test_each_step_runs_once_and_in_the_order_of_its_flow(asked):
    async def ask() -> None:
        work = Work()
        flows = [Flow() for _ in range(5)]
        wanted: dict[int, list[str]] = {number: [] for number in range(5)}
        for count, (number, took, nested, passes) in enumerate(asked):
            name = f"{number}:{count}"
            step = work.step(name, took)
            wanted[number].append(name)
            if nested:  # a step that asks for another of the same flow
                inner = f"{number}:{count} inner"

                def both(step=step, inner=inner, number=number) -> None:
                    step()
                    work.queue.take(flows[number], work.step(inner))

                work.queue.take(flows[number], both)
            else:
                work.queue.take(flows[number], step)
            if passes:
                await asyncio.sleep(0)
        expected = len(asked) + sum(nested for _, _, nested, _ in asked)
        for _ in range(10 * expected + 10):
            await asyncio.sleep(0)
        assert len(work.done) == len(set(work.done)) == expected
        for number, names in wanted.items():
            assert [name for name in work.done if name in set(names)] == names, number

    asyncio.run(ask())


def test_of_two_queues_beside_each_other_each_has_half_however_many_wait_in_one():
    async def ask() -> None:
        work = Work()
        beside = FairQueue(asyncio.get_running_loop(), lambda: work.now, work.queue)
        work.queue.take(Flow(), work.step("first", 1.0))  # fills the pass
        lonely = Flow()
        for _ in range(400):
            work.queue.take(Flow(), work.step("one of many"))
            beside.take(lonely, work.step("lonely"))
        while work.done.count("lonely") < 200:
            await asyncio.sleep(0)
        assert abs(work.done.count("one of many") - 200) <= round(_CREDIT_S / _STEP_S)

    asyncio.run(ask())


def test_who_asks_for_little_is_served_before_the_flood_of_a_queue_beside():
    async def ask() -> None:
        work = Work()
        beside = FairQueue(asyncio.get_running_loop(), lambda: work.now, work.queue)
        for _ in range(2000):
            work.queue.take(Flow(), work.step("flood"))
        while len(work.done) < 100:
            await asyncio.sleep(0)
        before = len(work.done)
        assert not beside.ran(work.step("at once"))
        beside.take(Flow(), work.step("little"))
        while "little" not in work.done:
            await asyncio.sleep(0)
        assert work.done.index("little") - before <= 1

    asyncio.run(ask())


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3), st.sampled_from([0.0, 0.0004, 0.003])), max_size=60))
def test_each_step_of_queues_beside_each_other_runs_once_and_in_its_order(asked: list[tuple[int, int, float]]):
    async def ask() -> None:
        work = Work()
        loop = asyncio.get_running_loop()
        queues = [work.queue, *(FairQueue(loop, lambda: work.now, work.queue) for _ in range(2))]
        flows = [[Flow() for _ in range(4)] for _ in queues]
        ran: dict[tuple[int, int], list[int]] = {}
        for number, (queue, flow, took) in enumerate(asked):

            def step(at: tuple[int, int] = (queue, flow), number: int = number, took: float = took) -> None:
                work.now += took
                ran.setdefault(at, []).append(number)

            queues[queue].take(flows[queue][flow], step)
        while sum(map(len, ran.values())) < len(asked):
            await asyncio.sleep(0)
        assert all(numbers == sorted(numbers) for numbers in ran.values())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert queues[1].ran(work.step("nobody waits any more"))

    asyncio.run(ask())
