"""What the dialing end believes of its partner, and when it must not act on it."""

from crdt_sync.protocol.effects import Closed, Integrate, Owe
from crdt_sync.protocol.messages import (
    MODE_INVENTORY,
    Ack,
    Changes,
    Inventory,
    InventoryEntry,
    Push,
    Updates,
    UpdatesEntry,
    Verdict,
    VerdictCode,
)
from tests.protocol.scripted import ScriptedOutbox, dialer, drain, say, welcome

A, B = "customers/a", "customers/b"
VECTOR = b"\x01\x01\x01"
SECOND = 1_000_000


def pushes(session, now: int = 0) -> list[Push]:
    session.fill(1 << 20, now)
    sent, _ = drain(session)
    return [message for message in sent if isinstance(message, Push)]


def test_nothing_is_pushed_until_every_difference_was_noted_in_the_outbox() -> None:
    source = ScriptedOutbox({A: bytes(16), B: bytes(16)})
    source.edit(A)
    session = dialer(source)
    _, effects = say(session, welcome(MODE_INVENTORY), Inventory(1, (InventoryEntry(A, b"x" * 16),), False))
    assert [effect for effect in effects if isinstance(effect, Owe)] == [Owe((B,))]
    assert pushes(session) == []
    session.owed(0)
    assert pushes(session) == [], "the answer for the record that differs is still to come"
    _, effects = say(session, Updates(1, None, True, (UpdatesEntry(A, b"theirs", VECTOR),)))
    (integrate,) = [effect for effect in effects if isinstance(effect, Integrate)]
    assert integrate.owe
    assert pushes(session) == [], "it has come, but is not on disk"
    session.integrated(integrate.number, [], 0)
    assert [entry.record for push in pushes(session) for entry in push.entries] == [A]


def test_refused_stamps_end_the_session_so_that_the_clocks_are_compared_again_but_once_a_minute() -> None:
    source = ScriptedOutbox({A: bytes(16)})
    session = dialer(source)
    say(session, welcome(), Changes(1, 0, ()))
    session.integrated(1, [], 0)
    source.edit(A)
    session.notify([A])
    (push,) = pushes(session)
    ahead = Verdict(VerdictCode.CLOCK_AHEAD, reason="an entry is stamped ahead")
    say(session, Ack(push.number, None, (ahead,)), now=50 * SECOND)
    session.timer(59 * SECOND)
    assert not session.closed
    assert session.next_timer() == 60 * SECOND
    session.timer(60 * SECOND)
    _, effects = drain(session)
    (closed,) = [effect for effect in effects if isinstance(effect, Closed)]
    assert (closed.code, closed.retry_after_us) == ("clock_changed", 0)
