"""Edits of an old note are pushed as they were made, and no deletion is ever lost by that."""

import random
from functools import cache

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from crdt_bench.notes import note
from crdt_sync import limits
from crdt_sync.protocol.effects import Acknowledge, Owe, Pushed, Welcomed
from crdt_sync.protocol.messages import UpdatesEntry, Verdict, VerdictCode
from crdt_sync.protocol.source import Diff
from crdt_sync.records import Document, Integrator
from crdt_sync.records.updates import state_vector as vectors
from crdt_sync.records.updates.bytes_diff import joined
from crdt_sync.replica import recent
from crdt_sync.replica.partner import Partner
from tests.replica.partners import EPOCH, RELAY
from tests.replica.wire import URL

NOTE = "customers/note"


class Relay:
    """A partner behind the gate, and the session with it: answers may be lost, put off, and come late."""

    def __init__(self, replica):
        self.replica = replica
        self.kept = [Document().diff()]
        self.lives = 0
        self.connect(comparing=False)

    def connect(self, *, comparing):
        self.answers = []
        self.session = Partner(self.replica, URL)
        self.session.welcomed(Welcomed(RELAY, EPOCH[:-1] + bytes([self.lives]), 0, comparing, not comparing))

    def document(self):
        return Document.load(self.kept)

    def take(self, update):
        done = Integrator(1).integrate(NOTE, tuple(self.kept), (update,), None, True, snapshot=True)
        if done.verdicts[0].code == "accepted":
            assert done.snapshot is not None
            self.kept.append(done.snapshot)
        return done

    def push(self, *, retry=False):
        """Push what is owed, and have the answer wait; returns the bytes of the update."""
        if self.answers or (owed := self.session.outgoing(NOTE)) is None:
            return None
        outgoing, diff = owed
        if retry:
            verdict = Verdict(VerdictCode.RETRY, reason="not now")
        else:
            done = self.take(diff.update)
            code = VerdictCode[done.verdicts[0].code.upper()]
            verdict = Verdict(code, 1) if code is VerdictCode.ACCEPTED else Verdict(code, 0, done.state_vector)
        self.answers.append(Pushed(NOTE, outgoing.edit, diff.state_vector, verdict))
        return len(diff.update)

    def answer(self):
        if self.answers:
            self.session.acknowledge(Acknowledge(1, (self.answers.pop(),), 1, 1))

    def roll_back(self):
        """The relay goes back to what it had one update ago, which the next session finds out by comparing."""
        del self.kept[max(1, len(self.kept) - 1) :]
        self.lives += 1
        self.connect(comparing=True)

    def compared(self):
        if self.document().digest() != self.replica.document(NOTE).digest():
            self.session.owe(Owe((NOTE,)))

    def settle(self):
        """Until nothing is owed any more."""
        for _ in range(20):
            self.answer()
            if self.push() is None:
                return
        pytest.fail("there is always something to push")


@pytest.fixture
def relay(replica):
    return ready(replica, 1_500)


@cache
def grown(edits):
    """A note that was edited so often."""
    return Document.load([note(edits)]).diff()


def ready(replica, edits):
    whole = grown(edits)
    replica.integrate([UpdatesEntry(NOTE, whole, b"")], b"x" * 16, (), None)
    relay = Relay(replica)
    relay.settle()
    relay.compared()
    relay.settle()
    assert relay.document().digest() == replica.document(NOTE).digest()
    return relay


def typed(replica, text="x", at=0):
    with replica.edit(NOTE) as customer:
        customer.text("notes").insert(at, text)


def deleted(replica, at=0):
    with replica.edit(NOTE) as customer:
        customer.text("notes").delete(at, at + 1)


def test_one_character_of_an_old_note_is_pushed_and_logged_in_few_bytes(replica, relay):
    everything_deleted = len(replica.document(NOTE).deletions())
    assert everything_deleted > 1_500
    for edit in (typed, deleted, typed):
        edit(replica, at=700)
        assert len(replica.store.history(NOTE)[-1].update) < 100
        assert relay.push() < 100
        relay.answer()
        assert relay.document().digest() == replica.document(NOTE).digest()


def test_what_is_typed_while_a_push_is_under_way_is_pushed_in_few_bytes_too(replica, relay):
    replica.context.recent.forget(RELAY, NOTE)
    typed(replica)
    relay.push()
    for at in range(3):
        typed(replica, at=at)
        deleted(replica, at=at + 500)
    relay.answer()
    assert relay.push() < 400
    relay.answer()
    assert relay.document().digest() == replica.document(NOTE).digest()


def test_beyond_some_edits_the_difference_is_pushed(replica, relay):
    for at in range(limits.RECENT_EDITS_MAX + 1):
        deleted(replica, at=5 * at)
    assert relay.push() > 1_500
    relay.answer()
    assert relay.document().digest() == replica.document(NOTE).digest()


def test_edits_of_few_records_are_kept(replica, relay, monkeypatch):
    monkeypatch.setattr(limits, "RECENT_RECORDS_MAX", 3)
    deleted(replica)
    for _ in range(3):
        with replica.edit("customers") as customer:
            customer["name"] = "x"
    assert relay.push() > 1_500


def test_a_partner_that_lost_what_it_had_is_sent_everything(replica, relay):
    relay.kept = relay.kept[:1]
    deleted(replica)
    assert relay.push() < 100
    relay.answer()  # a gap
    assert relay.push() > 10_000
    assert relay.document().digest() == replica.document(NOTE).digest()


steps = st.lists(
    st.sampled_from(
        ["type", "delete", "theirs", "another", "push", "answer", "cut", "retry", "roll back", "compared", "restart"]
    ),
    max_size=25,
)
STORED = ["delete", "push", "answer"]
LOST = [*STORED, "delete", "roll back", "compared"]  # a partner that lacks more than was edited since


def play(replica, history, seed):
    rng = random.Random(seed)
    relay = ready(replica, 200)
    compared = True
    for step in history:
        length = len(replica.get(NOTE)["notes"])
        if step == "type":
            typed(replica, "word", rng.randrange(length))
        elif step == "delete":
            deleted(replica, rng.randrange(length - 1))
        elif step == "theirs":
            theirs = Document.load(relay.kept, writer=rng.getrandbits(50))
            before = theirs.state_vector()
            with theirs.transaction() as transaction:
                theirs.text(transaction, "t.notes").insert(transaction, 0, "theirs")
            relay.take(theirs.diff(before))
            replica.integrate([UpdatesEntry(NOTE, theirs.diff(before), b"")], RELAY, (), None)
        elif step == "another":
            other = replica.document(NOTE)
            before = other.deletions()
            text = Document.load([other.diff()], writer=rng.getrandbits(50))
            with text.transaction() as transaction:
                text.text(transaction, "t.notes").remove_range(transaction, 0, 1)
            update = text.diff_of_edit(other.state_vector(), before)
            replica.integrate([UpdatesEntry(NOTE, update, b"")], b"y" * 16, (), None)
        elif step == "push":
            relay.push()
        elif step == "retry":
            relay.push(retry=True)
        elif step == "answer":
            relay.answer()
        elif step == "cut":
            relay.connect(comparing=not compared)
        elif step == "roll back":
            relay.roll_back()
            compared = False
        elif step == "compared" and not compared:
            relay.compared()
            compared = True
        elif step == "restart":
            replica.context.recent = recent.RecentEdits()
    relay.settle()
    if not compared:
        relay.compared()
        relay.settle()
    ours = replica.document(NOTE)
    assert vectors.covers(relay.document().state_vector(), ours.state_vector())
    assert relay.document().digest() == Document.load([*relay.kept, ours.diff()]).digest()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps, st.integers(0, 1000))
@example(["delete", "push", "another", "delete", "answer"], 1)
@example(["another", "push", "delete", "another", "answer", "delete"], 1)
@example([*LOST, "push", "answer"], 1)
@example([*LOST, "delete", "push", "answer"], 1)
@example([*STORED, "delete", "push", "roll back", "delete", "compared", "push"], 1)
def test_whatever_happens_on_the_way_no_deletion_is_lost(make_replica, history, seed):
    play(make_replica("anna"), history, seed)


def dropped_too_early(recent_edits, partner, record, edit):
    """Only the last edit, whatever was pushed before."""
    lacking = recent_edits._lacking.get((partner, record))
    return Diff(lacking.updates[lacking.last], lacking.state_vector) if lacking else None


def whoever_changed_the_entry(recent_edits, partner, record, edit):
    """What was kept, although the outbox entry says that the partner lacks more."""
    lacking = recent_edits._lacking.get((partner, record))
    return Diff(joined(tuple(lacking.updates.values())), lacking.state_vector) if lacking else None


@pytest.mark.parametrize(
    ("bug", "history"),
    [
        (dropped_too_early, ["delete", "delete", "push", "answer"]),
        (whoever_changed_the_entry, [*LOST, "push", "answer"]),
    ],
)
def test_a_planted_bug_loses_a_deletion_and_is_seen(make_replica, monkeypatch, bug, history):
    monkeypatch.setattr(recent.RecentEdits, "diff", bug)
    with pytest.raises(AssertionError):
        play(make_replica("anna"), history, 1)
