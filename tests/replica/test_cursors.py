"""Where a partner's feed was read to: cursors and heads, lives, gaps, and relays that lose history."""

import pytest

from crdt_sync.errors import ProtocolViolation
from crdt_sync.protocol.effects import Acknowledge, Integrate, Welcomed
from crdt_sync.protocol.messages import Resume, UpdatesEntry, Verdict, VerdictCode
from crdt_sync.protocol.serving import Serving
from crdt_sync.records import Document, Editor, bundled_schema, values_of
from crdt_sync.records.lineages.renewal import renewed
from crdt_sync.replica import Replica
from crdt_sync.replica.partner import Partner
from tests.replica.partners import ACCEPTED, EPOCH, LATER, NONE, RELAY, THEM, US, pushed, write
from tests.replica.wire import URL, Line, exchange


def test_the_cursor_is_stored_and_found_again(replica, partner):
    assert partner.cursor == 5
    again = Partner(replica, URL)
    assert (again.resume, again.id) == (Resume(EPOCH, 5, 5), RELAY)
    assert Partner(replica, "ws://elsewhere").resume is None


def test_the_head_is_stored_with_whatever_rests_on_it(replica, partner):
    partner.integrate(Integrate(1, (), None, 8, False))
    assert Partner(replica, URL).resume == Resume(EPOCH, 5, 5)  # nothing was stored
    partner.acknowledge(Acknowledge(1, (pushed(partner, US, ACCEPTED),), None, 9))
    assert Partner(replica, URL).resume == Resume(EPOCH, 5, 9)
    write(replica, US, city="Bonn")
    gap = Verdict(VerdictCode.GAP, state_vector=b"\x00")
    partner.acknowledge(Acknowledge(2, (pushed(partner, US, gap),), None, 11))
    assert Partner(replica, URL).resume == Resume(EPOCH, 5, 11)


def test_a_standing_that_is_honoured_becomes_one_of_the_new_life(replica, partner):
    again = Partner(replica, URL)
    again.welcomed(Welcomed(RELAY, LATER, 0, False, True))
    again.acknowledge(Acknowledge(1, (pushed(again, US, ACCEPTED),), None, 9))
    assert Partner(replica, URL).resume == Resume(LATER, 5, 9)


def test_a_standing_that_is_not_honoured_is_forgotten_before_anything_is_stored(replica, partner):
    """Otherwise the lost history, put back later, would honour it, and lack what was stored beside it meanwhile."""
    again = Partner(replica, URL)
    again.welcomed(Welcomed(RELAY, LATER, 0, True, False))
    assert Partner(replica, URL).resume == Resume(NONE, 0, 0)
    again.acknowledge(Acknowledge(1, (pushed(again, US, ACCEPTED),), None, 3))
    assert Partner(replica, URL).resume == Resume(NONE, 0, 0)
    again.integrate(Integrate(1, (), 2, 2, False))
    assert Partner(replica, URL).resume == Resume(LATER, 2, 3)


def test_a_standing_that_changed_between_hello_and_welcome_was_not_honoured(replica, partner):
    again = Partner(replica, URL)  # its hello is on the way
    partner.acknowledge(Acknowledge(1, (pushed(partner, US, ACCEPTED),), None, 9))
    again.welcomed(Welcomed(RELAY, LATER, 0, False, True))
    assert Partner(replica, URL).resume == Resume(NONE, 0, 0)
    again.integrate(Integrate(1, (), 7, 7, False))
    assert Partner(replica, URL).resume == Resume(NONE, 0, 0)
    assert not again.stands


def test_sessions_that_overtook_each_other_stand_again_once_they_begin_anew(replica, partner):
    """After the relay was started again: one says hello, another stores more, and each has lost its standing."""
    early = Partner(replica, URL)
    partner.acknowledge(Acknowledge(1, (pushed(partner, US, ACCEPTED),), None, 9))
    late = Partner(replica, URL)
    assert early.stands, "nobody has answered yet"
    for session in (early, late):
        session.welcomed(Welcomed(RELAY, LATER, 0, False, True))
    assert [each.stands for each in (partner, early, late)] == [False, False, False]
    anew = Partner(replica, URL)
    anew.welcomed(Welcomed(RELAY, LATER, 0, True, False))
    anew.integrate(Integrate(1, (), 9, 9, False))
    assert (anew.stands, Partner(replica, URL).resume) == (True, Resume(LATER, 9, 9))


def test_two_sessions_in_one_life_keep_the_higher_head(replica, partner):
    again = Partner(replica, URL)
    again.welcomed(Welcomed(RELAY, EPOCH, 0, False, True))
    again.acknowledge(Acknowledge(1, (pushed(again, US, ACCEPTED),), None, 9))
    partner.integrate(Integrate(1, (), 6, 6, False))
    assert Partner(replica, URL).resume == Resume(EPOCH, 6, 9)


def test_what_a_session_of_an_older_life_stores_leaves_no_standing(replica, partner):
    again = Partner(replica, URL)
    again.welcomed(Welcomed(RELAY, LATER, 0, True, False))
    assert (partner.stands, again.stands) == (False, True)
    partner.acknowledge(Acknowledge(1, (pushed(partner, US, ACCEPTED),), None, 9))
    assert not again.stands, "of two epochs, nothing is known to be of the history that goes on"
    again.integrate(Integrate(1, (), 7, 7, False))
    assert Partner(replica, URL).resume == Resume(NONE, 0, 0)


def edited_twice(replica: Replica) -> tuple[Document, bytes]:
    """A record of somebody else, and its state vector between the two edits."""
    remote = Document.load((), 77)
    edit = Editor(remote, bundled_schema("customers"), replica.clock, "bob", "customers")
    edit["name"] = "Bob"
    before = remote.state_vector()
    edit["city"] = "Bonn"
    return remote, before


def test_no_cursor_is_stored_past_a_gap(replica, partner):
    """Otherwise a session cut before the repair would never learn of what is missing."""
    remote, before = edited_twice(replica)
    late = Integrate(1, (UpdatesEntry(THEM + "2", remote.diff(before), b""),), 9, 9, False)
    ((record, vector),) = partner.integrate(late)
    assert (record, vector) == (THEM + "2", b"\x00")
    assert Partner(replica, URL).cursor == 5
    partner.integrate(Integrate(2, (), 10, 10, False))
    partner.acknowledge(Acknowledge(1, (), 11, 11))
    assert Partner(replica, URL).cursor == 5
    beside = Document.load((), 4242)
    Editor(beside, replica.schemas["customers"], replica.clock, "Eve", "customers").add("tags", "vip")
    partner.integrate(Integrate(3, (UpdatesEntry(THEM + "2", beside.diff(), b""),), 12, 12, False))
    assert Partner(replica, URL).cursor == 5, "what builds on nothing closes no gap"
    answer = UpdatesEntry(THEM + "2", remote.diff(), remote.state_vector())
    partner.integrate(Integrate(4, (answer,), None, 12, False))
    partner.integrate(Integrate(5, (), 12, 12, False))
    assert Partner(replica, URL).cursor == 12
    assert replica.get(THEM + "2")["city"] == "Bonn"


def test_a_gap_that_is_answered_by_what_is_refused_holds_no_cursor_back(replica, partner):
    """A device's updates are tried first: what was refused does not come here, and is asked for again."""
    remote, before = edited_twice(replica)
    builds_on_it = UpdatesEntry(THEM, remote.diff(before), b"")
    partner.integrate(Integrate(1, (builds_on_it,), 7, 7, False))
    assert partner.cursor == 5
    partner.integrate(Integrate(2, (), 8, 8, False), {THEM: "clock_ahead: it is stamped too late"})
    assert (partner.cursor, partner.unread()) == (8, [THEM])
    assert partner.integrate(Integrate(3, (builds_on_it,), 9, 9, False)) == [], "it is asked for in the next session"
    assert (partner.cursor, partner.unread()) == (9, [THEM])
    partner.integrate(Integrate(4, (UpdatesEntry(THEM, remote.diff(), remote.state_vector()),), None, 9, False))
    assert partner.unread() == []
    assert replica.get(THEM)["city"] == "Bonn"


def asked_again(replica: Replica, partner: Partner) -> tuple[Document, bytes]:
    """A record of which something is asked for again: as the partner has it, and the state vector that was asked with.

    Before the answer comes, the record is renewed here.
    """
    first, _ = edited_twice(replica)
    partner.integrate(Integrate(1, (UpdatesEntry(THEM, first.diff(), b""),), 7, 7, False))
    partner.integrate(Integrate(2, (), 8, 8, False), {THEM: "clock_ahead: it is stamped too late"})
    assert partner.unread() == [THEM]
    assert replica.renew(THEM)
    return Document.load((first.diff(),), 88), first.state_vector()


def test_an_answer_that_was_made_before_a_renewal_and_was_taken_whole_is_asked_for_no_more(replica, partner):
    """It has no operation of those before, which the renewed record was made of."""
    remote, before = asked_again(replica, partner)
    Editor(remote, bundled_schema("customers"), replica.clock, "Eve", "customers").add("tags", "vip")
    partner.integrate(Integrate(3, (UpdatesEntry(THEM, remote.diff(before), remote.state_vector()),), 9, 9, False))
    assert replica.get(THEM)["tags"] == ["vip"]
    assert partner.unread() == []


def test_an_answer_that_was_made_before_a_renewal_and_could_not_be_taken_is_asked_for_again(replica, partner):
    """No state vector tells of what it deletes: all operations that the partner tells of are here."""
    remote, before = asked_again(replica, partner)
    with remote.transaction() as transaction:
        remote.array(transaction, "c.city").remove_range(transaction, 0, 1)
    assert remote.state_vector() == before
    partner.integrate(Integrate(3, (UpdatesEntry(THEM, remote.diff(before), before),), 9, 9, False))
    assert partner.unread() == [THEM]
    partner.integrate(Integrate(4, (UpdatesEntry(THEM, remote.diff(), before),), 10, 10, False))
    assert partner.unread() == []
    assert "city" not in replica.get(THEM)


@pytest.mark.parametrize("theirs_is_later", [False, True])
def test_an_answer_of_another_renewal_that_was_taken_whole_is_asked_for_no_more(replica, partner, theirs_is_later):
    remote, before = asked_again(replica, partner)
    Editor(remote, bundled_schema("customers"), replica.clock, "Eve", "customers").add("tags", "vip")
    theirs = renewed(renewed(remote), 88) if theirs_is_later else renewed(remote, 88)
    Editor(theirs, bundled_schema("customers"), replica.clock, "Eve", "customers").add("tags", "new")
    partner.integrate(Integrate(3, (UpdatesEntry(THEM, theirs.diff(before), theirs.state_vector()),), 9, 9, False))
    assert replica.get(THEM)["tags"] == ["new", "vip"]
    assert partner.unread() == []


def test_what_a_comparison_found_is_owed_also_where_the_partners_part_of_it_is_refused(replica, partner):
    """What they hold of the record never came here: all that we hold is pushed."""
    partner.acknowledge(Acknowledge(1, (pushed(partner, US, ACCEPTED),), None, 9))
    assert partner.outgoing(US) is None
    partner.integrate(Integrate(1, (), None, 9, True), {US: "clock_ahead: it is stamped too late"})
    _, diff = partner.outgoing(US)
    assert values_of(Document.load([diff.update])) == {"name": US}


def test_a_comparison_brings_what_was_to_be_asked_for_again(replica, partner):
    partner.integrate(Integrate(1, (), 7, 7, False), {THEM: "clock_ahead: it is stamped too late"})
    again = Partner(replica, URL)
    assert again.unread() == [THEM]
    again.welcomed(Welcomed(RELAY, LATER, 0, False, True))
    assert again.unread() == [THEM]
    again.welcomed(Welcomed(RELAY, LATER, 0, True, False))
    assert again.unread() == [THEM], "until it was carried through"
    again.integrate(Integrate(1, (), None, 9, True))
    assert again.unread() == [THEM]
    again.integrate(Integrate(2, (), 9, 9, False))
    assert again.unread() == []


def test_what_is_refused_again_in_a_comparison_is_asked_for_again(replica, partner):
    partner.integrate(Integrate(1, (), 7, 7, False), {THEM: "clock_ahead: it is stamped too late"})
    again = Partner(replica, URL)
    again.welcomed(Welcomed(RELAY, LATER, 0, True, False))
    again.integrate(Integrate(1, (), None, 9, True), {THEM: "clock_ahead: it is stamped too late"})
    again.integrate(Integrate(2, (), 9, 9, False))
    assert again.unread() == [THEM]


def test_where_more_is_refused_than_is_named_the_next_session_compares(replica, partner, monkeypatch):
    monkeypatch.setattr("crdt_sync.replica.unread._RECORDS_MAX", 2)
    refused = {f"customers/{number}": "clock_ahead: it is stamped too late" for number in range(3)}
    partner.integrate(Integrate(1, (), 7, 7, False), dict(list(refused.items())[:2]))
    assert Partner(replica, URL).resume == Resume(EPOCH, 7, 7)
    partner.integrate(Integrate(2, (), 8, 8, False), refused)
    again = Partner(replica, URL)
    assert (again.resume, again.unread()) == (None, ["customers/0", "customers/1"])
    assert list(replica.status().unreadable) == ["customers/0", "customers/1"]
    again.welcomed(Welcomed(RELAY, LATER, 0, True, False))
    again.integrate(Integrate(1, (), 9, 9, False))
    assert (Partner(replica, URL).resume, replica.status().unreadable) == (Resume(LATER, 9, 9), {})


def test_edits_made_before_an_empty_replica_was_welcomed_are_pushed(replica, relay):
    line = Line(replica, relay)
    line.run(1)
    write(replica, US, name="Us")
    assert line.run()
    assert relay.store.record_head(US) is not None
    assert replica.record_status(US).state == "stored"


@pytest.mark.parametrize("frames", range(1, 12))
def test_a_first_meeting_cut_anywhere_ends_complete_the_next_time(make_replica, relay, frames):
    anna, bob = make_replica("anna"), make_replica("bob")
    for number in range(3):
        write(anna, f"customers/a{number}", name="A")
        write(bob, f"customers/b{number}", name="B")
    exchange(anna, relay)
    exchange(bob, relay, frames)
    write(bob, US, name="Us")
    assert exchange(bob, relay).settled
    exchange(anna, relay)
    assert anna.count() == bob.count() == relay.store.count() == 7
    assert anna.receipt().root == bob.receipt().root


def test_a_wiped_relay_is_filled_again_and_its_status_is_true(make_replica, relay):
    anna, bob = make_replica("anna"), make_replica("bob")
    write(anna, US, name="Us")
    write(bob, THEM, name="Them")
    for replica in (anna, bob):
        exchange(replica, relay)
    relay.wipe()
    write(anna, US, city="Bonn")
    for replica in (anna, bob, anna):
        assert exchange(replica, relay).settled
    assert relay.store.count() == 2
    assert anna.receipt().root == bob.receipt().root
    for replica in (anna, bob):
        assert len(replica.partners()) == 1
        assert replica.record_status(US).state == replica.record_status(THEM).state == "stored"


def test_a_relay_put_back_from_a_backup_gets_what_it_lost(make_replica, relay):
    anna, bob = make_replica("anna"), make_replica("bob")
    write(anna, US, name="Us")
    exchange(anna, relay)
    backup = relay.store.clone()
    write(anna, US, city="Bonn")
    write(anna, THEM, name="Them")
    exchange(anna, relay)
    relay.put_back(backup)
    exchange(bob, relay)
    write(bob, US, phone="2")
    assert exchange(anna, relay).settled
    assert exchange(bob, relay).settled
    exchange(anna, relay)
    assert dict(anna.get(US)) == dict(bob.get(US)) == {"name": "Us", "city": "Bonn", "phone": "2"}
    assert anna.receipt().root == bob.receipt().root


def test_a_relay_that_is_started_again_costs_no_comparison(make_replica, relay):
    anna = make_replica("anna")
    write(anna, US, name="Us")
    exchange(anna, relay)
    for _ in range(3):
        relay.restart()
        line = exchange(anna, relay)
        assert line.settled
        assert line.frames == 5  # hello; welcome, terms and changes; terms
    assert anna.partners()[0].cursor == 1


def believe_cursors_alone(monkeypatch):
    """Plant a bug: heads are not compared."""

    def honours(self, resume):
        reach = self._source.reach(resume.epoch)
        return reach is not None and resume.cursor <= reach

    monkeypatch.setattr(Serving, "honours", honours)


@pytest.mark.parametrize("bug", [False, True])
def test_a_lost_push_is_noticed_though_the_cursor_lies_before_the_loss(make_replica, relay, monkeypatch, bug):
    """Another's update, which was not sent yet, holds the cursor back; the one that was pushed is lost."""
    if bug:
        believe_cursors_alone(monkeypatch)
    anna, bob = make_replica("anna"), make_replica("bob")
    for replica in (anna, bob):
        exchange(replica, relay)
    line = Line(anna, relay)
    line.run()
    write(bob, THEM, name="Them")
    exchange(bob, relay)
    image = relay.store.clone()
    write(anna, US, name="Us")
    while anna.record_status(US).state != "stored":
        assert line.carry_out() or line.upstream or line.downstream or line.dialer.wants_room
        _push_only(line)
    assert anna.partners()[0].cursor == 0
    line.cut()
    relay.put_back(image)
    exchange(bob, relay)
    assert exchange(anna, relay).settled
    assert (relay.store.record_head(US) is None) == bug
    assert exchange(bob, relay).settled
    assert (anna.receipt().root != bob.receipt().root) == bug


@pytest.mark.parametrize("bug", [False, True])
def test_an_update_newer_than_the_page_that_brought_it_comes_back_to_a_relay_that_lost_it(
    make_replica, relay, monkeypatch, bug
):
    if bug:
        believe_cursors_alone(monkeypatch)
    anna, bob = make_replica("anna"), make_replica("bob")
    exchange(anna, relay)
    write(bob, THEM, name="Them")
    exchange(bob, relay)
    line = Line(anna, relay)
    line.run(6)  # hello; welcome, terms and changes; terms and want
    image = relay.store.clone()
    write(bob, THEM, city="Bonn")
    exchange(bob, relay)
    line.run(1)
    line.carry_out()
    line.cut()
    assert anna.partners()[0].cursor == image.head()
    assert anna.get(THEM)["city"] == "Bonn"
    relay.put_back(image)
    assert exchange(anna, relay).settled
    carl = make_replica("carl")
    assert exchange(carl, relay).settled
    assert ("city" not in carl.get(THEM)) == bug


def _push_only(line):
    """One step of a line on which the relay sends acknowledgements only."""
    if line.dialer.wants_room:
        line.dialer.fill(1 << 20, line.host.steady())
    elif line.upstream:
        line.host.receive(line.session, line.upstream.popleft())
    elif line.downstream:
        line.dialer.receive(line.downstream.popleft(), line.host.steady())


def test_a_history_that_is_put_back_after_a_rollback_gets_what_was_stored_beside_it(make_replica, relay):
    anna, bob = make_replica("anna"), make_replica("bob")
    write(anna, US, name="Us")
    exchange(anna, relay)
    image = relay.store.clone()
    write(anna, US, city="Bonn")
    exchange(anna, relay)
    beside = relay.store.clone()
    relay.put_back(image)
    write(anna, THEM, name="Them")
    exchange(anna, relay)
    relay.put_back(beside)
    assert exchange(anna, relay).settled
    assert exchange(bob, relay).settled
    assert anna.receipt().root == bob.receipt().root
    assert bob.count() == 2


def test_a_receipt_of_the_partner_equals_ours(replica, relay):
    write(replica, US, name="Us")
    line = Line(replica, relay)
    line.run()
    line.dialer.request_receipt(1)
    line.run()
    (theirs,) = line.receipts
    ours = replica.receipt()
    assert (ours.count, ours.root) == (theirs.count, theirs.root) == (1, ours.root)
    write(replica, US, city="Bonn")
    assert replica.receipt().root != theirs.root


def test_a_device_that_says_that_it_is_a_known_relay_or_another_than_it_proved_is_told_nothing(replica, partner):
    """Its word would count as the relay's, and what is owed there would be given to it."""
    with pytest.raises(ProtocolViolation):
        Partner(replica, "ws://a-device", RELAY)
    device = Partner(replica, "ws://a-device", b"d" * 16)
    for named in (RELAY, b"o" * 16):
        with pytest.raises(ProtocolViolation):
            device.welcomed(Welcomed(named, EPOCH, 0, False, False))
    assert Partner(replica, URL).resume == Resume(EPOCH, 5, 5)
    device.welcomed(Welcomed(b"d" * 16, EPOCH, 0, False, False))
