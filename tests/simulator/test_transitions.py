"""A session that moves as the state table does not say is noticed: by itself, and in whole histories."""

from collections.abc import Callable
from typing import Any

import pytest

from crdt_bench.simulator.checkers import transitions
from crdt_bench.simulator.failure import Failure
from crdt_bench.simulator.scenario import draw
from crdt_bench.simulator.world import simulate
from crdt_sync.protocol import codec
from crdt_sync.protocol.acceptor import Acceptor
from crdt_sync.protocol.dialer import Dialer
from crdt_sync.protocol.messages import Have, Ping, Push, PushEntry
from crdt_sync.protocol.session import Session
from crdt_sync.protocol.states import State
from tests.protocol.scripted import ScriptedLog, acceptor, hello, say


def then(handler: Callable[..., None], state: State) -> Callable[..., None]:
    """The handler, and then a move that no row of the table has."""

    def planted(session: Session, *arguments: Any) -> None:
        handler(session, *arguments)
        session.state = state

    return planted


def test_a_message_that_leads_where_its_row_does_not_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Acceptor, "_on_push", then(Acceptor._on_push, State.CATCHING_UP))
    session = acceptor(ScriptedLog())
    say(session, hello())
    assert session.state is State.LIVE
    with pytest.raises(Failure, match="Acceptor: Push in live leads to catching up"):
        say(session, Push(1, (PushEntry("customers/a", b"u"),)))


def test_a_handler_that_ends_the_session_without_a_row_for_it_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Acceptor, "_on_ping", lambda session, _, now: session.close("done", "", now))
    session = acceptor(ScriptedLog())
    say(session, hello())
    with pytest.raises(Failure, match="Ping in live leads to closed"):
        say(session, Ping(1))


def test_a_greeting_that_is_not_taken_up_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Acceptor, "_on_hello", lambda *_: None)
    with pytest.raises(Failure, match="Hello in greeting leads to greeting"):
        say(acceptor(ScriptedLog()), hello())


def test_a_move_without_a_message_is_noticed_unless_it_is_the_sessions_own() -> None:
    session = acceptor(ScriptedLog())
    say(session, hello())
    session.state = State.CATCHING_UP
    with pytest.raises(Failure, match="no message in catching up leads to comparing"):
        session.state = State.COMPARING
    session.lost()
    with pytest.raises(Failure, match="no message in closed leads to live"):
        session.state = State.LIVE


def test_what_the_partner_does_wrong_ends_a_session_by_the_table() -> None:
    session = acceptor(ScriptedLog())
    say(session, hello())
    session.receive(codec.encode(Have(0, 7)), 0)
    assert session.closed


def test_a_put_session_goes_on_from_there() -> None:
    session = acceptor(ScriptedLog())
    transitions.put(session, State.COMPARING)
    session.state = State.CATCHING_UP


@pytest.mark.parametrize(
    ("role", "handler", "state"),
    [(Dialer, "_on_ack", State.CATCHING_UP), (Acceptor, "_on_want", State.LIVE)],
    ids=["dialer", "acceptor"],
)
def test_a_whole_history_shows_it(
    role: type[Session], handler: str, state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(role, handler, then(vars(role)[handler], state))
    failure = simulate(draw(1, steps=20)).failure
    assert failure is not None
    assert failure.rule == "states"
