"""Audits inside a live session: who may say what, what is found, and what stays bounded."""

import pytest

from crdt_sync import limits
from crdt_sync.errors import ProtocolViolation
from crdt_sync.protocol import auditing
from crdt_sync.protocol.acceptor import Acceptor
from crdt_sync.protocol.auditing import AuditRun, Differences
from crdt_sync.protocol.dialer import Dialer
from crdt_sync.protocol.effects import Audited, CheckArrived, CheckRecords, PinDigests
from crdt_sync.protocol.messages import (
    Audit,
    Bye,
    Changes,
    Check,
    Checked,
    CheckedEntry,
    Message,
    Ranges,
    Standing,
    Updates,
)
from crdt_sync.protocol.reconcile import Index
from crdt_sync.protocol.states import State
from tests.protocol.scripted import ScriptedLog, ScriptedOutbox, Side, acceptor, dialer, drain, hello, say, welcome

A, B, C, D = (f"customers/{letter}" for letter in "abcd")
SAME, OURS, THEIRS = b"s" * 16, b"o" * 16, b"t" * 16
ABSENT = CheckedEntry(A, b"", b"", Standing.ABSENT)


def live_dialer() -> Dialer:
    session = dialer(ScriptedOutbox())
    _, effects = say(session, welcome(), Changes(1, 0, ()))
    session.integrated(effects[-1].number, (), 0)
    drain(session)
    assert session.state is State.LIVE
    return session


def live_acceptor(log: ScriptedLog | None = None) -> Acceptor:
    session = acceptor(log or ScriptedLog())
    say(session, hello())
    assert session.state is State.LIVE
    return session


def byes(sent: list[Message]) -> list[str]:
    return [message.code for message in sent if isinstance(message, Bye)]


def view(held: dict[str, bytes]):
    return Index(sorted(held.items())).pin()


def test_the_dialer_learns_what_is_here_only_there_only_and_different() -> None:
    session = live_dialer()
    session.audit(content=True)
    sent, effects = drain(session)
    assert sent == [Audit(content=True)]
    assert effects == [PinDigests(content=True)]
    session.pinned(view({A: SAME, B: OURS, C: OURS}), 0)
    (ranges,), _ = drain(session)
    partner = Side({A: SAME, B: THEIRS, D: THEIRS}, initiator=False)
    found: list[Differences] = []
    turn = partner.answer(ranges)
    while not found:
        sent, effects = say(session, *turn)
        found = [effect.differences for effect in effects if isinstance(effect, Audited)]
        turn = [answer for message in sent for answer in partner.answer(message)]
    assert partner.run.done
    assert found == [Differences(here=(C,), there=(D,), different=(B,))]
    assert found[0].named == (B, C, D)


def test_the_acceptor_answers_while_live_and_lets_the_view_go_at_the_end() -> None:
    session = live_acceptor()
    partner = Side({A: SAME}, initiator=True)
    sent, effects = say(session, Audit(content=False), partner.start())
    assert (sent, effects) == ([], [PinDigests(content=False)])
    session.pinned(view({A: SAME}), 0)
    (answer,), _ = drain(session)
    assert partner.answer(answer) == []
    assert partner.run.done
    assert say(session, Audit(content=True))[1] == [PinDigests(content=True)]


@pytest.mark.parametrize(
    "frames",
    [
        pytest.param([Audit(content=False), Audit(content=False)], id="two audits at once"),
        pytest.param([Ranges(1, b"", b"", b"")], id="ranges without an audit"),
        pytest.param([Audit(content=False), *[Side({A: SAME}, initiator=True).start()] * 2], id="two turns at once"),
        pytest.param(
            [Check(number, mend=False, records=(A,)) for number in range(limits.CHECKS_IN_FLIGHT_MAX + 1)],
            id="checks without waiting",
        ),
    ],
)
def test_a_dialer_out_of_turn_ends_its_session(frames) -> None:
    assert byes(say(live_acceptor(), *frames)[0]) == ["protocol_violation"]


def test_ranges_that_mean_nothing_end_the_session_also_when_they_waited_for_the_view() -> None:
    session = live_acceptor()
    say(session, Audit(content=False), Ranges(1, b"\x09", b"", b""))
    session.pinned(view({A: SAME}), 0)
    assert byes(drain(session)[0]) == ["protocol_violation"]


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(Ranges(1, b"", b"", b""), id="ranges without an audit"),
        pytest.param(Checked(2, (ABSENT,)), id="an answer to no check"),
        pytest.param(Checked(1, (ABSENT._replace(record=B),)), id="an answer of another record"),
        pytest.param(Checked(1, (ABSENT, ABSENT)), id="an answer of more records"),
    ],
)
def test_an_acceptor_out_of_turn_ends_the_session(frame) -> None:
    session = live_dialer()
    session.check(1, [A], mend=False)
    drain(session)
    assert byes(say(session, frame)[0]) == ["protocol_violation"]


def test_ranges_before_the_dialers_view_end_the_session() -> None:
    session = live_dialer()
    session.audit(content=False)
    drain(session)
    assert byes(say(session, Ranges(1, b"", b"", b""))[0]) == ["protocol_violation"]


def test_a_check_is_answered_once_and_every_update_up_to_its_state_goes_before_it() -> None:
    log = ScriptedLog()
    session = live_acceptor(log)
    log.commit(A, b"one")
    _, effects = say(session, Check(1, mend=True, records=(A,)), room=0)
    assert effects == [CheckRecords(1, (A,), mend=True)]
    entry = CheckedEntry(A, OURS, THEIRS, Standing.AGREES)
    session.checked(1, log.head(), [entry], 0)
    assert drain(session)[0] == []
    sent, _ = say(session)
    assert [type(message) for message in sent] == [Updates, Checked]
    assert sent[1] == Checked(1, (entry,))


def test_an_audit_goes_on_while_the_acceptor_catches_up_again() -> None:
    log = ScriptedLog()
    session = live_acceptor(log)
    log.updates += [(A, b"more")] * (limits.FOLLOW_ENTRIES_MAX + 1)
    session.fill(1, 0)
    drain(session)
    assert session.state is State.CATCHING_UP
    partner = Side({A: SAME}, initiator=True)
    say(session, Audit(content=False), partner.start())
    session.pinned(view({A: SAME}), 0)
    sent, _ = drain(session)
    assert [type(message) for message in sent if isinstance(message, Ranges)] == [Ranges]


def test_the_answer_to_a_check_reaches_the_host() -> None:
    session = live_dialer()
    session.check(1, [A], mend=True)
    assert drain(session)[0] == [Check(1, mend=True, records=(A,))]
    checked = Checked(1, (ABSENT,))
    assert say(session, checked) == ([], [CheckArrived(checked)])


def test_what_is_fetched_whole_is_wanted_by_an_empty_state_vector_and_not_settled_before_it_is_stored() -> None:
    session = live_dialer()
    assert session.settled
    session.fetch([A, B])
    (want,), _ = drain(session)
    assert [(entry.record, entry.state_vector) for entry in want.entries] == [(A, b"\0"), (B, b"\0")]
    assert not session.settled
    _, (integrate,) = say(session, Updates(0, None, 1, True, ()))
    assert not session.settled
    session.integrated(integrate.number, (), 0)
    assert session.settled


def test_what_a_partner_claims_beyond_the_limit_is_counted_and_not_kept(monkeypatch) -> None:
    monkeypatch.setattr(auditing, "AUDIT_DIFFERENCES_MAX", 10)
    run = AuditRun(initiator=True)
    partner = Side({f"customers/{number:04}": THEIRS for number in range(300)}, initiator=False)
    turn = run.pinned(view({}))
    while turn is not None:
        answers = partner.answer(turn)
        turn = run.receive(*answers) if answers else None
    assert run.done
    assert len(run.differences.named) == 10
    assert run.differences.more == 290


def test_a_broken_turn_is_the_partners_fault() -> None:
    run = AuditRun(initiator=True)
    run.pinned(view({A: OURS}))
    with pytest.raises(ProtocolViolation):
        run.receive(Ranges(9, b"", b"", b""))
