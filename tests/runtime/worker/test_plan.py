"""Who goes into a request, and who is blamed for a death."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdt_sync import limits
from crdt_sync.runtime.worker.plan import Plan, PoisonMemory, Request
from crdt_sync.runtime.worker.progress import LOADING, Mark
from crdt_sync.runtime.worker.values import ACCEPTED_NEW, Item, Result

KILLER = b"killer"


def nothing_stored(record: str) -> list[bytes]:
    return []


def not_cached(record: str) -> int | None:
    return None


def accept(request: Request) -> list[Result | None]:
    return [Result((ACCEPTED_NEW,) * len(updates), b"\x00") for _, _, updates, _ in request.items]


def carry_out(plan: Plan, deaths_max: int = 1000) -> list[list[str]]:
    """Run the plan against a worker that dies of `KILLER`, and of nothing else."""
    while (request := plan.next_request(not_cached, nothing_stored)) is not None:
        for place, (_, _, updates, _) in enumerate(request.items):
            if KILLER in updates:
                plan.died(request, Mark(place, list(updates).index(KILLER)))
                deaths_max -= 1
                assert deaths_max >= 0
                break
        else:
            plan.answered(request, accept(request))
    return [[verdict.code for verdict in result.verdicts] for result in plan.results()]


def requested(plan: Plan) -> list[str]:
    request = plan.next_request(not_cached, nothing_stored)
    return [] if request is None else [item[0] for item in request.items]


def test_after_a_death_those_before_the_suspect_go_first_then_it_alone_then_the_rest() -> None:
    plan = Plan([Item(name, (b"u",)) for name in "abcd"], PoisonMemory())
    request = plan.next_request(not_cached, nothing_stored)
    assert request is not None
    plan.died(request, Mark(2, 0))
    order = []
    while (request := plan.next_request(not_cached, nothing_stored)) is not None:
        order.append([item[0] for item in request.items])
        plan.answered(request, accept(request))
    assert order == [["a", "b"], ["c"], ["d"]]


def test_a_single_item_is_tried_twice_before_it_is_poison() -> None:
    plan = Plan([Item("a", (KILLER,))], PoisonMemory())
    assert carry_out(plan, deaths_max=2) == [["poison"]]
    assert plan.poisoned == 1


def test_a_stuck_worker_condemns_nothing_however_often_and_ends_in_retry() -> None:
    plan = Plan([Item("a", (b"1", b"2")), Item("b", (b"u",))], PoisonMemory())
    while (request := plan.next_request(not_cached, nothing_stored)) is not None:
        if request.works[0].item.record == "a":
            plan.died(request, Mark(0, 1), stuck=True)
        else:
            plan.answered(request, accept(request))
    assert [[verdict.code for verdict in result.verdicts] for result in plan.results()] == [["retry"] * 2, ["accepted"]]
    assert plan.poisoned == 0


def test_the_processor_time_follows_the_bytes_of_record_and_updates_cached_or_not() -> None:
    mib = [b"x" * limits.MIB]
    loaded = Plan([Item("a", (b"u",)), Item("b", (b"u" * limits.KIB,))], PoisonMemory())
    request = loaded.next_request(not_cached, {"a": mib, "b": []}.__getitem__)
    assert request is not None
    assert request.sizes == [limits.MIB + 1, limits.KIB]
    budget = request.budget
    assert budget.step_us(Mark(1, 0)) == limits.INTEGRATION_US + limits.INTEGRATION_US_PER_KIB
    assert budget.step_us(Mark(0, 0)) == (
        limits.INTEGRATION_US + limits.INTEGRATION_US_PER_KIB * (limits.MIB + 1) // limits.KIB
    )
    assert budget.whole_us == budget.step_us(None) == budget.step_us(Mark(0, 0)) + limits.INTEGRATION_US_PER_KIB
    cached = Plan([Item("a", (b"u",)), Item("a", (b"uu",))], PoisonMemory())
    request = cached.next_request(lambda record: limits.MIB, nothing_stored)
    assert request is not None
    assert request.sizes == [limits.MIB + 1, limits.MIB + 3]


def test_a_suspect_is_loaded_anew_and_has_several_times_the_processor_time() -> None:
    plan = Plan([Item("a", (KILLER,))], PoisonMemory())
    first = plan.next_request(lambda record: limits.KIB, nothing_stored)
    assert first is not None
    assert first.items == [("a", None, (KILLER,), False)]
    plan.died(first, Mark(0, 0))
    second = plan.next_request(lambda record: limits.KIB, lambda record: [b"x" * limits.KIB])
    assert second is not None
    assert (first.again, second.again) == (False, True)
    assert second.items == [("a", (b"x" * limits.KIB,), (KILLER,), False)]
    assert second.budget.whole_us == limits.INTEGRATION_AGAIN_FACTOR * first.budget.whole_us


def test_requests_are_bounded_by_updates_and_by_bytes() -> None:
    many = Plan([Item(str(number), (b"u",)) for number in range(limits.INTEGRATION_UPDATES_MAX + 1)], PoisonMemory())
    assert len(requested(many)) == limits.INTEGRATION_UPDATES_MAX
    half = b"x" * (limits.INTEGRATION_BYTES_MAX // 2)
    assert requested(Plan([Item(name, (half,)) for name in "abc"], PoisonMemory())) == ["a", "b"]
    larger = Plan([Item("a", (half, half, half)), Item("b", (b"u",))], PoisonMemory())
    assert requested(larger) == ["a"]


def test_a_record_is_loaded_once_a_request_and_with_what_was_accepted_before() -> None:
    plan = Plan([Item("a", (b"1",)), Item("a", (b"2",)), Item("b", (KILLER,)), Item("a", (b"3",))], PoisonMemory())
    offered = []
    while (request := plan.next_request(not_cached, lambda record: [b"stored"])) is not None:
        offered.append([(record, stored) for record, stored, _, _ in request.items])
        place = next((place for place, item in enumerate(request.items) if KILLER in item[2]), None)
        if place is None:
            plan.answered(request, accept(request))
        else:
            plan.died(request, Mark(place, 0))
    assert offered[1] == [("a", (b"stored",)), ("a", None)]
    assert offered[-1] == [("a", (b"stored", b"1", b"2"))]


def test_a_death_without_a_mark_blames_nobody_and_ends_in_retry_when_it_goes_on() -> None:
    plan = Plan([Item("a", (b"u",)), Item("b", (b"u",))], PoisonMemory())
    deaths = 0
    while (request := plan.next_request(not_cached, nothing_stored)) is not None:
        plan.died(request, None)
        deaths += 1
    assert [[verdict.code for verdict in result.verdicts] for result in plan.results()] == [["retry"]] * 2
    assert deaths <= 6
    assert plan.poisoned == 0


@pytest.mark.parametrize("mark", [Mark(9, 0), Mark(0, 9), Mark(0, LOADING)])
def test_a_mark_that_names_no_update_condemns_none(mark: Mark) -> None:
    plan = Plan([Item("a", (b"u",))], PoisonMemory())
    while (request := plan.next_request(not_cached, nothing_stored)) is not None:
        plan.died(request, mark)
    assert plan.results()[0].verdicts[0].code == "retry"


def test_marks_that_contradict_each_other_come_to_an_end() -> None:
    plan = Plan([Item("a", (b"1", b"2"))], PoisonMemory())
    deaths = 0
    while (request := plan.next_request(not_cached, nothing_stored)) is not None:
        plan.died(request, Mark(0, deaths % 2))
        deaths += 1
    assert {verdict.code for verdict in plan.results()[0].verdicts} == {"retry"}


def test_the_poison_memory_is_bounded_and_knows_records_apart() -> None:
    memory = PoisonMemory(entries_max=2)
    assert not memory.knows("a", b"1")
    for update in (b"1", b"2", b"3"):
        memory.add("a", update)
    assert [memory.knows("a", update) for update in (b"1", b"2", b"3")] == [False, True, True]
    assert not memory.knows("b", b"3")


def test_an_item_names_a_source_for_each_update_or_none() -> None:
    with pytest.raises(ValueError, match="one source for each"):
        Item("a", (b"1", b"2"), sources=("anna",))


batches = st.lists(st.lists(st.sampled_from([b"u", KILLER]), min_size=1, max_size=4).map(tuple), max_size=8)


@given(batches)
def test_exactly_the_killers_are_poison_and_all_others_are_accepted(batch: list[tuple[bytes, ...]]) -> None:
    items = [
        Item(f"r{number}", tuple(updates), sources=tuple(f"{number}.{place}" for place in range(len(updates))))
        for number, updates in enumerate(batch)
    ]
    expected = [["poison" if update == KILLER else "accepted" for update in updates] for updates in batch]
    killers = sum(updates.count(KILLER) for updates in batch)
    assert carry_out(Plan(items, PoisonMemory()), deaths_max=2 * killers) == expected


@given(batches)
def test_one_sender_never_costs_more_than_its_strikes(batch: list[tuple[bytes, ...]]) -> None:
    items = [Item(f"r{number}", updates) for number, updates in enumerate(batch)]
    answered = carry_out(Plan(items, PoisonMemory()), deaths_max=2 * limits.POISON_STRIKES_MAX)
    assert sum(codes.count("poison") for codes in answered) <= limits.POISON_STRIKES_MAX
