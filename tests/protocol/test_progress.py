"""Partners that live and do nothing, and partners whose frames take long: the first are given up, the others not."""

import pytest

from crdt_sync import limits
from crdt_sync.protocol import codec
from crdt_sync.protocol.dialer import Dialer
from crdt_sync.protocol.effects import Closed
from crdt_sync.protocol.messages import (
    MODE_RECONCILE,
    Ack,
    Changes,
    ChangesEntry,
    Have,
    Message,
    Ping,
    Pong,
    Presence,
    Ranges,
    Receipt,
    Resume,
    Updates,
    UpdatesEntry,
    Verdict,
    VerdictCode,
)
from crdt_sync.protocol.reconcile import Index
from crdt_sync.protocol.session import Session
from crdt_sync.protocol.states import State
from tests.protocol.scripted import EPOCH, ScriptedLog, ScriptedOutbox, acceptor, dialer, drain, hello, say, welcome
from tests.protocol.test_comparing import comparing

A = "customers/a"
VECTOR = b"\x01\x01\x01"
SECOND = 1_000_000
STORED = Verdict(VerdictCode.ACCEPTED, 1)


def pushing() -> Dialer:
    """A dialer whose push is not answered yet."""
    source = ScriptedOutbox({A: bytes(16)})
    session = dialer(source)
    say(session, welcome(), Changes(1, 0, ()))
    session.integrated(1, [], now=0)
    source.edits[A] = 1
    session.notify([A])
    session.fill(1 << 20, 0)
    sent, _ = drain(session)
    assert [type(message).__name__ for message in sent][-1] == "Push"
    return session


def lives(session: Session, until: int, *also: Message) -> Closed | None:
    """Let time pass: the partner answers each ping, and says `also` each second. Returns how the session ended."""
    now, second = 0, 0
    while not session.closed:
        timer = session.next_timer()
        assert timer is not None
        assert timer > now, "a timer that does not move on"
        now = min(timer, second + SECOND)
        if now > until:
            return None
        if now == second + SECOND:
            second = now
            for message in also:
                session.receive(codec.encode(message), now)
        if now == timer:
            session.timer(now)
        sent, effects = drain(session)
        for message in sent:
            if isinstance(message, Ping):
                session.receive(codec.encode(Pong(message.number)), now)
    (closed,) = [effect for effect in effects if isinstance(effect, Closed)]
    return closed


def test_a_partner_that_answers_pings_and_never_a_push_is_given_up() -> None:
    closed = lives(pushing(), 200 * SECOND)
    assert closed is not None
    assert (closed.code, closed.retry_after_us) == ("timeout", 0)
    assert "answers, but stored nothing of what was sent" in closed.message


def test_neither_presence_nor_others_updates_are_an_answer_to_a_push() -> None:
    others = Updates(0, 1, 1, True, ())
    assert lives(pushing(), 200 * SECOND, Presence(()), others) is not None


def test_a_session_in_which_nothing_is_owed_lasts() -> None:
    session = pushing()
    say(session, Ack(1, None, 1, (STORED,)))
    session.acknowledged(1, [], now=0)
    assert lives(session, 3600 * SECOND) is None


def test_an_answered_push_gives_the_next_as_long_again() -> None:
    source = ScriptedOutbox({f"customers/{number}": bytes(16) for number in range(50)})
    session = dialer(source)
    say(session, welcome(), Changes(1, 0, ()))
    session.integrated(1, [], now=0)
    for number in range(50):
        source.edits[f"customers/{number}"] = 1
    for number in range(50):
        session.notify([f"customers/{number}"])
        session.fill(1 << 20, number * 30 * SECOND)
        if number:
            session.receive(codec.encode(Ack(number, None, 1, (STORED,))), number * 30 * SECOND)
        session.timer(number * 30 * SECOND)
    assert not session.closed, "for 25 minutes some push was under way, and none for longer than a minute"


@pytest.mark.parametrize(
    ("begin", "what"),
    [
        (lambda: dialer(ScriptedOutbox()), "told nothing of its changes"),
        (lambda: dialer(ScriptedOutbox({A: bytes(16)}), Resume(b"another-epoch-!!", 1, 1)), "did not go on comparing"),
    ],
)
def test_a_partner_that_does_not_go_on_is_given_up(begin, what: str) -> None:
    session = begin()
    comparing = "comparing" in what
    say(session, welcome(MODE_RECONCILE if comparing else 0, head=3))
    if comparing:
        session.compare(Index().pin(), now=0)
        drain(session)
    closed = lives(session, 2000 * SECOND)
    assert closed is not None
    assert what in closed.message


def test_a_page_that_was_asked_for_and_does_not_come_ends_the_session() -> None:
    session = dialer(ScriptedOutbox())
    say(session, welcome(head=1), Changes(1, 1, (ChangesEntry(A, 1, VECTOR),)))
    closed = lives(session, 200 * SECOND)
    assert closed is not None
    assert "told nothing" in closed.message


def test_our_own_disk_may_take_as_long_as_it_likes() -> None:
    session = dialer(ScriptedOutbox())
    say(session, welcome(head=1), Changes(1, 1, (ChangesEntry(A, 1, VECTOR),)))
    say(session, Updates(1, 1, 1, True, (UpdatesEntry(A, b"diff", VECTOR),)))
    assert lives(session, 2000 * SECOND) is None  # `integrated` does not come


def test_a_receipt_that_does_not_come_ends_the_session() -> None:
    session = pushing()
    say(session, Ack(1, None, 1, (STORED,)))
    session.request_receipt(1)
    drain(session)
    closed = lives(session, 2000 * SECOND)
    assert closed is not None
    assert "gave no receipt" in closed.message
    session = pushing()
    say(session, Ack(1, None, 1, (STORED,)))
    session.request_receipt(1)
    say(session, Receipt(1, 1, 1, bytes(32)))
    assert lives(session, 2000 * SECOND) is None


def test_a_device_that_stores_nothing_and_lives_is_given_up_by_the_relay() -> None:
    log = ScriptedLog()
    session = acceptor(log)
    say(session, hello(Resume(EPOCH, 0, 0)))
    log.commit(A, b"update")
    say(session)
    closed = lives(session, 2000 * SECOND)
    assert closed is not None
    assert "stored nothing" in closed.message
    session = acceptor(log)
    say(session, hello(Resume(EPOCH, 0, 0)))
    say(session, Have(1, 0))
    session.lost()


@pytest.mark.parametrize("rate", [5_000, 10_000])
def test_a_frame_may_take_as_long_as_its_bytes_need(rate: int) -> None:
    session = pushing()
    now = 0
    while now * rate < 1_000_000 * SECOND:  # a megabyte: 200 s, during which the partner can say nothing else
        timer = session.next_timer()
        assert timer is not None
        now = max(now + 1, timer)
        session.arriving(now * rate // SECOND)
        session.timer(now)
        assert not session.closed


@pytest.mark.parametrize("rate", [0, 1, 500])
def test_bytes_that_only_drip_keep_nobody_alive(rate: int) -> None:
    session = acceptor(ScriptedLog())
    say(session, hello())
    now = 0
    while not session.closed:
        timer = session.next_timer()
        assert timer is not None
        now = max(now + 1, timer)
        session.arriving(now * rate // SECOND)
        session.timer(now)
    assert now <= 2 * limits.SILENCE_US_MAX


def test_a_partner_whose_frame_stands_still_is_silent_however_fast_it_began() -> None:
    session = acceptor(ScriptedLog())
    say(session, hello())
    now = 0
    while not session.closed:
        timer = session.next_timer()
        assert timer is not None
        now = max(now + 1, timer)
        session.arriving(2_000_000)
        session.timer(now)
    assert now <= limits.SILENCE_US_MAX + limits.KEEPALIVE_US + limits.BURST_US_MAX


def given_up_after(session: Dialer, begin: int, *, answering: bool) -> int:
    """How long the session lasts from `begin`, where nothing comes any more but, if so, answers to pings."""
    now = begin
    while not session.closed:
        now = max(now, session.next_timer() or now)
        session.timer(now)
        if answering:
            say(session, *[Pong(each.number) for each in drain(session)[0] if isinstance(each, Ping)], now=now)
    return now - begin


@pytest.mark.parametrize("answering", [False, True])
def test_a_host_that_does_not_read_blames_its_partner_for_nothing(answering: bool) -> None:
    usual = given_up_after(pushing(), 0, answering=answering)
    session = pushing()
    paused = 10 * usual
    session.pause(0)
    pings = 0
    while (now := session.next_timer() or paused) < paused:
        session.timer(now)
        pings += sum(isinstance(message, Ping) for message in drain(session)[0])
    assert not session.closed
    assert pings >= paused // limits.KEEPALIVE_US - 1  # so the partner knows that we live
    session.resume(paused)
    assert abs(given_up_after(session, paused, answering=answering) - usual) <= limits.KEEPALIVE_US


def flooded(session: Session, bytes_per_s: int, until: int) -> int:
    """Seconds until the session ends, where so many bytes of others' updates come all the time, and nothing else."""
    size = min(bytes_per_s, limits.FRAME_BYTES_TARGET)
    frame = codec.encode(Updates(0, 1, 1, True, (UpdatesEntry(A, bytes(size), VECTOR),)))
    now = 0
    while not session.closed and now < until:
        now += SECOND
        for _ in range(bytes_per_s // size):
            session.receive(frame, now)
        session.timer(now)
        drain(session)
    return now // SECOND


def test_a_push_without_answer_is_noticed_in_the_midst_of_a_heavy_download() -> None:
    answer_s = limits.ANSWER_US_MAX // SECOND
    spread_s = (limits.KEEPALIVE_US + limits.BURST_US_MAX) // SECOND
    assert answer_s <= flooded(pushing(), 2 << 20, 7200 * SECOND) <= answer_s + spread_s
    in_line_s = limits.FRAME_BYTES_MAX // 10_000  # so much may be on its way before the answer
    assert in_line_s + answer_s <= flooded(pushing(), 10_000, 7200 * SECOND) <= in_line_s + answer_s + spread_s


def test_what_the_comparison_asked_for_and_does_not_come_ends_the_session() -> None:
    """Also where the partner's next ranges are here, and wait until all was asked for."""
    theirs = {f"customers/{number:05}": b"them" * 4 for number in range(10_000)}
    session, partner, ranges = comparing({A: bytes(16)}, theirs)
    while ranges:
        sent, _ = say(session, *ranges)
        ranges = [answer for message in sent if isinstance(message, Ranges) for answer in partner.answer(message)]
    assert session.state is State.COMPARING
    closed = lives(session, 2000 * SECOND)
    assert closed is not None
    assert "sent nothing of what was asked for" in closed.message


def test_devices_do_not_all_ask_at_once_and_the_relay_leaves_it_to_them() -> None:
    asks = set()
    for begun in range(0, 50_000_000, 1_000_003):
        session = Dialer(ScriptedOutbox(), resume=None, token="", follow=True, agent="", wall=0, now=begun)
        session.receive(codec.encode(welcome()), begun)
        session.receive(codec.encode(Changes(1, 0, ())), begun)
        session.integrated(1, [], now=begun)
        timer = session.next_timer()
        assert timer is not None
        asks.add(timer - begun)
    assert len(asks) > 40
    assert max(asks) <= limits.KEEPALIVE_US
    assert min(asks) >= limits.KEEPALIVE_US * 3 // 4
