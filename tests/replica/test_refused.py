"""Refused edits, and what becomes of them once their value comes from a relay."""

import pytest

from crdt_sync.protocol.entries import UpdatesEntry
from crdt_sync.replica.origin import Origin
from crdt_sync.replica.refused import RefusedEdit, kept, refused_edits
from crdt_sync.storage.values import Batch
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
