"""Whose writers are: what is let in under them, and what binds them."""

import pytest

from crdt_sync.limits import WRITERS_ASKED_MAX, WRITERS_KNOWN_MAX
from crdt_sync.records import Document, Editor
from crdt_sync.records.gate import loaded
from crdt_sync.records.gate.owners import NOBODY, Owners
from tests.records import raw_updates as raw
from tests.records.gate.conftest import RECORD
from tests.records.gate.permitting import BEGUN, Place

TAKEN = "_writer: writer {} is another user's device"


class Owned(Place):
    """A gate whose host tells it whose writers are, as soon as it asks."""

    def __init__(self):
        super().__init__()
        self.owners = Owners()
        self.stored = {}
        self.asked = []

    def push(self, user, update):
        for _ in range(2):
            done = self.integrator.integrate(
                RECORD, None, (update,), None, True, False, rules=self.rules, users=(user,), owners=self.owners
            )
            if done.verdicts:
                self.stored |= self.owners.take_bound()
                return done
            asked = sorted(self.owners.asked)
            self.asked += asked
            self.owners.tell({writer: self.stored.get(writer, NOBODY) for writer in asked})
        raise AssertionError("it asks again")

    def under(self, writer, actor, **values):
        """An update of that writer, with what is held, as that person."""
        document = Document.load((self.document.diff(),), writer)
        before = document.state_vector()
        office = self.office.person(999, (), actor)
        Editor(document, self.office.schema, office.clock, actor, "customers").update(values)
        return document.diff(before)


@pytest.fixture
def place():
    held = Owned()
    assert held.write("chen", **BEGUN) == ""
    return held


def test_who_writes_first_under_a_writer_has_it_and_nobody_else_goes_on_there(place):
    assert place.told("anna", place.under(50, "anna", phone="11")) == ""
    assert place.stored[50] == "anna"
    assert place.told("ben", place.under(50, "ben", name="Ben")) == TAKEN.format(50)
    assert place.told("anna", place.under(50, "anna", name="Anna")) == ""
    assert place.told("ben", place.under(51, "ben", name="Ben")) == ""
    assert place.stored[51] == "ben"


def test_the_quickest_way_is_watched_as_well(place):
    """One entry behind another one of the same field: no list is made for it."""
    first = place.person("anna")
    for value in ("1", "2"):
        assert place.told("anna", first.edit(lambda editor, value=value: editor.update({"name": value}))) == ""
    writer = first.document.writer
    assert place.stored[writer] == "anna"
    assert place.told("ben", place.under(writer, "ben", name="3")) == TAKEN.format(writer)


def test_a_host_is_asked_once_of_each_writer_and_what_it_says_holds(place):
    place.asked.clear()
    place.stored[60] = "anna"
    assert place.told("ben", place.under(60, "ben", name="B")) == TAKEN.format(60)
    assert place.told("ben", place.under(60, "ben", phone="B")) == TAKEN.format(60)
    assert place.told("anna", place.under(60, "anna", name="A")) == ""
    assert place.asked == [60]


def test_what_is_brought_binds_nothing_and_goes_on_where_it_names_whose_the_writer_is(place):
    assert place.told("ben", place.under(70, "anna", phone="11")) == ""
    assert 70 not in place.stored
    assert place.told("anna", place.under(70, "anna", phone="22")) == ""
    assert place.stored[70] == "anna"
    assert place.told("ben", place.under(70, "anna", phone="3")) == ""
    assert place.told("ben", place.under(70, "ben", phone="4")) == TAKEN.format(70)
    assert place.told("ben", place.under(70, "chen", phone="4")) == TAKEN.format(70)


def test_what_names_nobody_binds_nothing(place):
    assert place.told("anna", place.under(80, "anna", visits=5)) == ""
    assert 80 not in place.stored
    assert place.told("ben", place.under(80, "ben", name="B")) == ""
    assert place.stored[80] == "ben"


def test_what_is_refused_binds_nothing(place):
    assert place.told("anna", place.under(90, "anna", iban="DE2")) != ""
    assert 90 not in place.stored
    assert place.told("ben", place.under(90, "ben", name="B")) == ""


def test_a_refused_writer_leaves_no_trace_in_what_the_gate_knows_of_places(place):
    place.stored[50] = "anna"
    assert place.told("ben", place.under(50, "ben", phone="11")) == TAKEN.format(50)
    assert place.told("ben", place.under(51, "ben", phone="22")) == ""
    assert place.told("ben", place.under(51, "ben", name="Ben")) == ""


def test_what_is_here_under_a_writer_is_known_whoever_sends_it_again(place):
    update = place.under(50, "anna", phone="11")
    assert place.told("anna", update) == ""
    assert place.told("ben", update) == ""


def test_another_content_of_what_is_here_is_told_as_of_the_writer(place):
    mine, other = place.under(50, "anna", phone="11"), place.under(50, "anna", phone="22")
    assert place.told("anna", mine) == ""
    assert place.told("anna", other) == "_writer: operation 0 of writer 50 is here already, with another content"


def test_no_more_is_asked_and_kept_than_there_is_room_for(place):
    owners = Owners()
    assert not owners.are_known(range(3 * WRITERS_ASKED_MAX))
    assert len(owners.asked) == WRITERS_ASKED_MAX
    owners.tell(dict.fromkeys(range(WRITERS_KNOWN_MAX), "anna"))
    owners.tell({-1: "ben"})
    assert dict(owners.known) == {-1: "ben"}


def test_many_writers_in_one_update_are_asked_for_in_several_turns(place, monkeypatch):
    monkeypatch.setattr("crdt_sync.records.gate.owners.WRITERS_ASKED_MAX", 2)
    update = raw.update([raw.array("c.phone", [["1", 1, "ben"]])], writer=91)
    owners = Owners()
    assert not owners.are_known((1, 2, 3))
    owners.tell(dict.fromkeys(owners.asked, NOBODY))
    assert not owners.are_known((1, 2, 3))
    owners.tell(dict.fromkeys(owners.asked, NOBODY))
    assert owners.are_known((1, 2, 3))
    assert place.told("ben", update) == ""


def test_a_gate_that_lets_in_whatever_is_written_under_others_is_noticed(place, monkeypatch):
    monkeypatch.setattr(loaded, "refused_writers", lambda *_: "")
    with pytest.raises(AssertionError):
        test_who_writes_first_under_a_writer_has_it_and_nobody_else_goes_on_there(place)
