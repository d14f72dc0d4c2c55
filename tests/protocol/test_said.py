"""What a space said travels in sessions of the third version, and new tokens do."""

import pytest

from crdt_sync import limits
from crdt_sync.protocol.acceptor import Refusal
from crdt_sync.protocol.effects import Closed, SaidCame, Send, TokenCame, Welcomed
from crdt_sync.protocol.messages import Bye, NewToken, Said, Terms, Welcome
from crdt_sync.protocol.states import State
from crdt_sync.protocol.versions import PEOPLE, TERMS
from tests.protocol.scripted import RELAY, ScriptedLog, ScriptedOutbox, acceptor, dialer, drain, hello, say, welcome

STATEMENTS = (b"one", b"two")


def joined(version: int = PEOPLE):
    """A dialer that has had its welcome and the terms."""
    session = dialer(ScriptedOutbox())
    say(session, welcome(version=version))
    say(session, Terms(RELAY, joined=True, log=RELAY, features=()))
    return session


def entered(version: int = PEOPLE):
    """An acceptor that has had its partner's hello and terms."""
    session = acceptor(ScriptedLog())
    say(session, hello(versions=(version,)))
    say(session, Terms(RELAY, joined=True, log=RELAY, features=()))
    return session


@pytest.mark.parametrize("make", [joined, entered])
def test_what_the_partner_passes_on_is_handed_to_the_host(make) -> None:
    session = make()
    sent, effects = say(session, Said(STATEMENTS))
    assert (sent, effects) == ([], [SaidCame(STATEMENTS)])
    assert not session.closed


@pytest.mark.parametrize("make", [joined, entered])
def test_what_is_said_is_sent_where_the_version_has_it(make) -> None:
    session = make()
    assert session.say(STATEMENTS)
    assert drain(session)[0] == [Said(STATEMENTS)]
    assert not session.say(())
    earlier = make(TERMS)
    assert not earlier.say(STATEMENTS)
    assert drain(earlier) == ([], [])


def test_nothing_is_said_before_the_terms_nor_after_the_end() -> None:
    session = dialer(ScriptedOutbox())
    assert not session.say(STATEMENTS)
    say(session, welcome(version=PEOPLE))
    assert not session.say(STATEMENTS)
    session.lost()
    assert not session.say(STATEMENTS)


def test_a_new_token_is_handed_to_the_host() -> None:
    sent, effects = say(joined(), NewToken("a.b.c"))
    assert (sent, effects) == ([], [TokenCame("a.b.c")])


def test_an_acceptor_takes_no_token() -> None:
    session = entered()
    say(session, NewToken("a.b.c"))
    assert session.closed


def test_a_token_is_given_where_the_version_has_it() -> None:
    session = entered()
    session.give_token("a.b.c")
    assert drain(session)[0] == [NewToken("a.b.c")]
    earlier = entered(TERMS)
    earlier.give_token("a.b.c")
    assert drain(earlier) == ([], [])


def test_who_is_not_let_in_hears_why_as_its_space_said_it_and_nothing_of_records() -> None:
    log = ScriptedLog([("customers/a", b"1")])
    session = acceptor(log, Refusal("device_revoked", "out", None, STATEMENTS))
    sent, effects = say(session, hello(versions=(3, 2, 1)))
    greeting, said, bye = sent
    assert isinstance(greeting, Welcome)
    assert (greeting.version, greeting.head, greeting.behind) == (PEOPLE, 0, None)
    assert (said, bye) == (Said(STATEMENTS), Bye("device_revoked", "out", None))
    assert [type(effect) for effect in effects] == [Closed]


def test_all_that_a_space_says_fits_before_the_terms() -> None:
    session = dialer(ScriptedOutbox())
    say(session, welcome(version=PEOPLE))
    largest = (bytes([1]) * limits.STATEMENT_BYTES_MAX, bytes([2]) * limits.STATEMENT_BYTES_MAX)
    assert say(session, Said(largest)) == ([], [SaidCame(largest)])


@pytest.mark.parametrize("version", [1, 2])
def test_before_a_welcome_and_in_earlier_versions_nothing_large_is_taken(version) -> None:
    session = dialer(ScriptedOutbox())
    if version == TERMS:
        say(session, welcome(version=TERMS))
    session.receive(bytes(limits.HELLO_BYTES_MAX + 1), 0)
    assert session.closed


@pytest.mark.parametrize("versions", [(1,), (2, 1)])
def test_who_speaks_an_earlier_version_hears_the_bye_alone(versions) -> None:
    session = acceptor(ScriptedLog(), Refusal("device_revoked", "out", None, STATEMENTS))
    assert say(session, hello(versions=versions))[0] == [Bye("device_revoked", "out", None)]


def test_a_dialer_that_is_not_let_in_has_said_and_noted_nothing_before_the_bye() -> None:
    session = dialer(ScriptedOutbox())
    say(session, welcome(version=PEOPLE))
    assert session.state is State.AGREEING
    sent, effects = say(session, Said(STATEMENTS))
    sent_too, ended = say(session, Bye("device_revoked", "out", None))
    assert sent == sent_too == []
    assert effects == [SaidCame(STATEMENTS)]
    assert ended == [Closed("device_revoked", "out", None, by_partner=True)]
    assert not any(isinstance(effect, Welcomed | Send) for effect in [*effects, *ended])
