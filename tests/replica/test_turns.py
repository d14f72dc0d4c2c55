"""Turns at a store: in the order of asking, and what is told comes after them."""

import threading
from collections import deque

import pytest

from crdt_sync.protocol.effects import Acknowledge, Integrate, Pushed
from crdt_sync.protocol.messages import UpdatesEntry, Verdict, VerdictCode
from crdt_sync.replica.carrying_out import Rest, take_work
from crdt_sync.replica.turns import Turns


def waits(turns, count):
    """Let so many threads wait for the turn, one after the other; returns them and the order in which they get it."""
    got, threads = [], []
    for number in range(count):

        def take(number=number):
            with turns:
                got.append(number)

        threads.append(threading.Thread(target=take))
        threads[-1].start()
        while len(turns._waiting) <= number:  # ends when the thread waits
            pass
    return threads, got


def test_turns_are_given_in_the_order_of_asking():
    turns = Turns()
    with turns:
        threads, got = waits(turns, 5)
    with turns:  # who has just had one waits for all of them
        assert got == [0, 1, 2, 3, 4]
    for thread in threads:
        thread.join()


def test_a_turn_may_be_taken_again_and_is_given_on_at_its_outermost_end():
    turns = Turns()
    with turns:
        threads, got = waits(turns, 1)
        with turns:
            pass
        assert got == []
        assert turns.is_ours
    threads[0].join()
    assert got == [0]
    assert not turns.is_ours


def test_what_is_told_is_told_once_the_turn_is_over_whatever_became_of_it():
    turns, told = Turns(), []

    def tell():
        told.append(turns.is_ours)

    with pytest.raises(ZeroDivisionError), turns:  # noqa: PT012 - the turn is what is tested
        with turns:
            turns.afterwards(tell)
        assert told == []
        raise ZeroDivisionError
    assert told == [False]
    turns.afterwards(tell)
    assert told == [False, False]


def test_everybody_is_told_whatever_another_one_raises():
    turns, told = Turns(), []

    def fail():
        told.append("failing")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), turns:  # noqa: PT012 - the turn is what is tested
        turns.afterwards(fail)
        turns.afterwards(lambda: told.append("second"))
    assert told == ["failing", "second"]
    assert not turns.is_ours


def test_a_catch_up_makes_many_commits_so_that_edits_get_their_turn():
    def frame(number):
        return Integrate(number, (UpdatesEntry("customers/a", b"", b""),) * 200, None, 0, False)

    work = deque(frame(number) for number in range(5))
    assert [len(take_work(work)) for _ in range(3)] == [2, 2, 1]


def answers(number, *records):
    verdict = Verdict(VerdictCode.ACCEPTED, 1)
    return Acknowledge(number, tuple(Pushed(record, number, b"\x00", verdict) for record in records), None, 0)


def test_answers_that_wait_share_a_commit_but_not_two_of_one_record():
    work = deque([answers(1, "a"), answers(2, "b", "c"), answers(3, "d"), answers(4, "b"), answers(5, "e")])
    assert [[effect.number for effect in take_work(work)] for _ in range(2)] == [[1, 2, 3], [4, 5]]


def test_answers_and_updates_are_carried_out_in_order():
    update = Integrate(2, (UpdatesEntry("customers/a", b"", b""),), None, 0, False)
    work = deque([answers(1, "a"), update, answers(3, "b")])
    assert [len(take_work(work)) for _ in range(3)] == [1, 1, 1]


def test_a_commit_of_answers_is_bounded_as_one_of_updates():
    work = deque(answers(number, *(f"{number}/{record}" for record in range(200))) for number in range(5))
    assert [len(take_work(work)) for _ in range(3)] == [2, 2, 1]


def test_answers_wait_for_more_twice_as_long_as_the_last_took():
    rest, waiting = Rest(), deque([answers(1, "a")])
    assert rest.left_us(waiting, 1_000, more_to_come=True) == 0  # the first of all
    rest.noted(begun=1_000, now=1_400)
    assert rest.left_us(waiting, 1_500, more_to_come=True) == 700
    assert rest.left_us(waiting, 2_200, more_to_come=True) == 0


def test_answers_wait_for_nothing_that_does_not_come_nor_hold_up_anything_else():
    rest, update = Rest(), Integrate(2, (UpdatesEntry("customers/a", b"", b""),), None, 0, False)
    rest.noted(begun=0, now=1_000_000)
    assert rest.left_us(deque([answers(1, "a")]), 1_000_000, more_to_come=False) == 0
    assert rest.left_us(deque([answers(1, "a"), update]), 1_000_000, more_to_come=True) == 0
    assert rest.left_us(deque(answers(number, "a") for number in range(64)), 1_000_000, more_to_come=True) == 0
