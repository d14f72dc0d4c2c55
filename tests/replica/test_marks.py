"""Marks that a partner tells in the place of numbers: how a store makes them, and what a device keeps of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdt_sync.limits import INTEGER_EXACT_MAX
from crdt_sync.principal import Principal
from crdt_sync.protocol.effects import Acknowledge, Integrate, Welcomed
from crdt_sync.protocol.entries import MARK_BYTES
from crdt_sync.protocol.messages import Resume
from crdt_sync.replica.marks import StoreMarks
from crdt_sync.replica.partner import Partner
from tests.replica.partners import ACCEPTED, EPOCH, LATER, NONE, RELAY, US, pushed
from tests.replica.wire import URL

ANNA = Principal(b"d" * 16, user="anna")
SECRET, LIFE = bytes(range(32)), b"l" * 16
ONE, TWO, THREE, FOUR = (bytes([number]) * MARK_BYTES for number in range(1, 5))


def marks(session: int = 1, secret: bytes = SECRET, principal: Principal = ANNA) -> StoreMarks:
    return StoreMarks(secret, LIFE, session, principal)


@given(st.lists(st.integers(0, INTEGER_EXACT_MAX), min_size=2, max_size=20))
def test_marks_are_read_again_and_no_two_are_equal(numbers: list[int]) -> None:
    made = [each.make(number) for each in (marks(1), marks(2)) for number in numbers]
    assert [marks(3).read(mark) for mark in made] == 2 * numbers
    assert len({*made}) == 2 * len(numbers)
    assert {len(mark) for mark in made} == {MARK_BYTES}


@pytest.mark.parametrize(
    "reader",
    [
        pytest.param(marks(secret=bytes(32)), id="another store"),
        pytest.param(marks(principal=Principal(b"d" * 16, user="ben")), id="another user"),
        pytest.param(marks(principal=Principal(b"e" * 16, user="anna")), id="another device"),
    ],
)
def test_nobody_else_reads_them(reader: StoreMarks) -> None:
    assert reader.read(marks().make(7)) is None


@given(st.integers(0, MARK_BYTES * 8 - 1))
def test_no_bit_of_a_mark_can_be_changed(bit: int) -> None:
    mark = bytearray(marks().make(7))
    mark[bit // 8] ^= 1 << bit % 8
    assert marks().read(bytes(mark)) is None
    assert marks().read(bytes(mark[1:])) is None


# --- what a device keeps ---------------------------------------------------------------------------------------


@pytest.fixture
def marked(replica, partner) -> Partner:
    """A partner that tells marks, which was read up to the first of them."""
    again = Partner(replica, URL)
    again.welcomed(Welcomed(RELAY, LATER, 0, True, False))
    again.integrate(Integrate(1, (), ONE, TWO, False))
    assert Partner(replica, URL).resume == Resume(LATER, ONE, TWO)
    return again


def test_the_last_cursor_and_the_last_head_are_kept(replica, marked) -> None:
    marked.acknowledge(Acknowledge(1, (pushed(marked, US, ACCEPTED),), None, THREE))
    assert Partner(replica, URL).resume == Resume(LATER, ONE, THREE)
    marked.integrate(Integrate(2, (), FOUR, 0, False))  # the end of the feed names no head
    assert Partner(replica, URL).resume == Resume(LATER, FOUR, THREE)


def test_marks_that_are_honoured_hold_in_the_next_life(replica, marked) -> None:
    again = Partner(replica, URL)
    again.welcomed(Welcomed(RELAY, EPOCH, 0, False, True))
    assert Partner(replica, URL).resume == Resume(EPOCH, ONE, TWO)
    again.acknowledge(Acknowledge(1, (pushed(again, US, ACCEPTED),), None, THREE))
    assert Partner(replica, URL).resume == Resume(EPOCH, ONE, THREE)


def test_where_two_sessions_store_marks_there_is_no_standing(replica, marked) -> None:
    other = Partner(replica, URL)
    other.welcomed(Welcomed(RELAY, LATER, 0, False, True))
    other.integrate(Integrate(1, (), THREE, THREE, False))
    marked.integrate(Integrate(2, (), FOUR, FOUR, False))
    assert Partner(replica, URL).resume == Resume(NONE, 0, 0)
    other.integrate(Integrate(2, (), FOUR, FOUR, False))
    assert Partner(replica, URL).resume == Resume(NONE, 0, 0)
    assert not other.stands


def test_a_partner_that_tells_numbers_again_is_compared_with_and_has_them_kept(replica, marked) -> None:
    again = Partner(replica, URL)
    again.welcomed(Welcomed(RELAY, EPOCH, 0, True, False))
    again.integrate(Integrate(1, (), 5, 6, False))
    assert Partner(replica, URL).resume == Resume(EPOCH, 5, 6)


def test_numbers_and_marks_of_one_epoch_are_no_standing(replica, partner) -> None:
    partner.acknowledge(Acknowledge(1, (pushed(partner, US, ACCEPTED),), None, ONE))
    assert Partner(replica, URL).resume == Resume(NONE, 0, 0)


def test_how_much_is_left_is_not_known_before_the_end_of_the_feed(replica, marked) -> None:
    (standing,) = replica.status().partners
    assert (standing.to_fetch, standing.percent, standing.is_compared) == (None, None, False)
    marked.caught_up()
    (standing,) = replica.status().partners
    assert (standing.to_fetch, standing.is_compared) == (0, False)
