"""Short turns: a worker stops when one is over, what is long is left out, and nobody is blamed for that."""

import random
from collections.abc import Sequence

import pytest

from crdt_sync import limits
from crdt_sync.records import Integrator
from crdt_sync.runtime.worker import pipe
from crdt_sync.runtime.worker.plan import Plan, PoisonMemory
from crdt_sync.runtime.worker.progress import Mark, Progress
from crdt_sync.runtime.worker.service import Service
from crdt_sync.runtime.worker.values import ACCEPTED_NEW, OUT_OF_TURN, Item, Result, Turn
from crdt_sync.verdicts import POSTPONED, Verdict
from tests.records.gate.test_walks import crowded
from tests.records.lineages.test_carrying import START, edited, renewal
from tests.records.raw_updates import text, update

EVE, ANNA = "session of Eve", "session of Anna"
SHORT = Turn(1_000, short=True)
LONG = Turn(1_000)


class Unmarked(Progress):
    def __init__(self) -> None:
        pass

    def write(self, number: int, item: int, update: int) -> None:
        pass

    def rest(self) -> None:
        pass


def ask(
    items: Sequence[tuple[str, Sequence[bytes]]], turn: Turn | None, us_of_a_look: int = 400, snapshots: bool = False
) -> pipe.Results:
    """What a worker answers for which so much processor time passes between two looks at the clock."""
    used = iter(range(0, 1 << 40, us_of_a_look))
    service = Service(Integrator(100), Unmarked(), used.__next__, used.__next__)
    asked = [(record, (), updates, snapshots) for record, updates in items]
    request = pipe.encode_request(pipe.INTEGRATE, 1, None, asked, turn)
    answer = service.answer(request[pipe.LENGTH.size :])[pipe.LENGTH.size :]
    return pipe.decode_results(answer, 1, [len(updates) for _, updates in items], turn)


def edit(number: int = 0, content: str = "x") -> bytes:
    return update([text("t.a", content)], writer=9000 + number)


def test_a_worker_begins_nothing_further_when_the_turn_is_over_and_tells_the_times() -> None:
    answer = ask([(name, [edit()]) for name in "abcde"], LONG)
    assert [result is None for result in answer.results] == [False, False, True, True, True]
    assert answer.spent_us is not None
    assert all(us > 0 for us in answer.spent_us[:2])


def test_the_first_is_done_however_long_the_last_turn_took() -> None:
    answer = ask([("a", [edit()]), ("b", [edit()])], LONG, us_of_a_look=5_000)
    assert answer.results[0] is not None
    assert answer.results[0].verdicts == (ACCEPTED_NEW,)


def test_an_item_ends_between_two_updates_with_a_state_vector_and_a_snapshot_of_what_was_done() -> None:
    edits = [edit(number) for number in range(6)]
    answer = ask([("a", edits)], LONG, snapshots=True)
    (result,) = answer.results
    assert result is not None
    done = result.verdicts.index(OUT_OF_TURN)
    assert result.verdicts == (ACCEPTED_NEW,) * done + (OUT_OF_TURN,) * (6 - done)
    assert 0 < done < 6
    whole = Integrator(1).integrate("a", (), edits[:done], None, True, True)
    assert (result.state_vector, result.snapshot) == (whole.state_vector, whole.snapshot)


def test_a_renewed_record_is_told_as_such_whatever_came_after_it_in_the_item() -> None:
    old, new = renewal()
    later = edited(new, 2, START + 1, "Ben")
    answer = ask([("a", [old.diff(), new.diff(), later.diff(new.state_vector())])], None)
    (result,) = answer.results
    assert result is not None
    assert result.verdicts == (ACCEPTED_NEW,) * 3
    assert result.lineage == new.lineage_writer() != 0
    assert result.snapshot == later.diff()


def test_without_a_turn_nothing_is_left() -> None:
    answer = ask([(name, [edit()]) for name in "abcde"], None, us_of_a_look=1 << 20)
    assert answer.spent_us is None
    assert all(result is not None and result.verdicts == (ACCEPTED_NEW,) for result in answer.results)


def test_a_dear_update_is_left_out_of_a_short_turn_and_done_in_a_long_one() -> None:
    dear = crowded(300, 300)
    (short,) = ask([("a", [edit(), dear])], SHORT, us_of_a_look=1).results
    assert short is not None
    assert short.verdicts == (ACCEPTED_NEW, POSTPONED)
    assert short.state_vector == Integrator(1).integrate("a", (), [edit()], None, True, False).state_vector
    (long,) = ask([("a", [edit(), dear])], LONG, us_of_a_look=1).results
    assert long is not None
    assert long.verdicts == (ACCEPTED_NEW, ACCEPTED_NEW)


@pytest.mark.parametrize("verdicts", [[2], [3], [1, 2]])
def test_a_worker_that_had_no_turn_cannot_end_one(verdicts: list[int]) -> None:
    body = pipe.frame((1, [[verdicts, b"\x00", None, None]], []))[pipe.LENGTH.size :]
    with pytest.raises(pipe.PipeCorrupt):
        pipe.decode_results(body, 1, [len(verdicts)])


def test_a_worker_that_does_nothing_at_all_is_not_believed() -> None:
    body = pipe.frame((1, [[[2], b"\x00", None, None]], [], [0]))[pipe.LENGTH.size :]
    with pytest.raises(pipe.PipeCorrupt):
        pipe.decode_results(body, 1, [1], LONG)


def sent(sender: str, record: str, *updates: bytes) -> Item:
    return Item(record, updates, sources=(sender,) * len(updates))


def planned(items: Sequence[Item], turn: Turn = SHORT) -> Plan:
    return Plan(items, PoisonMemory(), turn=turn)


def asked(plan: Plan) -> list[str]:
    request = plan.next_request(lambda record: 0, lambda record: [])
    return [] if request is None else [item[0] for item in request.items]


def accepted(count: int = 1, left: Sequence[Verdict] = ()) -> Result:
    return Result((ACCEPTED_NEW,) * count + tuple(left), b"\x00")


def verdicts(plan: Plan) -> list[tuple[Verdict, ...]]:
    return [result.verdicts for result in plan.results()]


def test_who_had_its_turn_waits_and_the_others_go_on() -> None:
    plan = planned([sent(EVE, "a", b"1"), sent(EVE, "b", b"1"), sent(ANNA, "c", b"1"), sent(EVE, "d", b"1")])
    request = plan.next_request(lambda record: 0, lambda record: [])
    assert request is not None
    plan.answered(request, [accepted(), None, None, None], [1_500, 0, 0, 0])
    assert asked(plan) == ["c"]
    request = plan.next_request(lambda record: 0, lambda record: [])
    assert request is not None
    plan.answered(request, [accepted()])
    assert verdicts(plan) == [(ACCEPTED_NEW,), (POSTPONED,), (ACCEPTED_NEW,), (POSTPONED,)]


def test_many_who_took_little_each_all_go_on() -> None:
    plan = planned([sent(f"session {number}", f"{number}", b"1") for number in range(4)])
    request = plan.next_request(lambda record: 0, lambda record: [])
    assert request is not None
    plan.answered(request, [accepted(), accepted(), None, None], [600, 600, 0, 0])
    assert asked(plan) == ["2", "3"]


def test_who_shares_an_item_shares_its_time() -> None:
    both = Item("a", (b"1", b"2"), sources=(EVE, ANNA))
    plan = planned([both, sent(EVE, "b", b"1"), sent(ANNA, "c", b"1")])
    request = plan.next_request(lambda record: 0, lambda record: [])
    assert request is not None
    plan.answered(request, [accepted(2), None, None], [1_500, 0, 0])
    assert asked(plan) == ["b", "c"]


def test_what_a_sender_has_left_after_something_that_was_left_out_waits_with_it() -> None:
    both = Item("a", (b"1", b"2", b"3"), sources=(EVE, EVE, ANNA))
    plan = planned([both, sent(EVE, "b", b"1")])
    request = plan.next_request(lambda record: 0, lambda record: [])
    assert request is not None
    plan.answered(request, [accepted(1, [POSTPONED, OUT_OF_TURN]), None], [10, 0])
    request = plan.next_request(lambda record: 0, lambda record: [])
    assert request is not None
    assert [item[2] for item in request.items] == [(b"3",)]
    plan.answered(request, [accepted()])
    assert verdicts(plan) == [(ACCEPTED_NEW, POSTPONED, ACCEPTED_NEW), (POSTPONED,)]


@pytest.mark.parametrize("held", [0, limits.QUICK_ITEM_BYTES_MAX])
def test_what_is_large_is_not_even_asked_for_in_a_short_turn(held: int) -> None:
    large = b"x" if held else b"x" * (limits.QUICK_ITEM_BYTES_MAX + 1)
    plan = planned([sent(EVE, "a", large), sent(ANNA, "b", b"1")])
    request = plan.next_request(lambda record: held if record == "a" else 0, lambda record: [])
    assert request is not None
    assert [item[0] for item in request.items] == ["b"]
    assert asked(planned([sent(EVE, "a", large)], LONG)) == ["a"]


@pytest.mark.parametrize("late", [True, False])
def test_a_death_in_a_short_turn_condemns_nothing_and_is_tried_elsewhere(late: bool) -> None:
    plan = planned([sent(ANNA, "b", b"1"), sent(EVE, "a", b"1"), sent(EVE, "c", b"1")])
    request = plan.next_request(lambda record: 0, lambda record: [])
    assert request is not None
    assert request.budget.step_us(Mark(1, 0)) == limits.QUICK_STEP_US
    plan.died(request, Mark(1, 0), late=late)
    request = plan.next_request(lambda record: None, lambda record: [])
    assert request is not None
    assert [item[0] for item in request.items] == ["b"]
    plan.answered(request, [accepted()])
    assert verdicts(plan) == [(ACCEPTED_NEW,), (POSTPONED,), (POSTPONED,)]
    assert plan.poisoned == 0


def test_whatever_a_worker_does_in_a_turn_every_update_gets_one_verdict_and_what_is_accepted_keeps_its_order() -> None:
    for seed in range(200):
        rng = random.Random(seed)
        senders = [f"session {number}" for number in range(3)]
        items = [
            Item(f"r{number}", tuple(b"%d" % n for n in range(count)), sources=tuple(rng.choices(senders, k=count)))
            for number, count in enumerate(rng.choices(range(1, 5), k=5))
        ]
        plan = planned(items, rng.choice((SHORT, LONG)))
        for _ in range(100):
            request = plan.next_request(lambda record: 0, lambda record: [])
            if request is None:
                break
            results = [drawn(rng, len(item[2]), first=not index) for index, item in enumerate(request.items)]
            plan.answered(request, results, [rng.choice((0, 300, 2_000)) for _ in results])
        for item, result in zip(items, plan.results(), strict=True):
            told = [n for n, verdict in zip(item.updates, result.verdicts, strict=True) if verdict is ACCEPTED_NEW]
            assert plan.accepted.get(item.record, []) == told
            assert set(result.verdicts) <= {ACCEPTED_NEW, POSTPONED}


def drawn(rng: random.Random, count: int, first: bool) -> Result | None:
    if not first and rng.random() < 0.3:
        return None
    done = rng.randint(1 if first else 0, count)
    if done == count:
        return accepted(count)
    left: list[Verdict] = [OUT_OF_TURN] * (count - done)
    if rng.random() < 0.5:
        left[0] = POSTPONED
    return accepted(done, left)
