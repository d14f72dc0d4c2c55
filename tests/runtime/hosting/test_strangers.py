"""Strangers are bounded: those go of whose address the most are here, and each has time for a hello."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdt_sync import limits
from crdt_sync.limits import STRANGER_S_MIN
from crdt_sync.runtime.hosting.fair_queue import FairQueue
from crdt_sync.runtime.hosting.strangers import Strangers

PLACES = 10


class Connection:
    def __init__(self, address: str = "192.0.2.1") -> None:
        self.address = address
        self.here = True

    def abort(self) -> None:
        self.here = False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        assert name == "peername"
        return (self.address, 40_000)


class Loop:
    """A clock."""

    def __init__(self) -> None:
        self.now = 0.0

    def time(self) -> float:
        return self.now

    def call_soon(self, callback: Callable[[], None]) -> None:
        pass


@pytest.fixture(autouse=True)
def _few_places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "STRANGERS_MAX", PLACES)


def met(loop: Loop | None = None) -> Strangers:
    clock = cast(asyncio.AbstractEventLoop, loop or Loop())
    return Strangers(clock, FairQueue(clock))


def test_who_opens_many_connections_makes_room_by_his_own_however_new_they_are() -> None:
    strangers = met()
    many = [Connection("192.0.2.1") for _ in range(PLACES)]
    assert all(map(strangers.come, many))
    elsewhere = [Connection("192.0.2.2") for _ in range(PLACES // 2)]
    assert all(map(strangers.come, elsewhere))
    assert [each.here for each in many] == [False] * 5 + [True] * 5
    assert len(strangers) == PLACES


def test_others_of_its_address_take_no_place_of_one_that_had_no_time_for_a_hello() -> None:
    loop = Loop()
    strangers = met(loop)
    first = Connection()
    strangers.come(first)
    loop.now = STRANGER_S_MIN - 0.1
    beside = [Connection() for _ in range(PLACES - 1)]
    assert all(map(strangers.come, beside))
    assert not strangers.come(Connection())
    assert first.here
    loop.now = STRANGER_S_MIN
    assert strangers.come(Connection())
    assert not first.here
    assert not strangers.come(Connection())
    assert all(each.here for each in beside)


def test_of_two_addresses_with_as_many_the_newcomers_is_not_the_one_to_give_way() -> None:
    strangers = met()
    there = [Connection("192.0.2.1") for _ in range(PLACES // 2)]
    here = [Connection("192.0.2.2") for _ in range(PLACES // 2 - 1)]
    other = Connection("192.0.2.3")
    assert all(map(strangers.come, (*here, *there, other)))
    assert strangers.come(Connection("192.0.2.2"))
    assert [each.here for each in there] == [False] + [True] * (PLACES // 2 - 1)
    assert all(each.here for each in (*here, other))


def test_who_is_lost_counts_until_what_it_said_was_done_and_gives_that_up_where_it_gives_way() -> None:
    strangers = met()
    given_up: list[Connection] = []
    lost = [Connection("192.0.2.1") for _ in range(PLACES)]
    for each in lost:
        assert strangers.come(each)
        assert strangers.linger(each, lambda each=each: given_up.append(each))  # type: ignore[misc]
    assert len(strangers) == PLACES
    assert strangers.come(Connection("192.0.2.2"))
    assert given_up == lost[:1]
    assert not strangers.linger(lost[0], lambda: None)
    for each in lost:
        strangers.leave(each)
    assert len(strangers) == 1


def test_who_was_let_in_keeps_its_place_and_counts_no_more() -> None:
    loop = Loop()
    strangers = met(loop)
    known = Connection()
    strangers.come(known)
    strangers.leave(known)
    strangers.leave(known)
    for _ in range(3 * PLACES):
        loop.now += STRANGER_S_MIN
        assert strangers.come(Connection())
    assert known.here


def test_connections_of_one_network_are_of_one_address() -> None:
    strangers = met()
    assert all(strangers.come(Connection(f"2001:db8::{number}")) for number in range(PLACES))
    assert not strangers.come(Connection("2001:db8::ffff"))
    assert strangers.come(Connection("2001:db8:0:1::1"))


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 1.5), st.booleans()), max_size=60))
def test_there_are_never_more_than_may_be_and_no_address_with_fewer_loses_any(
    steps: list[tuple[str, float, bool]],
) -> None:
    loop = Loop()
    strangers = met(loop)
    here: list[Connection] = []
    for address, passed, leaves in steps:
        loop.now += passed
        if leaves and here:
            strangers.leave(here.pop(0))
        newcomer = Connection(address)
        counts = {each: sum(one.address == each for one in (*here, newcomer)) for each in "abc"}
        taken = strangers.come(newcomer)
        gone = [each for each in here if not each.here]
        assert len(gone) + (not taken) == (len(here) == PLACES)
        assert all(counts[each.address] == max(counts.values()) for each in (*gone, *(() if taken else (newcomer,))))
        here = [each for each in (*here, newcomer) if each.here and (each is not newcomer or taken)]
        assert len(strangers) == len(here) <= PLACES
