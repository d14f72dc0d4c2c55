"""What a device tells a partner that does not read, and what it tells once that one reads again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdt_sync import limits
from crdt_sync.protocol import codec
from crdt_sync.protocol.dialer import Dialer
from crdt_sync.protocol.effects import Closed, Integrate
from crdt_sync.protocol.messages import (
    Have,
    Message,
    Ping,
    Pong,
    Presence,
    PresenceEntry,
    Updates,
    UpdatesEntry,
    Want,
)
from tests.protocol.scripted import ScriptedOutbox, dialer, drain, say, welcome
from tests.protocol.test_dialer import live

SECOND = 1_000_000


class Flood:
    """A partner that reads nothing, and what it makes a device say."""

    def __init__(self) -> None:
        self.session: Dialer = live(ScriptedOutbox())
        self.head = 0
        self.heard: list[Message] = []

    def update(self) -> None:
        self.head += 1
        record = f"customers/{self.head}"
        self.hear(Updates(0, self.head, self.head, True, (UpdatesEntry(record, b"u", b""),)))

    def ping(self) -> None:
        self.hear(Ping(1000 + self.head))

    def open_record(self) -> None:
        self.head += 1
        self.session.present((PresenceEntry(f"customers/{self.head}", "ann"),))
        self.take()

    def hear(self, message: Message) -> None:
        _, effects = self.heard_of(*say(self.session, message))
        for effect in effects:
            if isinstance(effect, Integrate):
                self.session.integrated(effect.number, [], now=0)
        self.take()

    def take(self) -> None:
        self.heard_of(*drain(self.session))

    def heard_of(self, sent: list[Message], effects: list) -> tuple[list[Message], list]:
        self.heard += sent
        return sent, effects

    def read(self) -> list[Message]:
        """The partner reads all that waits, and answers; returns what it had not read."""
        unread, self.heard = self.heard, []
        for message in unread:
            if isinstance(message, Ping):
                self.hear(Pong(message.number))
        return unread


@pytest.mark.parametrize("what", [Flood.update, Flood.ping, Flood.open_record])
def test_a_partner_that_does_not_read_is_sent_a_bounded_number_of_frames(what) -> None:
    flood = Flood()
    for _ in range(1000):
        what(flood)
    assert len(flood.heard) == limits.UNREAD_FRAMES_MAX + 1, "and the ping that asks whether it reads"


def test_what_was_stored_meanwhile_is_confirmed_at_once_when_it_reads() -> None:
    flood = Flood()
    for _ in range(1000):
        flood.update()
    assert not flood.session.settled, "a last confirmation waits"
    flood.read()
    assert flood.heard[0] == Have(1000, 1000)
    assert flood.session.settled


def test_the_newest_of_each_kind_is_told_when_it_reads() -> None:
    flood = Flood()
    for _ in range(100):
        flood.update()
        flood.ping()
        flood.open_record()
    told = flood.read()
    while flood.heard:
        told += flood.read()
    newest = {type(message): message for message in told}
    assert newest[Have] == Have(199, 100)
    assert newest[Pong] == Pong(1199)
    assert newest[Presence] == Presence((PresenceEntry("customers/200", "ann"),))
    assert len(told) < 60


@given(st.lists(st.sampled_from([Flood.update, Flood.ping, Flood.open_record, Flood.read]), max_size=200))
def test_whatever_comes_the_bound_holds_and_nothing_stays_untold(steps) -> None:
    flood = Flood()
    updates = 0
    told: list[Message] = [Have(0, 0)]
    for step in steps:
        updates += step is Flood.update
        said = step(flood)
        told += said or []
        assert len(flood.heard) <= limits.UNREAD_FRAMES_MAX + 2
    while flood.heard:
        told += flood.read()
    assert [message for message in told if isinstance(message, Have)][-1].received == updates


def test_a_partner_that_reads_is_confirmed_each_commit() -> None:
    flood = Flood()
    told: list[Message] = []
    for _ in range(200):
        flood.update()
        told += flood.read()
    assert [message.received for message in told if isinstance(message, Have)] == list(range(1, 201))
    assert sum(isinstance(message, Ping) for message in told) <= 200 // limits.UNREAD_FRAMES_ASKED


def test_a_partner_that_never_answers_that_ping_is_given_up() -> None:
    flood = Flood()
    for _ in range(100):
        flood.update()
    closed: list[Closed] = []
    for second in range(10, 200, 10):
        flood.session.receive(codec.encode(Presence(())), second * SECOND)
        flood.session.timer(second * SECOND)
        closed += [effect for effect in drain(flood.session)[1] if isinstance(effect, Closed)]
    assert [(each.code, each.retry_after_us) for each in closed] == [("timeout", 0)]
    assert "answers, but read nothing of what was sent" in closed[0].message


def test_the_pong_of_a_keepalive_says_nothing_of_what_was_told_since() -> None:
    flood = Flood()
    flood.session.timer(30 * SECOND)
    flood.take()
    assert flood.heard == [Ping(1)]
    for _ in range(100):
        flood.update()
    before = len(flood.heard)
    flood.hear(Pong(1))
    assert len(flood.heard) == before


def test_more_unread_records_than_a_partner_answers_wants_for_are_asked_for_in_turns() -> None:
    source = ScriptedOutbox()
    many = limits.PUSHES_IN_FLIGHT_MAX * limits.WANT_RECORDS_MAX + 1
    source.refused = [f"customers/{number:06}" for number in range(many)]
    session = dialer(source)
    sent, _ = say(session, welcome())
    assert len(sent) <= limits.PUSHES_IN_FLIGHT_MAX // 2
    asked: list[str] = []
    while wants := [message for message in sent if isinstance(message, Want)]:
        asked += [entry.record for want in wants for entry in want.entries]
        sent = []
        for _ in wants:
            more, effects = say(session, Updates(0, None, 0, True, ()))
            for effect in effects:
                if isinstance(effect, Integrate):
                    session.integrated(effect.number, [], now=0)
            sent += more + drain(session)[0]
    assert asked == list(source.refused)
