"""The hub by itself: what is answered when, whatever the worker and the disk say."""

import pytest

from crdt_sync import limits
from crdt_sync.protocol import codec
from crdt_sync.protocol.hub import Commit, Deliver, Forget, Hangup, Hub, Integrate, Integrated
from crdt_sync.protocol.messages import (
    Ack,
    Bye,
    Have,
    Hello,
    Message,
    Push,
    PushEntry,
    Terms,
    Updates,
    Verdict,
    VerdictCode,
    Want,
    WantEntry,
)
from crdt_sync.protocol.principal import Principal, everybody
from crdt_sync.protocol.versions import FEATURES
from crdt_sync.verdicts import refused
from tests.protocol.scripted import RELAY, ScriptedLog

A, B = "customers/a", "customers/b"
VECTOR = b"\x01\x05\x07"
NEW = Verdict(VerdictCode.ACCEPTED, new=True)
KNOWN = Verdict(VerdictCode.ACCEPTED)
GAP = refused(VerdictCode.GAP, "operations are missing")


class Bench:
    """A hub over a scripted log. No host: each test answers for the worker and the disk, when and as it likes."""

    def __init__(self) -> None:
        self.log = ScriptedLog()
        self.hub = Hub(self.log, everybody, lambda: 1_000, lambda _: False)
        self.sent: dict[int, list[Message]] = {}
        self.integrations: list[Integrate] = []
        self.commits: list[Commit] = []
        self.others: list[object] = []

    def join(self, follow: bool = False) -> int:
        session = self.hub.connect(0)
        replica = bytes([session]) * 16
        self.hear(session, Hello((1,), replica, "", 1, None, follow, 0, "test"))
        if follow:
            self.hub.fill(session, 1 << 20, 0)
            self.drain()
        return session

    def join_agreeing(self) -> int:
        """A session of version 2 that follows, and that can do all that we can."""
        session = self.hub.connect(0)
        self.hub.receive(session, codec.encode(Hello((2,), bytes([session]) * 16, "", 1, None, True, 0, "test")), 0)
        self.hub.receive(session, codec.encode(Terms(RELAY, True, RELAY, tuple(FEATURES)), 2), 0)
        self.hub.fill(session, 1 << 20, 0)
        self.hub.drain()
        return session

    def hear(self, session: int, *messages: Message) -> None:
        for message in messages:
            self.hub.receive(session, codec.encode(message), 0)
        self.drain()

    def push(self, session: int, number: int, *records: str) -> None:
        self.hear(session, Push(number, tuple(PushEntry(record, b"u%d" % session) for record in records)))

    def integrated(self, *verdicts: Verdict) -> None:
        """The worker's answer to the oldest batch: the same verdict for every update of an item, item by item."""
        batch = self.integrations.pop(0)
        results = [
            Integrated((verdict,) * len(item.updates), VECTOR, None)
            for item, verdict in zip(batch.items, verdicts, strict=True)
        ]
        self.hub.integrated(results, 0)
        self.drain()

    def committed(self) -> None:
        commit = self.commits.pop(0)
        seqs = [[self.log.commit(change.record, update) for update in change.updates] for change in commit.changes]
        self.hub.committed(commit.number, seqs, 0)
        self.drain()

    def failed(self) -> bool:
        given_up = self.hub.commit_failed(self.commits.pop(0).number, 0)
        self.drain()
        return given_up

    def drain(self) -> None:
        for effect in self.hub.drain():
            if isinstance(effect, Deliver):
                self.sent.setdefault(effect.session, []).append(codec.decode(effect.frame))
            elif isinstance(effect, Integrate):
                self.integrations.append(effect)
            elif isinstance(effect, Commit):
                self.commits.append(effect)
            else:
                self.others.append(effect)

    def verdicts(self, session: int) -> list[Verdict]:
        acks = [message for message in self.sent.get(session, []) if isinstance(message, Ack)]
        return [verdict for ack in acks for verdict in ack.verdicts]


def codes(verdicts: list[Verdict]) -> list[VerdictCode]:
    return [verdict.code for verdict in verdicts]


def test_nothing_is_acknowledged_or_shown_before_the_commit() -> None:
    bench = Bench()
    pusher, follower = bench.join(), bench.join(follow=True)
    bench.push(pusher, 1, A)
    bench.integrated(NEW)
    assert bench.verdicts(pusher) == []
    assert bench.hub.followers() == []
    bench.committed()
    assert bench.verdicts(pusher) == [Verdict(VerdictCode.ACCEPTED, 1)]
    assert bench.hub.followers() == [follower]
    bench.hub.fill(follower, 1 << 20, 0)
    bench.drain()
    (update,) = (message for message in bench.sent[follower] if isinstance(message, Updates))
    assert [entry.update for entry in update.entries] == [b"u1"]


def test_what_became_part_of_a_renewal_has_no_number_for_whoever_sent_it() -> None:
    """They read the renewed record in the feed, as everybody does: no cursor of theirs may pass it as their own."""
    bench = Bench()
    first, second = bench.join(follow=True), bench.join(follow=True)
    bench.push(first, 1, A)
    bench.push(second, 1, A)
    while bench.integrations:
        batch = bench.integrations.pop(0)
        whole = [Integrated((NEW,) * len(item.updates), VECTOR, b"whole", 7) for item in batch.items]
        bench.hub.integrated(whole, 0)
        bench.drain()
        bench.committed()
    assert bench.verdicts(first) == bench.verdicts(second) == [Verdict(VerdictCode.ACCEPTED)]
    for session in (first, second):
        bench.hub.fill(session, 1 << 20, 0)
        bench.drain()
        updates = [message for message in bench.sent[session] if isinstance(message, Updates)]
        assert b"whole" in [entry.update for message in updates for entry in message.entries]


def test_a_repeat_and_a_gap_wait_for_the_commit_that_they_speak_of() -> None:
    bench = Bench()
    first, repeats, gapped = bench.join(), bench.join(), bench.join()
    bench.push(first, 1, A)
    bench.integrated(NEW)
    bench.push(repeats, 1, A)
    bench.push(gapped, 1, B)
    while bench.integrations:
        batch = bench.integrations[0]
        bench.integrated(*(KNOWN if item.record == A else GAP for item in batch.items))
    assert bench.verdicts(repeats) == bench.verdicts(gapped) == []
    bench.committed()
    assert codes(bench.verdicts(repeats)) == [VerdictCode.ACCEPTED]
    assert bench.verdicts(gapped) == [Verdict(VerdictCode.GAP, 0, VECTOR)]


def test_when_a_commit_fails_everything_that_may_build_on_it_is_to_be_sent_again() -> None:
    bench = Bench()
    first, second, third = bench.join(), bench.join(), bench.join()
    bench.push(first, 1, A)
    bench.integrated(NEW)
    bench.push(second, 1, A)
    bench.integrated(NEW)
    bench.push(third, 1, A)  # under way in the worker when the disk says no
    bench.failed()
    assert any(isinstance(effect, Forget) for effect in bench.others)
    assert codes(bench.verdicts(first)) == codes(bench.verdicts(second)) == [VerdictCode.RETRY]
    bench.integrated(NEW)
    assert codes(bench.verdicts(third)) == [VerdictCode.RETRY]
    bench.push(first, 2, A)
    bench.integrated(NEW)
    bench.commits = bench.commits[-1:]
    bench.committed()
    assert codes(bench.verdicts(first)) == [VerdictCode.RETRY, VerdictCode.ACCEPTED]


def test_what_was_given_up_with_an_earlier_commit_says_nothing_of_those_handed_over_since() -> None:
    bench = Bench()
    anna = bench.join()
    for number in (1, 2):
        bench.push(anna, number, A)
        bench.integrated(NEW)
    assert bench.failed(), "and the second with it"
    bench.push(anna, 3, A)
    bench.integrated(NEW)
    assert not bench.failed(), "the second, of which nothing is new; the third may still be refused"
    assert bench.failed()


def test_a_session_that_pushes_much_delays_only_itself() -> None:
    bench = Bench()
    greedy, modest = bench.join(), bench.join()
    for number in range(1, 41):
        bench.push(greedy, number, *(f"customers/{number}-{position}" for position in range(100)))
    bench.push(modest, 1, A)
    waited = 0
    while not any(item.record == A for item in bench.integrations[0].items):
        bench.integrated(*(NEW for _ in bench.integrations[0].items))
        waited += 1
    assert waited <= 3


def test_poison_names_its_sender_and_ends_its_session_at_the_third_strike() -> None:
    bench = Bench()
    hostile, honest = bench.join(), bench.join()
    for number in (1, 2, 3):
        bench.push(hostile, number, A)
        bench.integrated(refused(VerdictCode.POISON, "it killed the worker"))
    assert [type(message) for message in bench.sent[hostile]][-1] is Bye
    assert [effect.session for effect in bench.others if isinstance(effect, Hangup)] == [hostile]
    bench.push(honest, 1, A)
    bench.integrated(NEW)
    bench.committed()
    assert codes(bench.verdicts(honest)) == [VerdictCode.ACCEPTED]


def test_pushes_of_a_session_that_left_are_carried_out_all_the_same() -> None:
    bench = Bench()
    pusher = bench.join()
    bench.push(pusher, 1, A)
    bench.hub.lost(pusher, 0)
    bench.drain()
    bench.integrated(NEW)
    bench.committed()
    assert bench.log.updates == [(A, b"u1")]
    assert bench.hub.idle


def test_what_waits_of_a_session_that_left_is_stored_in_its_order_and_under_its_name() -> None:
    bench = Bench()
    pusher, other = bench.join(), bench.join()
    for number in range(1, 6):
        bench.push(pusher, number, A)
    bench.push(other, 1, B)
    bench.hub.receive(pusher, codec.encode(Bye("done", "", None)), 0)
    bench.drain()
    origins = []
    while bench.integrations:
        bench.integrated(*(NEW for _ in bench.integrations[0].items))
        while bench.commits:
            origins += [origin for change in bench.commits[0].changes for origin in change.origins]
            bench.committed()
    assert [update for record, update in bench.log.updates if record == A] == [b"u1"] * 5
    assert sorted(origins) == [b"\1" * 16] * 5 + [b"\2" * 16]
    assert codes(bench.verdicts(other)) == [VerdictCode.ACCEPTED]
    assert bench.hub.taken == bench.hub.verdicts[VerdictCode.ACCEPTED] == 6
    assert bench.hub.idle
    assert not bench.hub.held_bytes


def test_what_waits_of_a_session_that_killed_workers_is_given_up() -> None:
    for goes_first in (False, True):
        bench = Bench()
        hostile = bench.join()
        for number in range(1, 10):
            bench.push(hostile, number, *(f"customers/{number}-{position}" for position in range(100)))
        if goes_first:
            bench.hub.lost(hostile, 0)
            bench.drain()
        integrated = 0
        while bench.integrations:
            integrated += len(bench.integrations[0].items)
            bench.integrated(
                *(refused(VerdictCode.POISON, "it killed the worker") for _ in bench.integrations[0].items)
            )
        assert integrated < 900
        assert bench.hub.verdicts[VerdictCode.RETRY] == 900 - integrated
        assert bench.hub.taken == bench.hub.verdicts.total() == 900
        assert bench.hub.idle
        assert not bench.hub.held_bytes


def test_what_is_taken_of_all_sessions_together_is_bounded_and_who_has_nothing_under_way_comes_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "TAKEN_BYTES_MAX", 20)
    monkeypatch.setattr(limits, "TAKEN_UPDATE_BYTES", 4)
    bench = Bench()
    first, second, third, fourth = (bench.join() for _ in range(4))
    sessions = [first, second, third, fourth]

    def held_back(*asked: int, size: int = limits.MIB) -> list[bool]:
        return [bench.hub.congested(session, size, 0) for session in asked]

    bench.push(first, 1, A, B)
    assert held_back(*sessions) == [False] * 4
    bench.push(second, 1, A)
    assert bench.hub.held_bytes == 12
    assert held_back(*sessions) == [True, True, False, False]
    bench.push(third, 1, A, B)
    assert bench.hub.held_bytes == 20
    assert held_back(*sessions) == [True] * 4
    assert held_back(*sessions, size=limits.TAKEN_FRAME_BYTES) == [True, True, True, False], "a short frame has room"
    assert held_back(fourth, size=limits.TAKEN_FRAME_BYTES + 1) == [True]
    bench.hub.lost(second, 0)
    bench.drain()
    assert bench.hub.held_bytes == 20, "who leaves takes nothing along"
    for number in range(5):
        bench.push(bench.join(), 1, f"customers/{number}")
    assert held_back(bench.join(), size=1) == [True], "all the same there is a bound"
    bench.integrated(*(NEW for _ in bench.integrations[0].items))
    bench.committed()
    bench.integrated(*(NEW for _ in bench.integrations[0].items))
    bench.committed()
    assert bench.hub.held_bytes == 0
    assert held_back(first, third, fourth) == [False] * 3


def test_small_updates_count_as_what_they_take_and_not_as_their_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "TAKEN_BYTES_MAX", 100 * limits.TAKEN_UPDATE_BYTES)
    bench = Bench()
    session = bench.join()
    for number in range(1, 51):
        assert not bench.hub.congested(session, 0, 0)
        bench.push(session, number, f"customers/{number}")
    assert bench.hub.congested(session, 0, 0)


def test_a_worker_that_cannot_be_asked_leaves_everything_to_be_sent_again() -> None:
    bench = Bench()
    pusher = bench.join()
    bench.push(pusher, 1, A, B)
    bench.integrations.pop()
    bench.hub.integration_failed(0)
    bench.drain()
    assert codes(bench.verdicts(pusher)) == [VerdictCode.RETRY, VerdictCode.RETRY]


def test_a_principal_that_may_only_read_is_served_and_its_pushes_are_forbidden() -> None:
    bench = Bench()
    reader = bench.hub.connect(0, lambda hello: Principal(hello.replica, grant="read"))
    bench.hear(reader, Hello((1,), b"r" * 16, "", 1, None, True, 0, "test"))
    writer = bench.join()
    bench.push(reader, 1, A, B)
    (ack,) = [message for message in bench.sent[reader] if isinstance(message, Ack)]
    assert [(verdict.code, A in verdict.reason) for verdict in ack.verdicts] == [
        (VerdictCode.FORBIDDEN, True),
        (VerdictCode.FORBIDDEN, False),
    ]
    assert bench.integrations == []
    bench.push(writer, 1, A)
    (batch,) = bench.integrations
    assert [principal.grant for item in batch.items for principal in item.principals] == ["everything"]
    bench.integrated(NEW)
    assert [[each.grant for each in change.principals] for change in bench.commits[-1].changes] == [["everything"]]
    bench.committed()
    bench.hub.fill(reader, 1 << 20, 0)
    bench.drain()
    assert [entry.record for each in bench.sent[reader] if isinstance(each, Updates) for entry in each.entries] == [A]
    assert bench.hub.verdicts == {VerdictCode.FORBIDDEN: 2, VerdictCode.ACCEPTED: 1}


def test_those_who_lack_the_newest_page_alone_are_told_together_and_the_others_are_named() -> None:
    bench = Bench()
    pusher, old = bench.join(), bench.join(follow=True)
    alike, too, reads = bench.join_agreeing(), bench.join_agreeing(), bench.join_agreeing()
    bench.push(pusher, 1, A)
    bench.integrated(NEW)
    bench.committed()
    bench.hub.receive(reads, codec.encode(Want(0, (WantEntry(A, b"\x00"),)), 2), 0)
    told, others = bench.hub.tell_alike([alike, old, 99, too, reads], 0)
    assert others == [old, reads]
    assert [session for session, _ in told] == [alike, too]
    assert told[0][1] is told[1][1]
    message = codec.decode(told[0][1], version=2)
    assert isinstance(message, Updates)
    assert (message.cursor, [entry.update for entry in message.entries]) == (1, [b"u%d" % pusher])
    assert bench.hub.followers() == [old, reads]
    assert bench.hub.drain() == []


def test_who_confirms_nothing_is_nobody_for_whom_others_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "UNCONFIRMED_BYTES_MAX", 1)
    bench = Bench()
    silent, other = bench.join_agreeing(), bench.join_agreeing()
    bench.log.commit(A, b"new")
    assert bench.hub.followers() == [silent, other]
    bench.hub.tell_alike([silent, other], 0)
    bench.hub.receive(other, codec.encode(Have(1, 3), 2), 0)
    bench.log.commit(A, b"newer")
    assert bench.hub.followers() == [other]
    bench.hub.receive(silent, codec.encode(Have(1, 3), 2), 0)
    assert bench.hub.followers() == [silent, other]


def test_whoever_is_to_hear_what_others_have_open_is_not_told_together_with_others() -> None:
    bench = Bench()
    follower = bench.join_agreeing()
    bench.log.commit(A, b"new")
    bench.hub.begin_presence()
    assert bench.hub.tell_alike([follower], 0) == ([], [follower])
    bench.hub.fill(follower, 1 << 20, 0)
    bench.log.commit(A, b"newer")
    told, others = bench.hub.tell_alike([follower], 0)
    assert (len(told), others) == (1, [])
