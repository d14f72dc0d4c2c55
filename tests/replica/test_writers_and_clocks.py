"""Writer ids of lives and copies; stamps of devices whose clocks are wrong."""

import random

from crdt_sync import Replica, ids
from crdt_sync.limits import STAMP_AHEAD_US_MAX
from crdt_sync.protocol.effects import Integrate
from crdt_sync.protocol.messages import UpdatesEntry, VerdictCode
from crdt_sync.records import Document, Editor, Integrator, bundled_schema, decode_state_vector
from crdt_sync.records.updates import state_vector as vectors
from crdt_sync.replica import StoreSource
from tests.replica.partners import (
    HOUR_US,
    THEM,
    US,
    answer,
    refusal,
    write,
)
from tests.replica.wire import exchange

# --- writers -------------------------------------------------------------------------------------------------


def writers(replica, record):
    return set(decode_state_vector(replica.store.record_head(record).state_vector))


def test_each_life_of_a_replica_writes_under_a_new_id(make_replica, time):
    first = make_replica("anna")
    write(first, US, name="Us")
    write(first, US, city="Bonn")
    assert writers(first, US) == {next(iter(first.context.writers.current), None)}
    second = Replica.over(first.store.clone(), time.clock(), random.Random(99))
    assert next(iter(second.context.writers.current), None) is None
    write(second, US, city="Berlin")
    assert len(writers(second, US)) == 2


def test_a_partner_that_knows_more_of_our_writer_makes_us_take_another(make_replica, replica, partner):
    write(replica, US, city="Bonn")
    writer = next(iter(replica.context.writers.current), None)
    twin = Document.load(replica.store.load(US).updates, writer)
    Editor(twin, bundled_schema("customers"), replica.clock, "twin", "customers")["city"] = "Berlin"
    partner.integrate(Integrate(1, (UpdatesEntry(US, twin.diff(), b""),), 6, 6, False))
    assert next(iter(replica.context.writers.current), None) is None
    write(replica, US, region="West")
    assert next(iter(replica.context.writers.current), None) != writer
    assert dict(replica.get(US)) == {"name": US, "city": "Berlin", "region": "West"}


def test_two_copies_of_one_store_both_keep_their_edits(make_replica, relay, time):
    anna = make_replica("anna")
    write(anna, US, name="Us")
    exchange(anna, relay)
    copy = Replica.over(anna.store.clone(), time.clock(), random.Random(99))
    with anna.edit(US) as customer:
        customer.increment("visits", 1)
    with copy.edit(US) as customer:
        customer.increment("visits", 10)
    for replica in (anna, copy, anna):
        exchange(replica, relay)
    assert anna.get(US)["visits"] == copy.get(US)["visits"] == 11
    assert anna.receipt().root == copy.receipt().root


# --- clocks --------------------------------------------------------------------------------------------------


def test_a_device_whose_clock_is_ahead_stamps_again_and_is_accepted(make_replica, relay, time):
    anna, bob = make_replica("anna", skew_us=24 * HOUR_US), make_replica("bob")
    write(anna, US, name="Us", phone="1")
    with anna.edit(US) as customer:
        customer.append("timeline", "call")
    assert exchange(anna, relay).settled
    assert anna.record_status(US).state == "stored"
    exchange(bob, relay)
    write(bob, US, phone="2")
    for replica in (bob, anna):
        exchange(replica, relay)
    assert anna.get(US) == bob.get(US)
    assert anna.get(US)["phone"] == "2"
    (entry,) = bob.get(US)["timeline"]
    assert entry["at"] <= time.now
    write(anna, US, phone="3")
    assert exchange(anna, relay).settled
    assert anna.record_status(US).state == "stored"


def test_what_was_stamped_again_is_served_without_the_stamps_that_were_refused(make_replica, relay, time):
    """A device that listens serves its stored bytes, which hold what was overwritten until a snapshot is made."""
    anna = make_replica("anna", skew_us=24 * HOUR_US)
    write(anna, US, name="Us")
    write(anna, US, phone="1")
    assert exchange(anna, relay).settled
    served = StoreSource(anna.store, lambda _: None).diff(US, vectors.EMPTY)
    judged = Integrator(1).integrate(US, (), [served.update], time.now + STAMP_AHEAD_US_MAX, True, False)
    assert [verdict.code for verdict in judged.verdicts] == ["accepted"]


def test_a_clock_that_was_put_right_before_the_sync_does_not_leave_edits_refused(make_replica, relay, time):
    """The stamps of the wrong hours lie ahead, though the handshake finds the clock right."""
    wrong = make_replica("anna", skew_us=24 * HOUR_US)
    write(wrong, US, name="Us")
    anna = Replica.over(wrong.store, time.clock(), random.Random(5))
    write(anna, THEM, name="Them")
    assert exchange(anna, relay).settled
    assert anna.record_status(US).state == anna.record_status(THEM).state == "stored"
    assert relay.store.count() == 2


def test_a_deleted_record_with_stamps_ahead_stays_deleted(make_replica, relay):
    anna, bob = make_replica("anna", skew_us=24 * HOUR_US), make_replica("bob")
    write(anna, US, name="Us")
    anna.delete(US)
    assert exchange(anna, relay).settled
    exchange(bob, relay)
    assert bob.get(US).deleted
    assert anna.get(US).deleted


def test_a_record_is_stamped_again_three_times_and_then_refused(replica, partner):
    for _ in range(3):
        write(replica, US, city=str(random.Random(0)))
        ahead = Replica.over(replica.store, lambda: replica.wall_clock() + HOUR_US, random.Random(1))
        write(ahead, US, city=f"ahead {ids.new_writer(random.Random())}")
        assert partner.acknowledge(answer(partner, US, refusal(VerdictCode.CLOCK_AHEAD))) == [US]
    assert partner.acknowledge(answer(partner, US, refusal(VerdictCode.CLOCK_AHEAD))) == []
    assert replica.record_status(US).state == "refused"


def test_nothing_to_stamp_again_is_a_refusal(replica, partner):
    assert not replica.restamp(US)
    assert partner.acknowledge(answer(partner, US, refusal(VerdictCode.CLOCK_AHEAD))) == []
    assert replica.record_status(US).reason == "clock_ahead: because"


def test_the_difference_of_clocks_is_remembered(make_replica, relay, time):
    anna = make_replica("anna", skew_us=-HOUR_US)
    exchange(anna, relay)
    assert abs(anna.clock.offset - HOUR_US) < 1000
    again = Replica.over(anna.store, time.clock(-HOUR_US), random.Random(1))
    write(again, US, name="Us")
    assert abs(again.clock.last - time.now) < 1000


# --- times told by other devices ------------------------------------------------------------------------------


def test_of_several_devices_times_and_our_own_the_middle_one_is_taken(replica):
    replica.context.correct_clock(b"a", -HOUR_US, by_relay=False)
    assert replica.clock.offset == -HOUR_US  # one against one: who dials gives way
    replica.context.correct_clock(b"b", 0, by_relay=False)
    assert replica.clock.offset == 0
    replica.context.correct_clock(b"a", -2 * HOUR_US, by_relay=False)
    assert replica.clock.offset == 0


def test_a_clock_that_was_never_set_corrects_none_that_was(make_replica, time):
    years_us = time.now - HOUR_US  # the other device started in 1970, an hour ago
    anna, unset = make_replica("anna"), make_replica("unset", skew_us=-years_us)
    anna.context.correct_clock(b"unset", -years_us, by_relay=False)
    assert anna.clock.offset == 0
    unset.context.correct_clock(b"anna", years_us, by_relay=False)
    assert unset.clock.offset == years_us


def test_the_time_of_a_session_that_is_over_counts_no_more(replica):
    replica.context.correct_clock(b"a", 0, by_relay=False)
    replica.context.forget_clock(b"a")
    replica.context.correct_clock(b"b", -HOUR_US, by_relay=False)
    assert replica.clock.offset == -HOUR_US


def test_a_relays_time_counts_more_than_that_of_all_devices(replica):
    for device in (b"a", b"b", b"c"):
        replica.context.correct_clock(device, HOUR_US, by_relay=False)
    replica.context.correct_clock(b"relay", -HOUR_US, by_relay=True)
    replica.context.correct_clock(b"a", HOUR_US, by_relay=False)
    assert replica.clock.offset == -HOUR_US


def test_a_refusal_of_our_stamps_makes_all_sessions_compare_the_clocks(replica, partner):
    doubts = []
    replica.context.watch_clock(lambda: doubts.append(1))
    write(replica, US, city="Bonn")
    partner.acknowledge(answer(partner, US, refusal(VerdictCode.CLOCK_AHEAD)))
    assert doubts == [1]
