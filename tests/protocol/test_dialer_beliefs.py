"""What the dialing end believes of its partner, and when it must not act on it."""

import pytest

from crdt_sync.protocol.effects import Closed
from crdt_sync.protocol.messages import (
    Ack,
    Changes,
    Ping,
    Push,
    Verdict,
    VerdictCode,
)
from tests.protocol.scripted import ScriptedOutbox, dialer, drain, say, welcome

A = "customers/a"
SECOND = 1_000_000
WALL = 1_000_000  # at hello, as scripted


def pushes(session, now: int = 0) -> list[Push]:
    session.fill(1 << 20, now)
    sent, _ = drain(session)
    return [message for message in sent if isinstance(message, Push)]


def test_refused_stamps_end_the_session_so_that_the_clocks_are_compared_again_but_once_a_minute() -> None:
    source = ScriptedOutbox({A: bytes(16)})
    session = dialer(source)
    say(session, welcome(), Changes(1, 0, ()))
    session.integrated(1, [], 0)
    source.edit(A)
    session.notify([A])
    (push,) = pushes(session)
    ahead = Verdict(VerdictCode.CLOCK_AHEAD, reason="an entry is stamped ahead")
    say(session, Ack(push.number, None, 9, (ahead,)), now=50 * SECOND)
    session.timer(59 * SECOND)
    assert not session.closed
    assert session.next_timer() == 60 * SECOND
    session.timer(60 * SECOND)
    _, effects = drain(session)
    (closed,) = [effect for effect in effects if isinstance(effect, Closed)]
    assert (closed.code, closed.retry_after_us) == ("clock_changed", 0)


def test_a_session_whose_cursor_cannot_be_stored_begins_anew_but_once_a_minute() -> None:
    session = dialer(ScriptedOutbox({}))
    say(session, welcome(), Changes(1, 0, ()))
    say(session, Ping(1), now=50 * SECOND)
    session.resume_anew()
    session.timer(59 * SECOND)
    assert (session.closed, session.next_timer()) == (False, 60 * SECOND)
    session.timer(60 * SECOND)
    (closed,) = [effect for effect in drain(session)[1] if isinstance(effect, Closed)]
    assert (closed.code, closed.retry_after_us) == ("standing_lost", 0)


@pytest.mark.parametrize("jump", [-2 * SECOND, 2 * SECOND])
def test_a_wall_clock_that_was_set_in_mid_session_is_compared_again(jump: int) -> None:
    session = dialer(ScriptedOutbox({}))
    say(session, welcome(), Changes(1, 0, ()))
    say(session, Ping(1), now=50 * SECOND)
    session.watch_clock(WALL + 51 * SECOND, 50 * SECOND)  # it runs a little fast, as clocks do
    session.timer(50 * SECOND)
    assert (session.next_timer() or 0) > 60 * SECOND
    session.watch_clock(WALL + 50 * SECOND + jump, 50 * SECOND)
    session.timer(60 * SECOND)
    _, effects = drain(session)
    assert [effect.code for effect in effects if isinstance(effect, Closed)] == ["clock_changed"]
