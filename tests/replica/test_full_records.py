"""Records at their limit: nothing can be added, and whatever takes away goes through, here and at every partner."""

import random

import pytest

from crdt_sync import Replica, bundled_schema, limits
from crdt_sync.errors import RecordTooLarge
from crdt_sync.protocol.messages import UpdatesEntry
from crdt_sync.records import Document, Integrator
from crdt_sync.records.imported import ImportedChange
from crdt_sync.storage.memory import MemoryStore
from crdt_sync.storage.values import Batch
from tests.replica.conftest import add_schemas
from tests.replica.wire import VirtualTime

FULL = "customers/full"
THEM = b"t" * 16


@pytest.fixture(scope="module")
def filled():
    """A store with one record of which every field holds something, so full that not one more tag fits.

    Its phone is in conflict.
    """
    store = MemoryStore(rng=random.Random(1))
    store.commit([Batch(meta={"name": b"anna"})])
    replica = Replica.over(store, VirtualTime().clock(), random.Random(1))
    add_schemas(replica, [bundled_schema("customers")])
    with replica.edit(FULL, create=True) as customer:
        customer.update({"name": "Müller", "city": "Berlin", "phone": "+49 30 1", "tags": ["vip", "new"]})
        customer["notes"] = "word " * 100_000
    by_another(replica, Document.load([replica.document(FULL).diff()], writer=7), "c.phone", ["+49 30 3"])
    by_another(replica, Document.load((), writer=8), "c.phone", ["+49 30 2"])
    for size in (65_000, 4_000, 100, 1):
        try:
            while True:
                with replica.edit(FULL) as customer:
                    customer.append("timeline", "x" * size)
        except RecordTooLarge:
            continue
    return store


@pytest.fixture
def replica(filled, make_replica):
    """A device with a copy of it."""
    return make_replica("anna", store=filled.clone())


@pytest.fixture
def full(replica):
    return replica.document(FULL)


def by_another(replica, document, root, values):
    """Entries that another device wrote, and that were synced to here."""
    before = document.state_vector()
    with document.transaction() as transaction:
        entries = document.array(transaction, root)
        for value in values:
            entries.insert(transaction, 0, [value, replica.clock.now(), "ben"])
    replica.integrate([UpdatesEntry(FULL, document.diff(before), b"")], THEM, (), None)


def taken_by_a_partner(before, after):
    """Whether a partner that holds `before` stores what was done since."""
    update = after.diff(before.state_vector())
    done = Integrator(1).integrate(FULL, [before.diff()], [update], stamp_max=None, checked=True, snapshot=False)
    return [(verdict.code, verdict.new) for verdict in done.verdicts] == [("accepted", True)]


LESS = {
    "a shorter text": lambda customer: customer.text("notes").delete(100, 105),
    "letters in many places": lambda customer: [customer.text("notes").delete(9 * n, 9 * n + 1) for n in range(50)],
    "no text at all": lambda customer: customer.update({"notes": ""}),
    "a shorter value": lambda customer: customer.update({"city": "Bonn"}),
    "a value of the same length": lambda customer: customer.update({"city": "Madrid"}),
    "no value": lambda customer: customer.update({"city": None}),
    "one tag less": lambda customer: customer.remove("tags", "vip"),
    "another visit": lambda customer: customer.increment("visits"),
    "a decision that is longer than both": lambda customer: customer.resolve("phone", "+49 30 1234567890123456789"),
    "deleted": lambda customer: customer.delete(),
}


@pytest.mark.parametrize("less", LESS)
def test_what_takes_away_from_a_full_record_goes_through(replica, full, less):
    with replica.edit(FULL) as customer:
        LESS[less](customer)
    assert replica.document(FULL).digest() != full.digest()
    assert taken_by_a_partner(full, replica.document(FULL))


@pytest.mark.parametrize(
    "more",
    [
        lambda customer: customer.add("tags", "one more"),
        lambda customer: customer.text("notes").insert(0, "x" * 100),
        lambda customer: customer.update({"city": "Berlin-Mitte"}),
        lambda customer: customer.append("timeline", "called"),
    ],
)
def test_what_adds_to_a_full_record_is_refused_with_a_hint_that_helps(replica, full, more):
    with pytest.raises(RecordTooLarge) as refused, replica.edit(FULL) as customer:
        more(customer)
    assert "Shorten" in refused.value.hint
    assert replica.document(FULL).digest() == full.digest()
    with replica.edit(FULL) as customer:
        customer.text("notes").delete(0, 5_000)
    with replica.edit(FULL) as customer:
        more(customer)


def test_in_a_batch_what_counts_is_what_the_store_holds(replica, full):
    with replica.batch():
        with replica.edit(FULL) as customer:
            customer.text("notes").delete(0, 20)
        with replica.edit(FULL) as customer:
            customer.text("notes").insert(0, "short")
        with pytest.raises(RecordTooLarge), replica.edit(FULL) as customer:
            customer.text("notes").insert(0, "much too long for what was deleted")
    assert replica.get(FULL)["notes"].startswith("shortword")


def test_what_two_devices_filled_apart_comes_together_and_can_still_be_taken_away_from(replica, full):
    theirs = Document.load((), writer=9)
    by_another(replica, theirs, "l.timeline", ["y" * 65_000] * 16)
    assert replica.document(FULL).size > 2 * limits.RECORD_GROWN_BYTES_MAX - 20_000
    for less in ("letters in many places", "no value", "one tag less", "another visit", "no text at all", "deleted"):
        before = replica.document(FULL)
        with replica.edit(FULL) as customer:
            LESS[less](customer)
        assert taken_by_a_partner(before, replica.document(FULL))
    assert replica.get(FULL).deleted


def test_traces_of_deletions_end_somewhere_and_longer_passages_help(replica, full, monkeypatch):
    """Where nothing is renewed, as a partner knows no lineages."""
    replica.context.meet(THEM)
    monkeypatch.setattr(limits, "RECORD_BYTES_MAX", full.size + 1_000)
    with pytest.raises(RecordTooLarge) as refused, replica.edit(FULL) as customer:
        LESS["letters in many places"](customer)
    assert "longer passages" in refused.value.hint
    with replica.edit(FULL) as customer:
        customer.text("notes").delete(0, 1_000)
    assert replica.document(FULL).size < full.size


@pytest.mark.parametrize("less", ["a shorter text", "letters in many places", "another visit", "deleted"])
def test_a_record_that_takes_all_that_a_partner_takes_is_renewed_to_take_from_it(replica, monkeypatch, less):
    """Most of it is no trace."""
    small = "customers/small"
    with replica.edit(small, create=True) as customer:
        customer.update({"name": "Small", "notes": "word " * 1_000})
    with replica.edit(small) as customer:
        for place in range(60, 0, -1):
            customer.text("notes").delete(20 * place, 20 * place + 1)
    size = replica.document(small).size
    monkeypatch.setattr(limits, "RECORD_GROWN_BYTES_MAX", size - 500)
    monkeypatch.setattr(limits, "RECORD_BYTES_MAX", size)
    with replica.edit(small) as customer:
        LESS[less](customer)
    assert replica.document(small).size <= size
    assert replica.get(small)["name"] == "Small"
    assert replica.get(small).deleted is (less == "deleted")


def test_new_stamps_need_no_room(replica, full):
    replica.clock.correct(-3_600_000_000)
    assert replica.restamp(FULL)


def test_an_import_adds_nothing_to_a_full_record(replica, full):
    news = [ImportedChange("append", "timeline", "y" * 1000)]
    for dry_run in (True, False):
        with pytest.raises(RecordTooLarge, match="is full"):
            replica.bring(FULL, "office", news, {"timeline": []}, dry_run=dry_run)
    shorter = [ImportedChange("replace", "notes", "word " * 1_000)]
    replica.bring(FULL, "office", shorter, {"notes": "word"})
    assert replica.get(FULL)["notes"] == "word " * 1_000
