"""What one sender's slow updates cost the others: a worker that takes its whole time over them, and a clock."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest

from crdt_sync import limits
from crdt_sync.runtime.worker import pipe
from crdt_sync.runtime.worker.budget import Budget
from crdt_sync.runtime.worker.pool import IntegrationPool
from crdt_sync.runtime.worker.process import WorkerDied
from crdt_sync.runtime.worker.progress import Mark
from crdt_sync.runtime.worker.suspects import Suspects
from crdt_sync.runtime.worker.values import Item, Result

EVIL, ANNA = "session of Eve", "session of Anna"
LOOP, SLOW, QUICK = b"never ends", b"takes twice the time that it has at first", b"x"
QUICK_US = 1_000
ONCE_US = limits.INTEGRATION_US
ALONE_US = limits.INTEGRATION_AGAIN_FACTOR * ONCE_US


class Clock:
    """Processor time that the workers have used."""

    def __init__(self) -> None:
        self.us = 0


class Worker:
    """Accepts everything that ends in the time that it has."""

    pid = 1

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.alive = self.fresh = True
        self.missing: Sequence[str] = ()

    async def close(self) -> None:
        self.alive = False

    async def ask(self, number: int, request: bytes, budget: Budget) -> bytes:
        self.fresh = False
        await asyncio.sleep(0)
        _, _, _, _, items, _ = pipe.decode_request(request[pipe.LENGTH.size :])
        results = []
        for index, (_, _, updates, _) in enumerate(items):
            for position, update in enumerate(updates):
                allowed = budget.step_us(Mark(index, position))
                needed = {LOOP: allowed + 1, SLOW: 2 * ONCE_US}.get(update, QUICK_US)
                self._clock.us += min(needed, allowed)
                if needed > allowed:
                    self.alive = False
                    raise WorkerDied("no answer in time", Mark(index, position), late=True)
            results.append(([1] * len(updates), b"\x00", None, None))
        return pipe.frame((number, results, []))[pipe.LENGTH.size :]


Scenario = Callable[[IntegrationPool, Clock], Awaitable[None]]


@pytest.fixture
def play() -> Callable[[Scenario], None]:
    """Run a scenario with a pool of such workers."""

    def run(scenario: Scenario) -> None:
        clock = Clock()

        async def start() -> Worker:
            return Worker(clock)

        async def whole() -> None:
            workers = IntegrationPool(lambda record: [], keep_spare=False, fair=True, start_worker=start)
            try:
                await scenario(workers, clock)
            finally:
                await workers.close()

        asyncio.run(whole())

    return run


def sent(sender: str, record: str, *updates: bytes) -> Item:
    return Item(record, updates, sources=(sender,) * len(updates))


def codes(results: list[Result]) -> list[list[str]]:
    return [[verdict.code for verdict in result.verdicts] for result in results]


def test_others_wait_for_the_first_trial_of_a_loop_and_not_for_the_larger_one(
    play: Callable[[Scenario], None],
) -> None:
    async def scenario(workers: IntegrationPool, clock: Clock) -> None:
        batch = [sent(EVIL, "a", LOOP, QUICK), sent(ANNA, "b", QUICK), sent(EVIL, "c", QUICK)]
        assert codes(await workers.integrate(batch, None)) == [["retry", "retry"], ["accepted"], ["retry"]]
        assert clock.us <= ONCE_US + 10 * QUICK_US
        for _ in range(limits.SUSPECT_PUT_OFF_MAX - 1):  # it comes again while others wait
            batch = [sent(EVIL, "a", LOOP), sent(ANNA, "b", QUICK)]
            assert codes(await workers.integrate(batch, None)) == [["retry"], ["accepted"]]
        assert clock.us <= ONCE_US + 20 * QUICK_US
        assert codes(await workers.integrate([sent(EVIL, "a", LOOP)], None)) == [["poison"]]
        assert clock.us <= ONCE_US + ALONE_US + 20 * QUICK_US

    play(scenario)


def test_who_sent_poison_gets_no_larger_trial_again_before_the_others(play: Callable[[Scenario], None]) -> None:
    async def scenario(workers: IntegrationPool, clock: Clock) -> None:
        for _ in range(limits.SUSPECT_PUT_OFF_MAX):
            await workers.integrate([sent(EVIL, "a", LOOP), sent(ANNA, "b", QUICK)], None)
        batch = [sent(EVIL, "a", LOOP), sent(ANNA, "b", QUICK)]
        assert codes(await workers.integrate(batch, None)) == [["poison"], ["accepted"]]
        begun = clock.us
        for number in range(20):
            batch = [sent(EVIL, "c", LOOP), sent(ANNA, f"b{number}", QUICK)]
            assert codes(await workers.integrate(batch, None)) == [["retry"], ["accepted"]]
        assert clock.us - begun <= ONCE_US + 100 * QUICK_US
        assert codes(await workers.integrate([sent(EVIL, "c", LOOP)], None)) == [["poison"]]  # nobody else waits

    play(scenario)


def test_a_sender_of_many_loops_costs_the_others_no_more_than_three_trials(play: Callable[[Scenario], None]) -> None:
    async def scenario(workers: IntegrationPool, clock: Clock) -> None:
        for number in range(30):
            batch = [sent(EVIL, f"a{loop}", LOOP) for loop in range(10)] + [sent(ANNA, f"b{number}", QUICK)]
            assert codes(await workers.integrate(batch, None))[-1] == ["accepted"]
        assert clock.us <= 2 * ONCE_US + ALONE_US + 100 * QUICK_US
        assert workers.poisoned == 1
        alone = await workers.integrate([sent(EVIL, f"a{loop}", LOOP) for loop in range(10)], None)
        assert codes(alone).count(["poison"]) == 1 + limits.POISON_STRIKES_MAX

    play(scenario)


@pytest.mark.parametrize("crowded", [True, False])
def test_an_honest_edit_that_takes_long_passes_however_busy_the_relay_is(
    play: Callable[[Scenario], None], crowded: bool
) -> None:
    async def scenario(workers: IntegrationPool, clock: Clock) -> None:
        others = [sent(ANNA, "b", QUICK)] * crowded
        answers = []
        while not answers or answers[-1] == ["retry"]:
            answers.append(codes(await workers.integrate([sent("Ben", "note", SLOW), *others], None))[0])
        assert answers == [["retry"]] * limits.SUSPECT_PUT_OFF_MAX * crowded + [["accepted"]]
        assert workers.poisoned == 0

    play(scenario)


def test_whoever_waits_for_the_next_batch_goes_first_as_well(play: Callable[[Scenario], None]) -> None:
    async def scenario(workers: IntegrationPool, clock: Clock) -> None:
        first, second = await asyncio.gather(
            workers.integrate([sent(EVIL, "a", LOOP)], None), workers.integrate([sent(ANNA, "b", QUICK)], None)
        )
        assert (codes(first), codes(second)) == ([["retry"]], [["accepted"]])
        assert clock.us <= ONCE_US + 10 * QUICK_US
        own = await asyncio.gather(*[workers.integrate([sent(EVIL, record, LOOP)], None) for record in "cd"])
        assert [codes(results) for results in own] == [[["poison"]]] * 2  # which is nobody else

    play(scenario)


def test_another_senders_edits_of_that_record_go_on(play: Callable[[Scenario], None]) -> None:
    async def scenario(workers: IntegrationPool, clock: Clock) -> None:
        both = Item("a", (QUICK, LOOP, QUICK, QUICK), sources=(ANNA, EVIL, ANNA, EVIL))
        assert codes(await workers.integrate([both], None)) == [["accepted", "retry", "accepted", "retry"]]

    play(scenario)


def test_what_is_remembered_is_bounded_and_ends_when_it_passes() -> None:
    suspects = Suspects(entries_max=2)
    for record in "abc":
        suspects.put_off(EVIL, record)
    assert [suspects.knows(EVIL, record) for record in "abc"] == [False, True, True]
    suspects.passed(EVIL, "b")
    assert not suspects.knows(EVIL, "b")
    for number in range(3):
        suspects.condemned(f"sender {number}", "a")
    for _ in range(limits.SUSPECT_PUT_OFF_MAX):
        suspects.put_off("sender 0", "a")
        suspects.put_off("sender 2", "a")
    assert not suspects.gives_way("sender 0", "a")
    assert suspects.gives_way("sender 2", "a")
