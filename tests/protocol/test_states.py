"""The transition table is the law: what it does not allow ends the session."""

from itertools import product
from pathlib import Path
from typing import get_args

import pytest

from crdt_bench.simulator.checkers import transitions
from crdt_sync.protocol import codec, states
from crdt_sync.protocol.effects import Closed
from crdt_sync.protocol.messages import (
    Ack,
    Audit,
    Bye,
    Changes,
    Check,
    Checked,
    CheckedEntry,
    Dropped,
    Have,
    Hello,
    Message,
    NewToken,
    Noted,
    Ping,
    Pong,
    Presence,
    Push,
    PushEntry,
    Ranges,
    Receipt,
    ReceiptRequest,
    Regranted,
    Reported,
    ReportEntry,
    Said,
    Standing,
    Terms,
    Updates,
    Verdict,
    VerdictCode,
    Want,
    Welcome,
)
from crdt_sync.protocol.states import ACCEPTOR_TABLE, DIALER_TABLE, State
from crdt_sync.protocol.versions import NEWEST
from tests.protocol.scripted import ScriptedLog, ScriptedOutbox, acceptor, dialer, drain, hello, welcome

SAMPLES: dict[type, Message] = {
    Hello: hello(),
    Welcome: welcome(),
    Terms: Terms(b"s" * 16, joined=True, log=b"l" * 16, features=()),
    Changes: Changes(1, 0, ()),
    Want: Want(0, ()),
    Updates: Updates(0, 1, 1, True, ()),
    Have: Have(0, 0),
    Push: Push(1, (PushEntry("customers/a", b"u"),)),
    Ack: Ack(1, None, 1, (Verdict(VerdictCode.ACCEPTED, 1),)),
    Ranges: Ranges(1, b"", b"", b""),
    ReceiptRequest: ReceiptRequest(1),
    Receipt: Receipt(1, 0, 0, bytes(32)),
    Presence: Presence(()),
    Ping: Ping(1),
    Pong: Pong(1),
    Bye: Bye("done", "", None),
    Audit: Audit(content=False),
    Check: Check(1, mend=False, records=("customers/a",)),
    Dropped: Dropped(None, 1, ("customers/a",)),
    Regranted: Regranted(b"e" * 16, settled=True),
    Checked: Checked(1, (CheckedEntry("customers/a", b"", b"", Standing.ABSENT),)),
    Said: Said((b"statement",)),
    NewToken: NewToken("token"),
    Reported: Reported(1, (ReportEntry(1, "export", "customers", 1),)),
    Noted: Noted(1),
}
ROLES = {"dialer": DIALER_TABLE, "acceptor": ACCEPTOR_TABLE}
PAIRS = [(role, state, kind) for role, state, kind in product(ROLES, State, SAMPLES) if state is not State.CLOSED]


def test_the_samples_cover_every_message() -> None:
    assert set(SAMPLES) == set(get_args(Message))


@pytest.mark.parametrize(("role", "state", "kind"), PAIRS, ids=lambda value: getattr(value, "__name__", str(value)))
def test_a_message_is_handled_where_the_table_allows_it_and_ends_the_session_elsewhere(role, state, kind) -> None:
    session = dialer(ScriptedOutbox()) if role == "dialer" else acceptor(ScriptedLog())
    if state is State.AGREEING and role == "dialer":
        session.receive(codec.encode(welcome(version=NEWEST)), 0)
    transitions.put(session, state)
    session.version = NEWEST
    session.receive(codec.encode(SAMPLES[kind], NEWEST), 0)
    sent, effects = drain(session)
    refused = any(isinstance(message, Bye) and "is not allowed while" in message.message for message in sent)
    allowed = ROLES[role].get((state, kind))
    assert refused == (allowed is None)
    if allowed is None:
        assert session.closed
        assert [effect.code for effect in effects if isinstance(effect, Closed)] == ["protocol_violation"]
    elif not any(isinstance(message, Bye) for message in sent):
        assert session.state in allowed.leads_to


def test_the_documents_show_the_tables_of_the_code() -> None:
    text = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text("utf-8")
    assert states.as_markdown(states.DIALER) in text
    assert states.as_markdown(states.ACCEPTOR) in text
    assert states.moves_as_markdown(states.DIALER_MOVES) in text
    assert states.moves_as_markdown(states.ACCEPTOR_MOVES) in text


@pytest.mark.parametrize(
    ("table", "moves"), [(DIALER_TABLE, states.DIALER_MOVES), (ACCEPTOR_TABLE, states.ACCEPTOR_MOVES)]
)
def test_a_table_has_no_state_that_its_role_never_comes_to(table, moves) -> None:
    reached = {State.GREETING}
    for _ in State:
        reached |= {to for row in table.values() if row.state in reached for to in row.leads_to}
        reached |= {move.leads_to for move in moves if move.state in reached}
    assert {row.state for row in table.values()} <= reached


def test_a_row_that_stands_twice_is_a_mistake_in_the_table() -> None:
    with pytest.raises(AssertionError):
        states.index([*states.DIALER, states.DIALER[0]])


def test_a_closed_session_hears_nothing() -> None:
    session = acceptor(ScriptedLog())
    session.lost()
    drain(session)
    session.receive(codec.encode(hello()), 0)
    assert session.drain() == []
