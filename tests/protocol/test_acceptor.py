"""The accepting end: what it sends, when, and behind what."""

import gc
import weakref

import pytest

from crdt_sync import limits
from crdt_sync.protocol import codec
from crdt_sync.protocol.acceptor import Refusal
from crdt_sync.protocol.effects import Accept, Closed, Compare, Greeted, Holds
from crdt_sync.protocol.messages import (
    Ack,
    Bye,
    Changes,
    Check,
    Have,
    Push,
    PushEntry,
    Resume,
    Updates,
    Verdict,
    VerdictCode,
    Want,
    WantEntry,
    Welcome,
)
from crdt_sync.protocol.source import Diff
from crdt_sync.protocol.states import State
from tests.protocol.scripted import DEVICE, EPOCH, ScriptedLog, acceptor, drain, hello, say

A, B = "customers/a", "customers/b"
PAST = b"past-past-past-p"
STORED = Verdict(VerdictCode.ACCEPTED, 1)


def live(log: ScriptedLog, **hello_fields):
    """An acceptor whose partner is up to date."""
    session = acceptor(log)
    say(session, hello(Resume(EPOCH, log.head(), log.head()), **hello_fields))
    assert session.state is State.LIVE
    return session


def push(number: int, record: str = A, size: int = 1) -> Push:
    return Push(number, (PushEntry(record, b"u" * size),))


def test_nothing_changed_costs_one_answer() -> None:
    sent, effects = say(acceptor(ScriptedLog([(A, b"1")])), hello(Resume(EPOCH, 1, 1), count=1))
    assert [type(message) for message in sent] == [Welcome, Changes]
    assert sent[1] == Changes(1, 1, ())
    assert [type(effect) for effect in effects] == [Greeted]


def test_what_changed_is_listed_then_sent_on_demand_and_only_then_does_the_cursor_move() -> None:
    session = acceptor(ScriptedLog([(A, b"1"), (B, b"2"), (A, b"3")]))
    sent, _ = say(session, hello(Resume(EPOCH, 1, 1), count=2))
    page = sent[1]
    assert isinstance(page, Changes)
    assert [(entry.record, entry.seq) for entry in page.entries] == [(B, 2), (A, 3)]
    assert sent[2:] == []  # the end is not told while the page is unanswered
    sent, _ = say(session, Want(1, (WantEntry(A, b"\0"), WantEntry(B, b"\0"))))
    updates, end = sent
    assert isinstance(updates, Updates)
    assert (updates.page, updates.cursor, updates.last) == (1, 3, True)
    assert [entry.update for entry in updates.entries] == [b"1+3", b"2"]
    assert end == Changes(2, 3, ())
    assert session.state is State.LIVE


def test_the_end_waits_for_the_answers_also_where_what_was_newest_is_gone() -> None:
    """A repair has set a record aside: the feed ends before the head does."""
    log = ScriptedLog([(A, b"1"), (B, b"2")])
    log.set_aside.add(B)
    session = acceptor(log)
    sent, _ = say(session, hello(None))
    assert [type(message) for message in sent] == [Welcome, Changes]
    session.fill(1 << 20, 0)
    assert drain(session) == ([], [])
    sent, _ = say(session, Want(1, (WantEntry(A, b"\0"),)))
    updates, end = sent
    assert (updates.cursor, end) == (1, Changes(2, 2, ()))


def test_what_is_committed_while_the_feed_is_read_is_told() -> None:
    log = ScriptedLog([(A, b"1")])
    feed = log.feed

    def overtaken(after: int, limit: int):
        found = feed(after, limit)
        if not found:
            log.feed = feed  # type: ignore[method-assign]
            log.commit(B, b"2")
        return found

    log.feed = overtaken  # type: ignore[method-assign]
    session = acceptor(log)
    sent, _ = say(session, hello(Resume(EPOCH, 1, 1), count=1))
    session.fill(1 << 20, 0)
    sent += drain(session)[0]
    told = [message for message in sent if isinstance(message, Changes | Updates) and message.entries]
    assert [entry.record for message in told for entry in message.entries] == [B]


def test_with_little_to_be_sent_at_a_time_only_what_is_larger_waits() -> None:
    most = 1_000
    last = "customers/c"
    log = ScriptedLog([(A, b"a" * 300), (B, b"b" * 5_000), (last, b"c" * 300)])
    diff, read = log.diff, list[str]()

    def reading(record: str, state_vector: bytes) -> Diff | None:
        read.append(record)
        return diff(record, state_vector)

    log.diff = reading  # type: ignore[method-assign]
    session = acceptor(log)
    say(session, hello())
    session.receive(codec.encode(Want(1, tuple(WantEntry(record, b"\0") for record in (A, B, last)))), 0)

    def told(most: int) -> tuple[list[str], bool]:
        lacking = session.fill(1, 0, most)
        frames = [message for message in drain(session)[0] if isinstance(message, Updates)]
        return [entry.record for frame in frames for entry in frame.entries], lacking > most

    assert told(most) == ([A], False)
    for _ in range(3):
        assert told(most) == ([], True)
    assert read == [A, B]
    assert told(limits.FRAME_BYTES_MAX) == ([B, last], False)


def test_with_little_to_be_sent_at_a_time_pages_are_short() -> None:
    records = [f"customers/{number:03}" for number in range(limits.PAGE_RECORDS_MAX + 200)]
    session = acceptor(ScriptedLog([(record, b"x") for record in records]))
    session.receive(codec.encode(hello()), 0)
    drain(session)
    assert session.fill(1, 0, 1_000) == 0
    (page,) = drain(session)[0]
    assert isinstance(page, Changes)
    assert 10 < len(page.entries) < 100


def test_the_cursor_comes_with_the_last_frame_of_an_answer_that_needs_several() -> None:
    size = limits.WINDOW_BYTES_FIRST // 4
    session = acceptor(ScriptedLog([(A, b"x" * size), (B, b"y" * size)]))
    say(session, hello())
    sent, _ = say(session, Want(1, (WantEntry(A, b"\0"), WantEntry(B, b"\0"))), room=4 * size)
    frames = [message for message in sent if isinstance(message, Updates)]
    assert [(frame.cursor, frame.last) for frame in frames] == [(None, False), (2, True)]


def test_the_cursor_stays_before_a_record_that_cannot_be_read() -> None:
    log = ScriptedLog([(A, b"1"), (B, b"2")])
    session = acceptor(log)
    say(session, hello())
    log.unreadable.add(A)
    sent, _ = say(session, Want(1, (WantEntry(A, b"\0"), WantEntry(B, b"\0"))))
    updates, end = sent
    assert isinstance(updates, Updates)
    assert [entry.record for entry in updates.entries] == [B]
    assert (updates.cursor, updates.last) == (0, True)
    assert end == Changes(2, 0, ())
    log.commit(B, b"3")
    sent, _ = say(session)
    assert [(message.cursor, message.entries[0].update) for message in sent] == [(0, b"3")]


def test_at_most_so_many_pages_are_ahead_of_their_answers() -> None:
    count = limits.PAGE_RECORDS_MAX * (limits.PAGES_IN_FLIGHT_MAX + 2)
    session = acceptor(ScriptedLog([(f"customers/{number}", b"u") for number in range(count)]))
    sent, _ = say(session, hello(), room=1 << 30)
    assert [message.page for message in sent if isinstance(message, Changes)] == [1, 2, 3, 4]
    sent, _ = say(session, Want(1, ()), room=1 << 30)
    assert [message.page for message in sent if isinstance(message, Changes)] == [5]


@pytest.mark.parametrize(
    ("resume", "count", "compares"),
    [
        (None, 0, False),  # an empty device has nothing to compare
        (None, 1, True),
        (Resume(bytes(15) + b"x", 1, 1), 1, True),  # the history it read is gone
        (Resume(EPOCH, 2, 2), 1, True),  # it has seen more than there is: history was lost without a new epoch
        (Resume(EPOCH, 0, 2), 1, True),  # ... or it stored that much there
        (Resume(EPOCH, 1, 1), 1, False),
        (Resume(EPOCH, 0, 0), 1, False),
        (Resume(PAST, 0, 1), 1, False),  # of the life before, all is here
        (Resume(PAST, 2, 2), 1, True),  # what it read then was lost
        (Resume(PAST, 1, 2), 1, True),
    ],
)
def test_a_partner_that_cannot_resume_is_compared_with(resume, count, compares) -> None:
    log = ScriptedLog([(A, b"1"), (A, b"2")] if resume and resume.epoch == PAST else [(A, b"1")])
    log.reaches[PAST] = 1
    session = acceptor(log)
    sent, effects = say(session, hello(resume, count=count))
    assert sent[0].mode == int(compares)
    assert any(isinstance(effect, Compare) for effect in effects) == compares
    assert (session.state is State.COMPARING) == compares


def test_whatever_is_told_of_the_log_names_a_head_that_it_is_not_behind() -> None:
    log = ScriptedLog([(A, b"1"), (B, b"2")])
    session = acceptor(log)
    say(session, hello())
    log.commit(A, b"3")  # so the answer to a want of the first page holds what came behind its cursor
    sent, _ = say(session, Want(1, (WantEntry(A, b"\x00"), WantEntry(B, b"\x00"))))
    (answer,) = (message for message in sent if isinstance(message, Updates))
    assert (answer.cursor, answer.head) == (2, 3)


def test_a_diff_that_was_read_before_the_head_tells_of_it_names_a_head_all_the_same() -> None:
    log = ScriptedLog([(A, b"1")])
    session = acceptor(log)
    say(session, hello())
    log.diff = lambda record, state_vector: Diff(b"newer", b"\x01\x01\x02", 7)  # type: ignore[method-assign]
    sent, _ = say(session, Want(1, (WantEntry(A, b"\x00"),)))
    assert [message.head for message in sent if isinstance(message, Updates)] == [7]


def test_committed_updates_follow_as_they_come_and_share_a_frame() -> None:
    log = ScriptedLog()
    session = live(log)
    for number in range(3):
        log.commit(A, b"%d" % number)
    sent, _ = say(session)
    assert [(message.cursor, [entry.update for entry in message.entries]) for message in sent] == [
        (3, [b"0", b"1", b"2"])
    ]


def test_a_session_does_not_hear_what_it_pushed_but_its_twin_with_the_same_replica_id_does() -> None:
    log = ScriptedLog()
    pusher, twin = live(log), live(log)
    _, effects = say(pusher, push(1))
    assert effects == [Accept(1, (PushEntry(A, b"u"),))]
    seq = log.commit(A, b"u")
    pusher.accepted(1, [STORED], [seq], now=0)
    pusher.acknowledge(now=0)
    assert say(pusher) == ([Ack(1, 1, 1, (STORED,))], [])
    sent, _ = say(twin)
    assert [entry.update for message in sent for entry in message.entries] == [b"u"]


def test_an_acknowledgement_never_carries_a_cursor_over_updates_that_were_not_sent() -> None:
    log = ScriptedLog()
    session = live(log)
    say(session, push(1))
    log.commit(B, b"theirs")
    session.accepted(1, [STORED], [log.commit(A, b"u")], now=0)
    session.acknowledge(now=0)
    sent, _ = drain(session)
    assert sent == [Ack(1, 0, 2, (STORED,))]
    sent, _ = say(session)
    assert [(message.cursor, len(message.entries)) for message in sent] == [(2, 1)]


def test_pushes_answered_together_share_an_acknowledgement() -> None:
    session = live(ScriptedLog(), follow=False)
    say(session, push(1), push(2), push(3))
    for number in (1, 2, 3):
        session.accepted(number, [STORED], [number], now=0)
    session.acknowledge(now=0)
    assert drain(session)[0] == [Ack(3, None, 0, (STORED,) * 3)]


def test_acknowledgements_are_split_before_they_outgrow_a_frame() -> None:
    session = live(ScriptedLog(), follow=False)
    many = [STORED] * limits.PUSH_RECORDS_MAX
    say(session, push(1), push(2))
    session.accepted(1, many, [], now=0)
    session.accepted(2, many, [], now=0)
    session.acknowledge(now=0)
    sent, _ = drain(session)
    assert [(message.number, len(message.verdicts)) for message in sent] == [(1, 512), (2, 512)]


def test_a_follower_behind_a_compaction_or_too_far_behind_reads_the_feed_again() -> None:
    log = ScriptedLog()
    session = live(log)
    log.commit(A, b"1")
    log.compacted = 1
    sent, _ = say(session)
    assert [type(message) for message in sent] == [Changes]
    assert session.state is State.CATCHING_UP

    log = ScriptedLog()
    session = live(log)
    for _ in range(limits.FOLLOW_ENTRIES_MAX + 1):
        log.commit(A, b"1")
    sent, _ = say(session)
    assert [[entry.record for entry in message.entries] for message in sent] == [[A]]


def test_a_partner_that_confirms_nothing_gets_no_more_than_the_window() -> None:
    log = ScriptedLog()
    session = live(log)
    size = 1 << 20
    window = limits.UNCONFIRMED_BYTES_MAX // size
    for _ in range(window + 5):
        log.commit(A, b"x" * size)
    sent, _ = say(session, room=1 << 40)
    updates = [message for message in sent if isinstance(message, Updates)]
    received = sum(len(entry.update) for message in updates for entry in message.entries)
    assert received == limits.UNCONFIRMED_BYTES_MAX
    assert not session.wants_room
    sent, _ = say(session, Have(1, received), room=1 << 40)
    assert session.serving.cursor == log.head()
    assert all(isinstance(message, Updates) for message in sent)


@pytest.mark.parametrize(
    "message",
    [
        Want(7, ()),  # a page that was not sent
        Have(0, 1),  # more than was sent
        push(2),  # out of order
    ],
)
def test_a_message_that_contradicts_the_session_ends_it(message) -> None:
    session = live(ScriptedLog())
    sent, effects = say(session, message)
    assert isinstance(sent[-1], Bye)
    assert [effect.code for effect in effects if isinstance(effect, Closed)] == ["protocol_violation"]


def test_pushes_without_waiting_congest_and_then_end_the_session() -> None:
    session = live(ScriptedLog())
    for number in range(1, 2 * limits.PUSHES_IN_FLIGHT_MAX + 1):
        assert session.congested == (number > limits.PUSHES_IN_FLIGHT_MAX)
        say(session, push(number))
    assert not session.closed
    say(session, push(2 * limits.PUSHES_IN_FLIGHT_MAX + 1))
    assert session.closed


def test_large_pushes_congest_by_their_bytes() -> None:
    session = live(ScriptedLog())
    size = 1 << 20
    for number in range(1, limits.PUSH_BYTES_IN_FLIGHT_MAX // size + 1):
        assert not session.congested
        say(session, push(number, size=size))
    assert session.congested


def test_a_refused_hello_gets_the_reason_and_nothing_else() -> None:
    sent, effects = say(acceptor(ScriptedLog([(A, b"1")]), Refusal("unauthorized", "no")), hello())
    assert sent == [Bye("unauthorized", "no", None)]
    assert effects == [Closed("unauthorized", "no", None, by_partner=False)]


def test_no_common_version_is_said_so() -> None:
    sent, _ = say(acceptor(ScriptedLog()), hello(versions=(4, 5)))
    assert isinstance(sent[0], Bye)
    assert sent[0].code == "version_mismatch"


def test_the_handshake_has_a_deadline() -> None:
    session = acceptor(ScriptedLog())
    assert session.next_timer() == limits.HANDSHAKE_TIMEOUT_US
    session.timer(limits.HANDSHAKE_TIMEOUT_US - 1)
    assert not session.closed
    session.timer(limits.HANDSHAKE_TIMEOUT_US)
    assert session.closed
    assert session.next_timer() is None


def test_a_silent_partner_is_pinged_then_given_up() -> None:
    session = live(ScriptedLog())
    session.timer(limits.KEEPALIVE_US - 1)
    assert drain(session) == ([], [])
    session.timer(limits.KEEPALIVE_US)
    session.timer(2 * limits.KEEPALIVE_US)
    session.timer(limits.SILENCE_US_MAX - 1)
    sent, _ = drain(session)
    assert [type(message).__name__ for message in sent] == ["Ping", "Ping"]
    session.timer(limits.SILENCE_US_MAX)
    sent, effects = drain(session)
    assert [message.code for message in sent] == ["timeout"]
    assert [effect.retry_after_us for effect in effects] == [0]


def test_what_the_partner_says_that_it_has_is_believed_as_far_as_it_was_told() -> None:
    session = acceptor(ScriptedLog([(A, b"1"), (B, b"2")]))
    _, effects = say(session, hello(Resume(EPOCH, 1, 1), count=1))
    assert effects == [Greeted(DEVICE, "test", 1)]
    sent, _ = say(session, Want(1, (WantEntry(B, b"\0"),)))
    size = sum(len(entry.update) for message in sent if isinstance(message, Updates) for entry in message.entries)
    _, effects = say(session, Have(1 << 50, size))
    assert effects == [Holds(2)]
    _, effects = say(session, Have(1, size))
    assert effects == []


@pytest.mark.parametrize(("code", "holds"), [("done", [Holds(2)]), ("going_away", [])])
def test_who_says_that_it_is_done_has_what_was_told_until_the_feed_first_ended(code, holds) -> None:
    log = ScriptedLog([(A, b"1"), (B, b"2")])
    session = acceptor(log)
    say(session, hello(Resume(EPOCH, 2, 2), count=2))
    session.serving.held = 0  # as after a comparison, which confirms no bytes
    log.commit(A, b"3")
    say(session)
    _, effects = say(session, Bye(code, "", None))
    assert [effect for effect in effects if isinstance(effect, Holds)] == holds


def test_an_answer_reads_no_more_in_one_turn_than_some_bytes_however_little_it_sends(monkeypatch) -> None:
    """A partner that has everything of large records makes much work and asks for no bytes."""
    log = ScriptedLog([(f"customers/{number}", b"u") for number in range(8)])
    read: list[str] = []

    def diff(record: str, state_vector: bytes) -> Diff:
        read.append(record)
        return Diff(b"\0\0", b"\x01\x01\x01", 1, limits.READ_BYTES_TARGET // 2)

    session = live(log)
    monkeypatch.setattr(log, "diff", diff)
    session.receive(codec.encode(Want(0, tuple(WantEntry(f"customers/{number}", b"\0") for number in range(8)))), 0)
    sent: list[Updates] = []
    for turn in range(1, 5):
        session.fill(1, 0)
        sent += [message for message in drain(session)[0] if isinstance(message, Updates)]
        assert len(read) == 2 * turn
    assert [len(updates.entries) for updates in sent] == [2, 2, 2, 2]
    assert [updates.last for updates in sent] == [False, False, False, True]
    assert not session.wants_room


def test_what_is_wanted_at_once_is_bounded_in_bytes() -> None:
    """A partner that does not read its answers makes us keep what it asked with."""
    session = live(ScriptedLog([(A, b"1")]))
    vector = bytes([1, *b"\xff\xff\xff\xff\x0f", 1]) + bytes(8_000)
    entries = tuple(WantEntry(f"customers/{number}", vector) for number in range(500))
    frame, size = codec.encode(Want(0, entries)), 500 * len(vector)
    for _ in range(limits.WANTED_BYTES_MAX // size + 1):
        session.receive(frame, 0)
    assert not session.closed
    session.receive(frame, 0)
    assert session.closed


def test_a_record_that_is_too_much_for_one_update_goes_in_parts_and_its_state_vector_with_the_last(monkeypatch) -> None:
    log = ScriptedLog([(A, b"1"), (B, b"2")])
    parts = tuple(bytes([number]) * (limits.FRAME_BYTES_MAX // 3) for number in (1, 2, 3))
    monkeypatch.setattr(
        log, "diff", lambda record, _: Diff(b"", b"\x01\x01\x01", 1, 0, parts if record == A else (b"u",))
    )
    session = live(log)
    session.receive(codec.encode(Want(0, (WantEntry(A, b"\0"), WantEntry(B, b"\0")))), 0)
    session.fill(1 << 30, 0)
    sent = [entry for message in drain(session)[0] if isinstance(message, Updates) for entry in message.entries]
    assert [(entry.record, entry.update) for entry in sent] == [*((A, part) for part in parts), (B, b"u")]
    assert [entry.state_vector for entry in sent] == [b"", b"", b"\x01\x01\x01", b"\x01\x01\x01"]


def test_a_record_that_changes_while_its_parts_are_sent_is_sent_from_the_beginning(monkeypatch) -> None:
    log = ScriptedLog([(A, b"1")])
    stored = [Diff(b"", b"\x01\x01\x01", 1, 0, tuple(name * (limits.FRAME_BYTES_MAX // 3) for name in (b"a", b"b")))]
    monkeypatch.setattr(log, "diff", lambda *_: stored[0])
    session = live(log)
    session.receive(codec.encode(Want(0, (WantEntry(A, b"\0"),))), 0)
    session.fill(1, 0)
    stored[0] = Diff(b"", b"\x01\x01\x01", 2, 0, (b"snapshot", b"tail"))
    session.fill(1 << 30, 0)
    sent = [entry for message in drain(session)[0] if isinstance(message, Updates) for entry in message.entries]
    assert [entry.update[:8] for entry in sent] == [b"aaaaaaaa", b"snapshot", b"tail"]


def test_what_is_not_held_is_looked_for_in_turns_too(monkeypatch) -> None:
    log = ScriptedLog([(A, b"1")])
    asked: list[str] = []
    monkeypatch.setattr(log, "diff", lambda record, _: asked.append(record))
    session = live(log)
    unknown = tuple(WantEntry(f"customers/unknown{number}", b"\0") for number in range(limits.WANT_RECORDS_MAX))
    session.receive(codec.encode(Want(0, unknown)), 0)
    session.fill(1, 0)
    at_once = limits.READ_BYTES_TARGET // limits.READ_RECORD_BYTES
    assert (len(asked), drain(session)) == (at_once, ([], []))
    session.fill(1 << 20, 0)
    (updates,), _ = drain(session)
    assert (len(asked), updates) == (limits.WANT_RECORDS_MAX, Updates(0, None, 1, True, ()))


@pytest.mark.parametrize(
    "message",
    [Want(0, (WantEntry(A, b"\0"), WantEntry(B, b"\0"), WantEntry(A, b"\1\1\1"))), Check(1, False, (A, B, A))],
)
def test_no_record_is_asked_for_twice_in_one_message(message) -> None:
    session = live(ScriptedLog([(A, b"1")]))
    sent, _ = say(session, message)
    assert [type(answer) for answer in sent] == [Bye]
    assert "names a record twice" in sent[0].message
    assert session.closed


def test_a_session_that_is_over_is_freed_at_once() -> None:
    """A collector that runs seldom would leave thousands of them in memory, each with what it was to be told."""
    session = live(ScriptedLog([(A, b"1")]))
    known = weakref.ref(session)
    gc.disable()
    try:
        session.lost()
        del session
        assert known() is None
    finally:
        gc.enable()
