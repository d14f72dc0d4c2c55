"""What is owed to a partner: edits until it has them, verdicts, refusals, and what came from others."""

import random
from types import SimpleNamespace
from typing import Any

import pytest

from crdt_sync.protocol.effects import Acknowledge, Owe, Welcomed
from crdt_sync.protocol.messages import Resume, Verdict, VerdictCode
from crdt_sync.records import Document, values_of
from crdt_sync.replica.carrying_out import carry_out
from crdt_sync.replica.partner import Partner
from tests.replica.partners import (
    ACCEPTED,
    EPOCH,
    LATER,
    RELAY,
    THEM,
    US,
    answer,
    outbox,
    pushed,
    refusal,
    write,
)
from tests.replica.wire import URL, Line, MemoryRelay, exchange


def test_what_is_edited_is_owed_until_the_partner_has_it(replica, partner):
    assert outbox(partner) == [US]
    assert replica.record_status(US).state == "pending"
    assert partner.acknowledge(answer(partner, US, ACCEPTED)) == []
    assert outbox(partner) == []
    assert partner.outgoing(US) is None
    assert replica.record_status(US) == replica.record_status(THEM)
    assert (replica.record_status(US).state, replica.record_status(US).stored_at) == ("stored", (URL,))


def test_what_is_pushed_is_only_what_the_partner_lacks(replica, partner):
    _, whole = partner.outgoing(US)
    partner.acknowledge(answer(partner, US, ACCEPTED))
    write(replica, US, city="Bonn")
    _, diff = partner.outgoing(US)
    assert len(diff.update) < len(whole.update)
    theirs = Document.load([whole.update, diff.update])
    assert values_of(theirs) == {"name": US, "city": "Bonn"}
    assert theirs.state_vector() == diff.state_vector


def test_a_record_edited_while_its_push_was_under_way_is_pushed_again(replica, partner):
    under_way = answer(partner, US, ACCEPTED)
    _, first = partner.outgoing(US)
    write(replica, US, city="Bonn")
    assert partner.acknowledge(under_way) == [US]
    _, second = partner.outgoing(US)
    assert values_of(Document.load([first.update, second.update]))["city"] == "Bonn"
    assert len(second.update) < len(first.update)
    assert partner.acknowledge(answer(partner, US, ACCEPTED)) == []


def test_a_gap_is_closed_from_the_vector_that_the_partner_gave(replica, partner):
    partner.acknowledge(answer(partner, US, ACCEPTED))
    write(replica, US, city="Bonn")
    assert partner.acknowledge(answer(partner, US, Verdict(VerdictCode.GAP, state_vector=b"\x00"))) == [US]
    _, diff = partner.outgoing(US)
    assert values_of(Document.load([diff.update])) == {"name": US, "city": "Bonn"}


def test_a_gap_with_a_vector_that_cannot_be_read_asks_for_everything(replica, partner):
    assert partner.acknowledge(answer(partner, US, Verdict(VerdictCode.GAP, state_vector=b"\x80\x80\x01"))) == [US]
    _, diff = partner.outgoing(US)
    assert values_of(Document.load([diff.update])) == {"name": US}


def test_what_could_not_be_stored_now_waits_and_stays_owed(replica, partner):
    assert partner.acknowledge(answer(partner, US, refusal(VerdictCode.RETRY))) == []
    assert outbox(partner) == [US]
    assert replica.record_status(US).state == "pending"


FINAL = [VerdictCode.MALFORMED, VerdictCode.TOO_LARGE, VerdictCode.POISON, VerdictCode.QUOTA, VerdictCode.FORBIDDEN]


@pytest.mark.parametrize("code", FINAL)
def test_a_refused_record_is_not_sent_again_until_it_is_edited(replica, partner, code):
    assert partner.acknowledge(answer(partner, US, refusal(code))) == []
    assert outbox(partner) == []
    assert partner.outgoing(US) is None
    status = replica.record_status(US)
    assert (status.state, status.reason) == ("refused", f"{code.name.lower()}: because")
    assert (replica.status().partners[0].pending, replica.status().partners[0].refused) == (0, 1)
    write(replica, US, city="Bonn")
    assert outbox(partner) == [US]
    assert replica.record_status(US).state == "pending"


@pytest.mark.parametrize("code", FINAL)
def test_a_refused_record_is_offered_again_once_the_partner_was_started_again(replica, partner, code):
    partner.acknowledge(answer(partner, US, refusal(code), cursor=1))
    same = Partner(replica, URL)
    same.welcomed(Welcomed(RELAY, EPOCH, 0, False, True))
    assert outbox(same) == ([US] if code is VerdictCode.QUOTA else []), "a quota is of a session, or of a day"
    other = Partner(replica, URL)
    other.welcomed(Welcomed(RELAY, LATER, 0, False, True))
    assert outbox(other) == [US]


@pytest.mark.parametrize("code", FINAL)
def test_a_refusal_of_an_edit_is_none_of_a_later_one(replica, partner, code):
    under_way = answer(partner, US, refusal(code))
    write(replica, US, city="Bonn")
    assert partner.acknowledge(under_way) == [US]
    assert outbox(partner) == [US]


def test_refused_records_do_not_hide_those_behind_them(replica, partner):
    for number in range(8):
        write(replica, f"customers/{number}", name="x")
    for number in range(6):
        partner.acknowledge(answer(partner, f"customers/{number}", refusal(VerdictCode.QUOTA)))
    assert [outgoing.record for outgoing in partner.outbox("", 2)] == ["customers/6", "customers/7"]
    assert [outgoing.record for outgoing in partner.outbox("customers/7", 2)] == [US]


def test_a_verdict_on_what_is_not_owed_is_ignored(replica, partner):
    pushed_before = pushed(partner, US, ACCEPTED)
    partner.acknowledge(Acknowledge(1, (pushed_before,), None, 1))
    assert partner.acknowledge(Acknowledge(2, (pushed_before,), None, 1)) == []
    assert replica.record_status(US).state == "stored"


def test_what_the_partner_lacks_altogether_is_owed_whole(replica, partner):
    partner.owe(Owe((THEM,)))
    assert outbox(partner) == [THEM, US]
    _, diff = partner.outgoing(THEM)
    assert values_of(Document.load([diff.update])) == {"name": THEM}


def test_without_a_partner_nothing_is_owed(replica):
    write(replica, US, name="Us")
    assert replica.partners() == ()
    assert replica.record_status(US).state == "local"


def test_what_comes_from_one_partner_is_owed_to_the_others(make_replica, time):
    anna, bob = make_replica("anna"), make_replica("bob")
    one, other = MemoryRelay(time), MemoryRelay(time, rng=random.Random(9))
    for relay, url in ((one, "ws://one"), (other, "ws://other")):
        Line(bob, relay, url).run()
    write(anna, US, name="Us")
    exchange(anna, one)
    Line(bob, one, "ws://one").run()
    assert bob.record_status(US).state == "pending"
    assert bob.record_status(US).stored_at == ("ws://one",)
    Line(bob, other, "ws://other").run()
    assert (
        bob.record_status(US).stored_at
        == ("ws://one", "ws://other")[:: 1 if one.store.replica < other.store.replica else -1]
    )
    assert other.store.record_head(US) is not None


def test_answers_that_share_a_commit_are_noted_each_for_its_own_push(replica, partner, monkeypatch):
    write(replica, "customers/third", name="third")
    gap = Verdict(VerdictCode.GAP, state_vector=b"\x00")
    answered = [answer(partner, US, ACCEPTED, cursor=6), answer(partner, "customers/third", gap, cursor=7)]
    commits = []
    commit = replica.context.store.commit
    monkeypatch.setattr(replica.context.store, "commit", lambda batches: commits.append(1) or commit(batches))
    noted = []
    session: Any = SimpleNamespace(acknowledged=lambda number, again, now: noted.append((number, again)))
    for told in carry_out(partner, session, answered):
        told(0)
    assert commits == [1]
    assert noted == [(answered[0].number, []), (answered[1].number, ["customers/third"])]
    assert outbox(partner) == ["customers/third"]
    assert Partner(replica, URL).resume == Resume(EPOCH, 7, 7)
