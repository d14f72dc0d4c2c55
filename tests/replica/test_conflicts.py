"""What several devices did without knowing of each other, shown the same on all of them."""

from datetime import UTC, datetime

import pytest

from crdt_sync.errors import NoConflict, OpenConflict, RecordDeleted
from crdt_sync.replica import Event
from tests.replica.wire import exchange


@pytest.fixture
def anna(make_replica):
    return make_replica("anna")


@pytest.fixture
def bob(make_replica):
    return make_replica("bob")


@pytest.fixture
def record(anna, bob, relay):
    with anna.edit("customers") as customer:
        customer.update({"name": "Us", "phone": "0", "stage": "proposal"})
        customer.add("tags", "old")
    exchange(anna, relay)
    exchange(bob, relay)
    return customer.record


@pytest.fixture
def meet(anna, bob, relay):
    """Let both exchange everything, and check that they show and hold the same."""

    def _meet(record):
        for replica in (anna, bob, anna):
            line = exchange(replica, relay)
            assert line.settled
            assert line.closed is None
        assert anna.get(record) == bob.get(record)
        assert anna.get(record).deleted == bob.get(record).deleted
        assert anna.conflicts() == bob.conflicts()
        assert anna.receipt().root == bob.receipt().root
        return anna.get(record)

    return _meet


def edit(replica, record, **values):
    with replica.edit(record) as customer:
        customer.update(values)


def test_two_phones_are_both_kept_until_somebody_decides(anna, bob, record, meet):
    edit(anna, record, phone="1")
    edit(bob, record, phone="2")
    view = meet(record)
    assert (view["phone"], view.conflicts) == ("2", ("phone",))
    ((where, conflict),) = bob.conflicts("customers")
    assert (where, conflict.field, conflict.kind) == (record, "phone", "review")
    assert [(entry.value, entry.actor, entry.shown) for entry in conflict.entries] == [
        ("2", "bob", True),
        ("1", "anna", False),
    ]
    assert conflict.entries[0].stamp > conflict.entries[1].stamp
    anna.resolve(record, "phone", "1")
    assert anna.conflicts() == ()
    assert meet(record)["phone"] == "1"
    assert bob.conflicts() == ()


def test_a_field_that_waits_for_a_decision_is_not_written(anna, bob, record, meet):
    edit(anna, record, phone="1", stage="won")
    edit(bob, record, phone="2", stage="lost")
    meet(record)
    for field, value in (("phone", "3"), ("phone", "2"), ("phone", None), ("stage", "lost")):
        with pytest.raises(OpenConflict) as raised:
            edit(anna, record, city="Berlin", **{field: value})
        assert raised.value.field == field
    with pytest.raises(OpenConflict), anna.edit(record) as customer:
        customer.clear("phone")
    assert "city" not in anna.get(record)
    anna.resolve(record, "phone", "3")
    anna.resolve(record, "stage", "lost")
    assert anna.conflicts() == ()
    edit(anna, record, phone="4")
    assert meet(record)["phone"] == "4"


def test_where_nothing_is_to_be_decided_nothing_is_resolved(anna, record):
    head = anna.store.head()
    for field, value in (("phone", "1"), ("phone", "0"), ("city", "Ulm"), ("_deleted", True), ("_deleted", False)):
        with pytest.raises(NoConflict):
            anna.resolve(record, field, value)
    assert not anna.restore(record)
    assert anna.store.head() == head
    assert anna.delete(record)
    assert not anna.delete(record)
    assert anna.restore(record)


def test_values_that_say_the_same_are_no_conflict(anna, bob, record, meet):
    edit(anna, record, phone="+49 (0)30 90-18-20", email="Jose\u0301@example.com ")
    edit(bob, record, phone="0049 30 901820", email="jos\u00e9@Example.com")
    view = meet(record)
    assert view.conflicts == ()
    assert view["phone"] == "0049 30 901820"  # as it was typed
    edit(anna, record, phone="030 901820")  # and nothing asks for a decision
    assert meet(record)["phone"] == "030 901820"


def test_two_decisions_for_one_value_agree(anna, bob, record, meet):
    edit(anna, record, phone="1")
    edit(bob, record, phone="2")
    meet(record)
    anna.resolve(record, "phone", "1")
    bob.resolve(record, "phone", "1")
    assert meet(record)["phone"] == "1"
    assert anna.conflicts() == ()


def test_the_later_of_two_values_is_shown_without_a_question(anna, bob, record, meet):
    edit(bob, record, city="Bonn")
    edit(anna, record, city="Berlin")
    assert meet(record)["city"] == "Berlin"
    assert anna.conflicts() == ()
    for found in (anna.conflicts_of(record, superseded=True), [found for _, found in anna.conflicts(superseded=True)]):
        (conflict,) = found
        assert (conflict.field, conflict.kind, conflict.open) == ("city", "value", False)
        assert [(entry.value, entry.actor) for entry in conflict.entries] == [("Berlin", "anna"), ("Bonn", "bob")]
    assert anna.conflicts_of(record) == ()
    anna.resolve(record, "city", "Bonn")
    assert anna.conflicts(superseded=True) == ()
    assert meet(record)["city"] == "Bonn"


def test_a_stage_that_is_further_along_is_shown(anna, bob, record, meet):
    edit(bob, record, stage="won")
    edit(anna, record, stage="lost")
    view = meet(record)
    assert (view["stage"], view.conflicts) == ("won", ("stage",))
    bob.resolve(record, "stage", "lost")
    assert meet(record)["stage"] == "lost"


def test_fields_counters_sets_logs_and_texts_merge(anna, bob, record, meet):
    moment = datetime(2026, 3, 1, tzinfo=UTC)
    with anna.edit(record) as customer:
        customer["city"] = "Berlin"
        customer.increment("visits", 2)
        customer.remove("tags", "old")
        customer.add("tags", "a")
        customer.append("timeline", "call")
        customer["notes"] = "Anna was here. "
    with bob.edit(record) as customer:
        customer["last_contact"] = moment
        customer.increment("visits", 3)
        customer.add("tags", "b")
        customer.append("timeline", "mail")
        customer["notes"] = "Bob too. "
    view = meet(record)
    assert (view["city"], view["last_contact"], view["visits"], view["tags"]) == ("Berlin", moment, 5, ["a", "b"])
    assert [entry["value"] for entry in view["timeline"]] == ["call", "mail"]
    assert view["notes"] in {"Anna was here. Bob too. ", "Bob too. Anna was here. "}
    assert view.conflicts == ()


def test_an_edit_wins_over_a_delete_and_asks(anna, bob, record, meet):
    anna.delete(record)
    edit(bob, record, city="Bonn")
    view = meet(record)
    assert (view.deleted, view["city"], view.conflicts) == (False, "Bonn", ("_deleted",))
    ((_, conflict),) = bob.conflicts()
    assert (conflict.field, conflict.entries[0].actor) == ("_deleted", "anna")


@pytest.mark.parametrize("keep", [True, False])
def test_a_delete_beside_an_edit_is_decided(anna, bob, record, meet, keep):
    anna.delete(record)
    edit(bob, record, city="Bonn")
    meet(record)
    bob.resolve(record, "_deleted", not keep)
    view = meet(record)
    assert view.deleted is not keep
    assert anna.conflicts() == ()
    if keep:
        edit(anna, record, city="Berlin")
        assert meet(record)["city"] == "Berlin"
    else:
        with pytest.raises(RecordDeleted):
            edit(anna, record, city="Berlin")


def test_two_deletes_delete(anna, bob, record, meet):
    anna.delete(record)
    bob.delete(record)
    assert meet(record).deleted
    assert anna.conflicts() == ()
    anna.restore(record)
    assert not meet(record).deleted


def test_conflicts_of_deleted_records_wait_with_them(anna, bob, record, meet):
    edit(anna, record, phone="1")
    edit(bob, record, phone="2")
    meet(record)
    anna.delete(record)
    assert meet(record).deleted
    assert [where for where, _ in anna.conflicts()] == [record]


def test_received_and_stored_records_are_announced(anna, bob, record, relay):
    heard = {"anna": [], "bob": []}
    anna.subscribe(heard["anna"].extend)
    bob.subscribe(heard["bob"].extend)
    edit(anna, record, city="Berlin")
    exchange(anna, relay)
    exchange(bob, relay)
    assert heard["anna"] == [Event("edited", record), Event("stored", record)]
    assert heard["bob"] == [Event("received", record)]
