"""What the gate lets in of records that are written anew, where a policy is in force: nothing is hidden by it."""

from dataclasses import replace

import pytest

from crdt_sync.records.deleted import is_deleted
from crdt_sync.records.gate import loaded
from crdt_sync.records.gate.unseen import Unseen, unseen
from crdt_sync.records.lineages.document_dots import dots_of
from crdt_sync.records.lineages.dots import Dots
from crdt_sync.records.lineages.first_update import first_update
from crdt_sync.records.lineages.lineage import lineage_of
from crdt_sync.records.lineages.renewal import renewed
from crdt_sync.records.updates import state_vector as vectors
from tests.records.gate.permitting import Place, used_up


def test_a_record_that_is_written_anew_touches_nothing_and_hides_nothing(place):
    fresh = renewed(place.document, 7777)
    assert place.told("anna", fresh.diff()) == ""
    assert place.document.lineage_writer()


def test_a_renewal_that_says_something_else_is_judged_by_what_it_changes(place):
    person = place.person("anna")
    person.edit(lambda editor: editor.update({"iban": "DE9", "name": "Anne"}))
    assert place.told("anna", renewed(person.document).diff()) == "iban: 'anna' may not write this field"
    person = place.person("anna")
    person.edit(lambda editor: editor.update({"name": "Anne"}))
    assert place.told("anna", renewed(person.document).diff()) == ""


def claimed(document, **claims):
    """The record written anew, with claims of what its lineage knows that are not those of the document."""
    state = dots_of(document)
    known = {**state.known, **claims.pop("known", {})}
    return first_update(replace(state, known=known, **claims), lineage_of(document).generation + 1)


def test_who_may_change_nothing_covers_nothing_that_is_not_here(place):
    """Or what others are going to write would be taken for deleted, and acknowledged."""
    far = place.person("ben")
    late = far.edit(lambda editor: editor.update({"phone": "9"}))
    ahead = claimed(place.document, known={far.document.writer: 1000})
    assert place.told("guest", ahead) == "'guest' may change nothing in this record, and so not write it anew"
    assert place.told("guest", renewed(place.document).diff()) != ""
    assert place.told("eve", ahead) == "'eve' may not write into this record"
    assert place.told("ben", late) == ""
    assert place.document.contents()["c.phone"][0][0] == "9"


def test_who_may_change_a_part_hides_nothing_that_nobody_here_has_seen(place):
    far = place.person("chen")
    late = far.edit(lambda editor: editor.update({"iban": "DE7"}))
    ahead = claimed(place.document, known={far.document.writer: 1000})
    assert place.told("anna", ahead) == "'anna' may not change everything here, and this hides what nobody has seen"
    assert place.told("chen", late) == ""
    assert place.document.contents()["c.iban"][0][0] == "DE7"
    assert place.told("chen", claimed(place.document, known={far.document.writer: 1000})) == ""


def test_what_was_overwritten_meanwhile_in_the_lineage_before_is_let_in_and_judged(place):
    honest, hostile = place.person("ben"), place.person("anna")
    assert place.told("anna", renewed(place.document).diff()) == ""
    for phone in ("2", "3", "4"):
        honest.edit(lambda editor, phone=phone: editor.update({"phone": phone}))
    assert place.told("ben", honest.document.diff()) == ""
    assert [entry[0] for entry in place.document.contents()["c.phone"]] == ["4"]
    with hostile.document.transaction() as transaction:
        array = hostile.document.array(transaction, "c.iban")
        array.insert(transaction, 0, ["x", 1, "anna"])
        array.remove_range(transaction, 0, 1)
    assert place.told("anna", hostile.document.diff()) == "iban: 'anna' may not write this field"


def test_what_somebody_writes_under_an_id_that_was_used_up_in_another_field_is_not_taken_for_what_is_here(place):
    """It was acknowledged, and gone."""
    far = place.person("chen")
    late = far.edit(lambda editor: editor.update({"iban": "DE7"}))
    writer = far.document.writer
    assert place.told("anna", used_up("c.iban", writer, 0)) == "iban: 'anna' may not write this field"
    assert place.told("anna", used_up("c.phone", writer, 0)) == ""
    (verdict,) = place.push("chen", late).verdicts
    assert verdict.code == "forbidden"
    assert verdict.reason == f"_writer: operation 0 of writer {writer} is here already, in another place"
    assert place.document.contents()["c.iban"][0][0] == "DE1"


def test_a_record_that_says_nothing_is_not_made_by_whom_nothing_is_allowed():
    empty = first_update(Dots({5: 1000}, {}), 1)
    for user in ("guest", "eve", "anna", ""):
        held = Place()
        assert held.told(user, empty) != ""
        assert held.document.state_vector() == vectors.EMPTY


def test_a_renewal_says_nothing_else_of_what_a_delete_had_seen(place):
    late = place.person("anna").edit(lambda editor: editor.update({"name": "Still here"}))
    place.edit("chen", lambda editor: editor.delete())
    assert place.told("anna", late) == ""
    assert not is_deleted(place.document)
    state = dots_of(place.document)
    again = claimed(place.document, seen=dict.fromkeys(state.seen, state.known))
    assert place.told("anna", again) == "'anna' may not delete here, and so not say anew what a delete had seen"
    assert not is_deleted(place.document)
    assert place.told("anna", renewed(place.document).diff()) == ""
    assert place.told("chen", claimed(place.document, seen=dict.fromkeys(state.seen, state.known))) == ""
    assert is_deleted(place.document)


@pytest.mark.parametrize(
    ("planted", "noticed_by"),
    [
        ((loaded, "renewable", lambda *_, **__: ""), test_who_may_change_nothing_covers_nothing_that_is_not_here),
        (
            (loaded, "unseen", lambda *_: Unseen({}, hidden=False)),
            test_who_may_change_a_part_hides_nothing_that_nobody_here_has_seen,
        ),
        (
            (loaded, "unseen", lambda *given: unseen(*given)._replace(touched={})),
            test_what_was_overwritten_meanwhile_in_the_lineage_before_is_let_in_and_judged,
        ),
        (
            (loaded, "displaced", lambda *_: ""),
            test_what_somebody_writes_under_an_id_that_was_used_up_in_another_field_is_not_taken_for_what_is_here,
        ),
        ((loaded, "restates", lambda *_: False), test_a_renewal_says_nothing_else_of_what_a_delete_had_seen),
    ],
)
def test_a_gate_that_does_not_ask_who_writes_a_record_anew_is_noticed(monkeypatch, place, planted, noticed_by):
    monkeypatch.setattr(*planted)
    with pytest.raises(AssertionError):
        noticed_by(place)
