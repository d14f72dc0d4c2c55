"""Stored bytes that are intact and no record: whoever reads them gets one error, which names the record."""

import pytest

from crdt_sync.errors import RecordUnreadable, StoreCorrupt
from crdt_sync.protocol.entries import UpdatesEntry
from crdt_sync.replica import copies, disorder
from crdt_sync.replica.former import former
from crdt_sync.replica.owner.sent import SentEdit
from crdt_sync.storage.values import Batch, Change
from tests.replica.partners import RELAY, THEM, US, write

PANICS = bytes.fromhex("01010100040106632e6e616d65ff")  # says more than is there
NONSENSE = b"\xff\xff\xff"


@pytest.fixture(params=[NONSENSE, PANICS], ids=["nonsense", "cut off"])
def broken(replica, request):
    """A replica in which `US` is no record."""
    write(replica, US, name="Us")
    write(replica, THEM, name="Them")
    head = replica.store.record_head(US)
    change = Change(US, (), replica.id, "", 0, head.state_vector, request.param)
    replica.store.commit([Batch(changes=(change,))])
    return replica


def edited(replica):
    with replica.edit(US) as record:
        record["name"] = "Ours"


READS = {
    "its document": lambda replica: replica.document(US),
    "an edit": edited,
    "a private copy": lambda replica: copies.stored(replica.store, US, 7),
    "what a partner lacks": lambda replica: replica.context.diff(US, b"\x00"),
    "an edit that another program sent": lambda replica: SentEdit(US, b"\x00\x00", b"\x00", 7, False, 3).is_in(
        replica.store
    ),
    "a renewal": lambda replica: replica.renew(US),
}


@pytest.mark.parametrize("what", READS)
def test_what_reads_the_record_names_it_and_says_what_to_do(broken, what):
    with pytest.raises(RecordUnreadable) as caught:
        READS[what](broken)
    assert caught.value.record == US
    assert US in caught.value.message
    assert "crdt-sync verify --repair" in caught.value.hint
    assert isinstance(caught.value, StoreCorrupt), "so that whoever passes damaged records by passes this one by"


def test_what_goes_over_all_records_goes_on_with_the_rest(broken, keyed_schema):
    assert dict(disorder.disordered_records(broken.store)) == {}
    assert former(broken.store, US, None).values == ()
    assert broken.conflicts() == ()
    assert {view.record for view in broken.list()} == {US, THEM}
    broken.shared_schemas.add(keyed_schema, share=False)


def test_a_partner_that_sends_something_of_it_is_asked_again_and_its_other_updates_are_taken(broken, make_replica):
    bob = make_replica("bob")
    write(bob, "customers/new", name="New")
    new = bob.document("customers/new").diff()
    gaps = broken.integrate([UpdatesEntry(US, new, b""), UpdatesEntry("customers/new", new, b"")], RELAY, (), None)
    assert gaps == []
    assert broken.get("customers/new")["name"] == "New"
    assert US in broken.damaged


def test_a_repair_makes_it_anew_from_its_log(broken):
    assert broken.repair().salvaged == (US,)
    assert broken.document(US).content_bytes() > 0


def test_what_was_met_damaged_is_named_until_it_is_whole_again(broken):
    assert broken.conflicts_of(US) == ()
    assert (list(broken.damaged), list(broken.status().damaged)) == ([US], [US])
    broken.store.replace([US], Batch())
    assert broken.status().damaged == {}
    assert (broken.damaged, broken.unshown) == ({}, set())
