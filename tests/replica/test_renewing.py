"""Devices and a relay as in `test_machine`, where records are renewed now and then, by any of them at any time."""

import random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import rule, run_state_machine_as_test

from crdt_sync import bundled_schema, limits
from crdt_sync.errors import CrdtSyncError, EditOvertaken
from crdt_sync.protocol.effects import Welcomed
from crdt_sync.protocol.terms import Agreed
from crdt_sync.records import Document, Editor, values_of
from crdt_sync.records.gate import loaded
from crdt_sync.records.lineages.lineage import lineage_of
from crdt_sync.records.lineages.provenance import Lineage
from crdt_sync.records.lineages.renewal import carried, renewed
from crdt_sync.records.updates import state_vector as vectors
from crdt_sync.replica import Replica
from crdt_sync.replica.copies import written_over
from crdt_sync.replica.partner import Partner
from crdt_sync.replica.pushed import PushedUpdates
from crdt_sync.replica.renewing import may_renew
from crdt_sync.replica.rescue import rescued
from crdt_sync.storage.values import Batch, Change
from tests.replica.test_machine import RECORDS, DurableMachine, Machine, devices, records


class RenewingMachine(Machine):
    """In memory."""

    @rule(at=devices, record=records)
    def renew(self, at: int, record: str) -> None:
        device = self.devices[at]
        if device.replica.store.record_head(record) is None:
            return
        assert device.replica.renew(record)
        self.check(device, record)

    @rule(at=devices, record=records, tag=st.sampled_from("xyz"))
    def renew_during_an_edit(self, at: int, record: str, tag: str) -> None:
        device = self.devices[at]
        known = self.model.known(record, device.vector(record))
        if not known or device.vector(record) == {}:
            return
        self.add(at=at, record=record, tag=tag)
        self.renew(at=at, record=record)
        self.count(at=at, record=record, amount=1)


class DurableRenewingMachine(RenewingMachine, DurableMachine):
    """On disk."""


def test_renewed_records_agree_with_the_model():
    run_state_machine_as_test(
        RenewingMachine, settings=settings(max_examples=100, stateful_step_count=30, deadline=None)
    )


def test_a_deletion_that_had_not_seen_what_was_written_and_taken_back_is_a_conflict():
    """Without the renewal it is one. Nothing is lost either way: what was written is gone by its writer's own hand."""
    machine = RenewingMachine()
    machine.begin(seed=1)
    machine.append(at=0, record="shops/a")
    machine.renew(at=0, record="shops/a")
    machine.clear_log(at=0, record="shops/a")
    machine.delete(at=1, record="shops/a")
    machine.teardown()


def test_renewed_records_on_disk_agree_with_the_model():
    run_state_machine_as_test(
        DurableRenewingMachine,
        settings=settings(max_examples=5, stateful_step_count=30, deadline=None, derandomize=True, database=None),
    )


def wander(seed: int, steps: int = 60) -> None:
    """A history drawn without Hypothesis: the same for a seed."""
    rng = random.Random(seed)
    machine = RenewingMachine()
    machine.begin(seed=seed)
    moves = [
        lambda at, record: machine.write(at, record, rng.choice(["city", "phone"]), rng.choice(["open", "won"])),
        lambda at, record: machine.count(at, record, 1),
        lambda at, record: machine.add(at, record, rng.choice("xy")),
        lambda at, record: machine.remove(at, record, rng.choice("xy")),
        lambda at, record: machine.insert(at, record, rng.random()),
        lambda at, record: machine.edit_while_syncing(at, record, rng.randint(1, 4), rng.choice("xy")),
        lambda at, record: machine.sync(at),
        lambda at, record: machine.sync(at),
        lambda at, record: machine.cut(at),
        machine.renew,
        lambda at, record: machine.restart(at),
        lambda at, record: machine.restart_relay(),
    ]
    for _ in range(steps):
        rng.choice(moves)(rng.randrange(3), RECORDS[rng.random() < 0.1])
    machine.teardown()


def _carries_nothing(monkeypatch):
    monkeypatch.setattr(loaded, "carried", lambda one, other: max(one, other, key=lambda each: lineage_of(each).rank))


def _takes_any_lineage(monkeypatch):
    monkeypatch.setattr(loaded, "is_foreign", lambda lineage, update: False)


def _writes_on_under_one_id(monkeypatch):
    monkeypatch.setattr(Lineage, "following", lambda self, writer: writer)


@pytest.mark.parametrize("plant", [_carries_nothing, _takes_any_lineage, _writes_on_under_one_id])
def test_a_planted_bug_is_found(monkeypatch, plant):
    for seed in range(3):
        wander(seed)
    plant(monkeypatch)
    with pytest.raises((AssertionError, CrdtSyncError, ValueError)):  # noqa: PT012 - any of the histories
        for seed in range(60):
            wander(seed)


FULL = "customers/full"


@pytest.fixture(scope="module")
def traces():
    """A record that consists of traces: every other letter of a long text was deleted."""
    document = Document(7)
    with document.transaction() as transaction:
        document.array(transaction, "c.name").insert(transaction, 0, ["Müller", 1, "ben"])
        document.text(transaction, "t.notes").insert(transaction, 0, "ab" * 1_500)
    with document.transaction() as transaction:
        text = document.text(transaction, "t.notes")
        for place in range(1_500):
            text.remove_range(transaction, place, 1)
    return document


@pytest.fixture
def full(replica, traces, monkeypatch):
    """It is at its limit."""
    monkeypatch.setattr(limits, "RECORD_GROWN_BYTES_MAX", 10 * limits.KIB)
    whole, vector = traces.diff(), traces.state_vector()
    assert len(whole) > limits.RECORD_GROWN_BYTES_MAX > 6 * traces.content_bytes()
    replica.store.commit([Batch(changes=(Change(FULL, (whole,), b"t" * 16, "", 1, vector, whole),))])
    return Document.load([whole])


@pytest.mark.parametrize(
    "act",
    [
        lambda customer: customer.update({"notes": ""}),
        lambda customer: customer.text("notes").delete(5, 6),
        lambda customer: customer.delete(),
        lambda customer: customer.update({"city": "Berlin"}),
    ],
)
def test_a_full_record_of_traces_can_always_be_edited(replica, full, act):
    with replica.edit(FULL) as customer:
        act(customer)
    document = replica.document(FULL)
    assert replica.store.record_head(FULL).lineage or document.size < 1_000  # without any letter there are no traces
    assert document.size < limits.RECORD_GROWN_BYTES_MAX < full.size
    view = replica.get(FULL)
    assert view["name"] == "Müller"
    if document.lineage_writer():
        assert carried(full, document).digest() == document.digest()
    with replica.edit(FULL) as customer:  # under an id that the cover does not name
        if customer.deleted:
            customer.restore()
        customer["city"] = "Bonn"
    assert replica.get(FULL)["city"] == "Bonn"


RELAY, EPOCH = b"r" * 16, b"e" * 16


@pytest.mark.parametrize("features", [{"lineage"}, set()])
def test_only_where_every_known_partner_knows_lineages_a_record_is_renewed_by_itself(replica, full, features):
    agreed = Agreed(replica.store.space, True, b"l" * 16, frozenset(features))
    Partner(replica, "ws://relay").welcomed(Welcomed(RELAY, EPOCH, 0, False, True, agreed=agreed))
    assert may_renew(replica.store, [RELAY]) is bool(features)
    assert not may_renew(replica.store, [RELAY, b"q" * 16])  # nobody has met that one
    again = Replica.over(replica.store)  # another life, before it meets anybody
    again.context.meet(RELAY)
    with again.edit(FULL) as customer:
        customer.delete()
    assert bool(replica.store.record_head(FULL).lineage) is bool(features)


def test_a_partner_that_went_back_to_an_earlier_version_is_known_as_such(replica):
    for features in ({"lineage"}, set(), {"lineage"}):
        agreed = Agreed(replica.store.space, True, b"l" * 16, frozenset(features))
        Partner(replica, "ws://relay").welcomed(Welcomed(RELAY, EPOCH, 0, False, True, agreed=agreed))
        assert may_renew(replica.store, [RELAY]) is bool(features)


def test_a_life_goes_on_under_another_id_in_the_record_that_was_renewed_alone(replica):
    one, other = "customers/one", "customers/other"
    for number in range(3):
        for record in (one, other):
            with replica.edit(record, create=True) as customer:
                customer.update({"name": "Shop", "city": f"City {number}"})
        assert replica.renew(one)
    with replica.edit(one) as customer:
        customer["city"] = "Bonn"
    (writer,) = replica.context.writers.current
    covered = lineage_of(replica.document(one)).cover
    assert covered.keys() == {writer, writer + 1, writer + 2}
    assert writer + 3 in vectors.decode(replica.store.record_head(one).state_vector)
    assert vectors.decode(replica.store.record_head(other).state_vector).keys() == {writer}
    assert replica.context.writers.is_ours(writer + 3)
    assert not replica.context.writers.is_ours(writer - 1)


def test_a_record_that_shows_most_of_what_it_takes_is_left_as_it_is(replica):
    with replica.edit("customers") as customer:
        customer["name"] = "Müller"
        customer["notes"] = "word " * 2_000
    for number in range(40):
        with replica.edit(customer.record) as again:
            again["city"] = f"city {number}"
    assert replica.store.record_head(customer.record).lineage == 0


def test_a_device_that_accepts_sessions_carries_over_what_is_pushed(make_replica):
    """What its worker took is integrated once more, as the store may have moved on."""
    ann, ben = make_replica("ann"), make_replica("ben")
    with ben.edit("customers") as customer:
        customer["name"] = "Müller"
    record = customer.record
    old = ben.document(record)
    pushed = PushedUpdates(ann)

    def push(*updates: bytes) -> tuple[int, ...]:
        change = Change(record, updates, ben.id, "", 1, b"\x00")
        return pushed.commit([Batch(changes=(change,))])[0].seqs[0]

    assert push(old.diff()) == (1,)
    with ben.edit(record) as customer:
        customer["visits"] += 2
    late = ben.document(record)
    assert ann.renew(record)
    with ann.edit(record) as customer:
        customer["city"] = "Bonn"
    assert push(late.diff(), old.diff(), renewed(late).diff()) == (0, 0, 0)  # nobody sent what was stored
    shown = dict(ann.get(record))
    assert (shown["name"], shown["city"], shown["visits"]) == ("Müller", "Bonn", 2)
    assert ann.store.record_head(record).lineage == ann.document(record).lineage_writer() != 0
    assert ann.store.verify().findings == ()


def test_an_edit_that_a_renewal_overtook_is_carried_over_where_it_builds_on_nothing_else(replica):
    """Else its parts have no place: whoever made it makes it again."""
    with replica.edit("customers") as customer:
        customer["name"] = "Müller"
    begun, before = replica.document(customer.record), replica.document(customer.record).state_vector()
    alone, upon = (Document.load((begun.diff(),), 77) for _ in range(2))
    Editor(alone, bundled_schema("customers"), replica.clock, "ann", "customers").add("tags", "vip")
    Editor(upon, bundled_schema("customers"), replica.clock, "ann", "customers")["name"] = "Meier"
    assert replica.renew(customer.record)
    over = written_over(replica.store, customer.record, 77, before, alone.diff(before))
    assert values_of(over.document) == {"name": "Müller", "tags": ["vip"]}
    with pytest.raises(EditOvertaken, match="it was renewed"):
        written_over(replica.store, customer.record, 77, before, upon.diff(before))


def test_an_update_that_is_committed_with_a_renewal_has_no_number_that_its_sender_may_pass(make_replica):
    """Both are stored as one: the cursor of who sent the plain one would pass what it lacks."""
    ann, ben, chloe = make_replica("ann"), make_replica("ben"), make_replica("chloe")
    with ben.edit("customers") as customer:
        customer["name"] = "Müller"
    record = customer.record
    begun = ben.document(record)
    pushed = PushedUpdates(ann)

    def change(replica: Replica, update: bytes) -> Batch:
        return Batch(changes=(Change(record, (update,), replica.id, "", 1, b"\x00"),))

    assert pushed.commit([change(ben, begun.diff())])[0].seqs == ((1,),)
    with ben.edit(record) as customer:
        customer["city"] = "Bonn"
    plain = change(ben, ben.document(record).diff(begun.state_vector()))
    together = pushed.commit([plain, change(chloe, renewed(begun).diff())])
    assert [each.seqs for each in together] == [((0,),), ((0,),)]
    assert dict(ann.get(record)) == {"name": "Müller", "city": "Bonn"}


def test_a_damaged_renewed_record_is_repaired_as_what_it_was(tmp_path):
    with Replica.create(tmp_path / "ann", "ann", [bundled_schema("customers")]) as ann:
        with ann.edit("customers") as customer:
            customer["name"] = "Müller"
        record = customer.record
        assert ann.renew(record)
        for number in range(3):
            with ann.edit(record) as customer:
                customer["city"] = f"city {number}"
        lineage, digest = ann.store.record_head(record).lineage, ann.document(record).digest()
        remains = ann.store.remains([record])[record]
        document, left = rescued(record, remains)
    assert left == []
    assert (document.lineage_writer(), document.digest()) == (lineage, digest)
