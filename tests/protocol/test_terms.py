"""Versions and terms: what a partner of each version is told, and whose records go where."""

import pytest

from crdt_sync.ids import Space
from crdt_sync.protocol import codec
from crdt_sync.protocol.acceptor import Acceptor
from crdt_sync.protocol.dialer import Dialer
from crdt_sync.protocol.effects import Closed, Compare, Welcomed
from crdt_sync.protocol.messages import Bye, Changes, Hello, Ping, Terms, Welcome
from crdt_sync.protocol.terms import Agreed
from crdt_sync.protocol.versions import GREETING, NEWEST
from tests.protocol.scripted import (
    DEVICE,
    RELAY,
    ScriptedLog,
    ScriptedOutbox,
    acceptor,
    dialer,
    drain,
    hello,
    say,
    welcome,
)

HERE, THERE = b"space-of-this-si", b"space-of-another"


def spaces(ours: Space, theirs: Space) -> tuple[Dialer, Acceptor, ScriptedOutbox, ScriptedLog]:
    outbox, log = ScriptedOutbox(), ScriptedLog()
    outbox.space, log.space = ours, theirs
    return dialer(outbox), acceptor(log), outbox, log


def shake_hands(
    ours: Space, theirs: Space, *, direct: bool = False, moves: bool = False
) -> tuple[list, list, ScriptedLog]:
    """The effects of both sides after a whole handshake of the newest version."""
    device, relay, _, log = spaces(ours, theirs)
    device._direct, device._moves = direct, moves
    sent, relay_effects = say(relay, hello(versions=(2, 1)))
    effects: list = []
    for message in sent:
        answers, more = say(device, message)
        effects += more
        for answer in answers:
            _, again = say(relay, answer)
            relay_effects += again
    return effects, relay_effects, log


def test_a_dialer_offers_all_versions_and_says_hello_as_the_first_did() -> None:
    session = Dialer(ScriptedOutbox(), resume=None, token="", follow=True, agent="test", wall=1, now=0)
    (effect,) = session.drain()
    greeting = codec.decode(effect.frame, version=GREETING)
    assert isinstance(greeting, Hello)
    assert greeting.versions == (3, 2, 1)


def test_a_relay_of_the_first_version_is_told_nothing_of_terms() -> None:
    session = dialer(ScriptedOutbox())
    sent, effects = say(session, welcome(version=1))
    assert sent == []
    assert [effect.agreed for effect in effects if isinstance(effect, Welcomed)] == [None]
    assert session.version == 1


def test_a_device_of_the_first_version_is_told_nothing_of_terms() -> None:
    session = acceptor(ScriptedLog())
    sent, _ = say(session, hello(versions=(1,)))
    assert [type(message) for message in sent] == [Welcome, Changes]
    assert sent[0].version == 1
    sent, _ = say(session, Ping(1))
    assert not session.closed


def test_terms_cost_no_round_trip() -> None:
    sent, _ = say(acceptor(ScriptedLog()), hello(versions=(2, 1)))
    assert [type(message) for message in sent] == [Welcome, Terms, Changes]


def test_the_host_hears_of_the_partner_once_the_terms_are_there_and_before_anything_is_said() -> None:
    session = dialer(ScriptedOutbox())
    sent, effects = say(session, welcome(version=2))
    assert (sent, effects) == ([], [])
    session.receive(codec.encode(Terms(RELAY, joined=True, log=RELAY, features=()), 2), 0)
    first, *_ = session.drain()
    assert isinstance(first, Welcomed)
    assert first.agreed == Agreed(Space(RELAY, joined=True), False, RELAY)


HERE_OWN, THERE_OWN = Space(HERE, joined=False), Space(THERE, joined=False)
HERE_JOINED, THERE_JOINED = Space(HERE, joined=True), Space(THERE, joined=True)


@pytest.mark.parametrize(
    ("ours", "theirs", "direct", "afterwards", "their_space"),
    [
        (HERE_JOINED, HERE_JOINED, False, HERE_JOINED, HERE_JOINED),
        (HERE_OWN, THERE_JOINED, False, THERE_JOINED, THERE_JOINED),
        (HERE_OWN, THERE_OWN, False, THERE_JOINED, THERE_JOINED),
        (HERE_JOINED, THERE_OWN, False, HERE_JOINED, HERE_JOINED),
        (HERE_OWN, THERE_JOINED, True, THERE_JOINED, THERE_JOINED),
        (HERE_OWN, THERE_OWN, True, HERE_OWN, THERE_OWN),
        (HERE_JOINED, THERE_OWN, True, HERE_JOINED, HERE_JOINED),
        (HERE_JOINED, THERE_JOINED, True, HERE_JOINED, THERE_JOINED),
        (HERE_OWN, Space(HERE, joined=True), False, HERE_JOINED, HERE_JOINED),
    ],
)
def test_which_spaces_two_sides_are_of_afterwards(ours, theirs, direct, afterwards, their_space) -> None:
    effects, relay_effects, log = shake_hands(ours, theirs, direct=direct)
    (welcomed,) = [effect for effect in effects if isinstance(effect, Welcomed)]
    assert (welcomed.agreed.space, welcomed.agreed.known) == (afterwards, ours == theirs == HERE_JOINED)
    assert log.space == their_space
    assert not any(isinstance(effect, Closed) for effect in [*effects, *relay_effects])


def test_a_device_says_nothing_of_its_records_to_a_relay_of_another_space() -> None:
    effects, _, log = shake_hands(HERE_JOINED, THERE_JOINED)
    assert [effect.code for effect in effects if isinstance(effect, Closed)] == ["foreign_space"]
    assert not any(isinstance(effect, Welcomed | Compare) for effect in effects)
    assert log.space == THERE_JOINED


def test_who_moves_on_purpose_belongs_to_the_other_space() -> None:
    effects, relay_effects, _ = shake_hands(HERE_JOINED, THERE_JOINED, moves=True)
    (welcomed,) = [effect for effect in effects if isinstance(effect, Welcomed)]
    assert (welcomed.agreed.space, welcomed.agreed.known) == (THERE_JOINED, False)
    assert not any(isinstance(effect, Closed) for effect in relay_effects)


def test_a_relay_takes_nothing_before_the_terms() -> None:
    session = acceptor(ScriptedLog())
    say(session, hello(versions=(2,)))
    sent, _ = say(session, Ping(1))
    assert [(type(message), message.code) for message in sent] == [(Bye, "protocol_violation")]


@pytest.mark.parametrize("twice", [False, True])
def test_terms_come_once_and_only_where_the_version_has_them(twice) -> None:
    session = acceptor(ScriptedLog())
    say(session, hello(versions=(2,) if twice else (1,)))
    terms = Terms(RELAY, joined=True, log=DEVICE, features=())
    session.receive(codec.encode(terms, NEWEST), 0)
    assert session.closed == (not twice)
    session.receive(codec.encode(terms, NEWEST), 0)
    assert session.closed
    assert [message.code for message in drain(session)[0] if isinstance(message, Bye)] == ["protocol_violation"]


@pytest.mark.parametrize("joined", [False, True])
def test_a_relay_that_joined_a_space_is_not_led_into_another(joined) -> None:
    log = ScriptedLog()
    log.space = HERE_JOINED
    session = acceptor(log)
    say(session, hello(versions=(2,)))
    say(session, Terms(THERE, joined, DEVICE, ()))
    assert log.space == HERE_JOINED
