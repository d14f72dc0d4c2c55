"""Refused edits, and what becomes of them once their value comes from a relay."""

import json

import pytest

from crdt_sync.errors import StoreCorrupt
from crdt_sync.protocol.entries import UpdatesEntry
from crdt_sync.records.roots import Layout
from crdt_sync.replica.origin import Origin
from crdt_sync.replica.refused import RefusedEdit, come, kept, refused_edits
from crdt_sync.replica.withdrawing import never_made
from crdt_sync.storage.values import Batch, OutboxEntry
from crdt_sync.verdicts import VerdictCode
from tests.replica.partners import RELAY, THEM, US, write


def aside(replica, record=US, field="name", value="Us", unsent=0):
    edit = RefusedEdit(0, record, field, value, "lena", 1, "forbidden", unsent)
    replica.store.commit([Batch(meta=kept(replica.store, [edit]) or {})])


@pytest.mark.parametrize(
    ("row", "way", "left"),
    [
        ({}, "session", 0),
        ({}, "device", 1),
        ({"value": "Them"}, "session", 1),
        ({"field": "city"}, "session", 1),
        ({"record": THEM}, "session", 1),
        ({"unsent": 7}, "session", 1),
    ],
)
def test_what_was_refused_is_kept_until_a_relay_brings_the_very_value(make_replica, row, way, left):
    nils, lena = make_replica("nils"), make_replica("lena")
    write(lena, US, name="Us")
    aside(nils, **row)
    nils.integrate([UpdatesEntry(US, lena.document(US).diff(), b"")], Origin.of(way, RELAY), (), None)
    assert nils.get(US)["name"] == "Us"
    assert len(refused_edits(nils.store)) == left


def test_what_stands_beside_another_value_waits_for_a_decision_that_may_be_what_was_refused():
    edit = RefusedEdit(1, US, "name", "Us", "lena", 1, "forbidden")
    held = [["Us", 1, "lena"], ["Them", 2, "nils"]]
    assert come([edit], US, {f"{Layout.ENTRIES}name": held}) == {}
    assert list(come([edit], US, {f"{Layout.ENTRIES}name": held[:1]}).values()) == [None]


def test_a_damaged_row_does_not_hold_up_what_is_to_be_put_aside(make_replica, monkeypatch):
    nils = make_replica("nils")
    aside(nils)
    (key,) = nils.store.meta_keys("refused/")
    meta = nils.store.meta

    def damaged(asked):
        if asked == key:
            raise StoreCorrupt("damaged")
        return meta(asked)

    monkeypatch.setattr(nils.store, "meta", damaged)
    aside(nils, value="Them")
    assert [(edit.number, edit.value) for edit in refused_edits(nils.store)] == [(2, "Them")]


def test_the_same_value_of_two_departures_is_listed_for_each(make_replica):
    nils = make_replica("nils")
    for unsent in (7, 7, 9):
        aside(nils, unsent=unsent)
    assert [edit.unsent for edit in refused_edits(nils.store)] == [7, 9]


def test_of_several_values_of_a_field_the_one_that_shows_is_listed_last_and_so_made_again_last(make_replica):
    nils, lena = make_replica("nils"), make_replica("lena")
    write(nils, US, name="Us")
    write(lena, US, name="Them")
    for ours, theirs in ((nils, lena), (lena, nils)):
        ours.integrate([UpdatesEntry(US, theirs.document(US).diff(), b"")], Origin.of("session", RELAY), (), None)
    owed = OutboxEntry(US, b"\x00", 1, VerdictCode.FORBIDDEN.value, "forbidden")
    values = [edit.value for edit in never_made(nils.context, owed, b"3" * 16) if edit.field == "name"]
    assert (sorted(values), values[-1]) == (["Them", "Us"], nils.get(US)["name"])


def test_a_session_reads_the_rows_of_what_comes_alone(make_replica, monkeypatch):
    nils, lena = make_replica("nils"), make_replica("lena")
    write(lena, US, name="Us")
    aside(nils)
    aside(nils, record=THEM, value=f'a value with "record": "{US}" in it')
    rows = []
    loads = json.loads
    monkeypatch.setattr(json, "loads", lambda row: rows.append(row) or loads(row))
    assert [edit.record for edit in refused_edits(nils.store, {US})] == [US]
    assert len(rows) == 1
    assert [edit.record for edit in refused_edits(nils.store, {THEM})] == [THEM]
    assert refused_edits(nils.store, ()) == []
