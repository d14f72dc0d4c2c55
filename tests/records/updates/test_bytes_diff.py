import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdt_sync.errors import UpdateRefused
from crdt_sync.records import Document, values_of
from crdt_sync.records.updates.bytes_diff import NOTHING, diff
from crdt_sync.records.updates.state_vector import EMPTY

SCRIPTS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 11), st.integers(0, 5)), max_size=30)


@given(SCRIPTS, st.integers(0, 30))
def test_a_partner_who_gets_the_difference_holds_the_same(office, script, cut):
    partner = office.play(script[:cut])[0].document
    people = office.play(script)
    holder = people[0].document
    tail = people[0].sent
    stored = [holder.diff(), *tail]
    partner.apply(diff(stored, partner.state_vector()))
    assert partner.digest() == holder.digest()
    assert values_of(partner) == values_of(holder)


def test_one_update_for_an_empty_partner_is_passed_on_as_it_is(one_entry_update):
    assert diff([one_entry_update], EMPTY) is one_entry_update


def test_nothing_stored_gives_an_update_without_effect():
    document = Document()
    document.apply(diff([], EMPTY))
    assert diff([], EMPTY) == NOTHING
    assert values_of(document) == {}


def test_a_hostile_state_vector_is_refused(one_entry_update):
    with pytest.raises(UpdateRefused):
        diff([one_entry_update], bytes.fromhex("80808080010101"))
