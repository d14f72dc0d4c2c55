"""The dialing end: what it asks for, what it pushes, and when it stores a cursor."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdt_sync import limits
from crdt_sync.protocol.backoff import Backoff
from crdt_sync.protocol.dialer import Dialer
from crdt_sync.protocol.effects import Acknowledge, CaughtUp, Closed, Integrate, Welcomed
from crdt_sync.protocol.fetching import Fetching
from crdt_sync.protocol.messages import (
    Ack,
    Bye,
    Changes,
    ChangesEntry,
    Dropped,
    Have,
    Message,
    Push,
    PushEntry,
    RetryAfter,
    Updates,
    UpdatesEntry,
    Verdict,
    VerdictCode,
    Want,
    WantEntry,
)
from crdt_sync.protocol.states import State
from crdt_sync.protocol.versions import PEOPLE
from tests.protocol.scripted import EPOCH, RELAY, ScriptedOutbox, dialer, drain, say, welcome

A, B, C = "customers/a", "customers/b", "customers/c"
STORED = Verdict(VerdictCode.ACCEPTED, 1)
VECTOR = b"\x01\x01\x01"


def live(source: ScriptedOutbox):
    session = dialer(source)
    _, _effects = say(session, welcome(), Changes(1, 0, ()))
    session.integrated(1, [], now=0)
    assert session.state is State.LIVE
    drain(session)
    return session


def integrates(effects) -> list[Integrate]:
    return [effect for effect in effects if isinstance(effect, Integrate)]


def test_the_welcome_measures_the_partners_clock_at_half_the_round_trip() -> None:
    session = dialer(ScriptedOutbox())
    _, effects = say(session, welcome(now=9_000_000, head=7), now=200_000)
    assert effects == [Welcomed(RELAY, EPOCH, 9_000_000 - 1_100_000, comparing=False, resumed=False, head=7)]


def test_what_changed_is_wanted_by_our_state_vectors() -> None:
    session = dialer(ScriptedOutbox({A: bytes(16)}))
    sent, _ = say(session, welcome(), Changes(1, 5, (ChangesEntry(A, 4, VECTOR), ChangesEntry(B, 5, VECTOR))))
    assert sent == [Want(1, (WantEntry(A, b"\x01\x02\x02"), WantEntry(B, b"\x00")))]


def test_what_could_not_be_integrated_is_asked_for_again_and_holds_the_cursor_back() -> None:
    source = ScriptedOutbox({A: bytes(16)})
    source.refused = [A, B]
    session = dialer(source)
    sent, _ = say(session, welcome())
    assert sent == [Want(0, (WantEntry(A, b"\x01\x02\x02"), WantEntry(B, b"\x00")))]
    _, effects = say(session, Changes(1, 5, ()))
    assert [effect.cursor for effect in integrates(effects)] == [None]
    session.integrated(1, [], now=0)
    _, effects = say(session, Updates(0, None, 0, True, (UpdatesEntry(A, b"diff", VECTOR),)))
    assert [entry.record for effect in integrates(effects) for entry in effect.entries] == [A]
    session.integrated(2, [], now=0)
    _, effects = drain(session)
    assert [effect.cursor for effect in integrates(effects)] == [5]


def test_more_of_it_than_a_want_holds_is_asked_for_in_several() -> None:
    source = ScriptedOutbox()
    source.refused = [f"customers/{number}" for number in range(limits.WANT_RECORDS_MAX + 1)]
    sent, _ = say(dialer(source), welcome())
    assert [len(want.entries) for want in sent] == [limits.WANT_RECORDS_MAX, 1]


def test_what_the_partner_told_of_and_leaves_out_of_its_answer_is_named_when_the_answer_ends() -> None:
    session = dialer(ScriptedOutbox())
    say(session, welcome(), Changes(1, 6, tuple(ChangesEntry(record, 4, VECTOR) for record in (A, B, C))))
    _, effects = say(
        session,
        Updates(1, None, 6, False, (UpdatesEntry(A, b"u", VECTOR),)),
        Updates(1, 0, 6, True, (UpdatesEntry(C, b"u", VECTOR),)),
    )
    assert [effect.unserved for effect in integrates(effects)] == [(), (B,)]


def test_a_gap_that_the_partner_cannot_close_as_it_cannot_read_the_record_is_named() -> None:
    session = live(ScriptedOutbox())
    _, effects = say(session, Updates(0, 7, 7, True, (UpdatesEntry(A, b"u", b""),)))
    session.integrated(integrates(effects)[0].number, [(A, VECTOR)], now=0)
    drain(session)
    _, effects = say(session, Updates(0, None, 7, True, ()))
    assert [effect.unserved for effect in integrates(effects)] == [(A,)]


def test_it_is_caught_up_only_when_everything_is_stored() -> None:
    session = dialer(ScriptedOutbox())
    say(session, welcome(), Changes(1, 5, (ChangesEntry(B, 5, VECTOR),)))
    _, effects = say(session, Updates(1, 5, 5, True, (UpdatesEntry(B, b"u", VECTOR),)), Changes(2, 5, ()))
    assert [effect.cursor for effect in integrates(effects)] == [5, 5]
    session.integrated(1, [], now=0)
    assert session.state is State.CATCHING_UP
    session.integrated(2, [], now=0)
    sent, effects = drain(session)
    assert effects == [CaughtUp()]
    assert sent == [Have(5, 1)]
    assert session.settled


def test_a_gap_is_repaired_by_state_vector_and_no_cursor_is_stored_meanwhile() -> None:
    session = live(ScriptedOutbox())
    _, effects = say(session, Updates(0, 7, 7, True, (UpdatesEntry(A, b"gapped", b""),)))
    session.integrated(2, [(A, VECTOR)], now=0)
    sent, _ = drain(session)
    assert Want(0, (WantEntry(A, VECTOR),)) in sent
    _, effects = say(session, Updates(0, 8, 8, True, (UpdatesEntry(B, b"live", b""),)))
    assert [effect.cursor for effect in integrates(effects)] == [None]
    session.integrated(3, [], now=0)
    assert integrates(drain(session)[1]) == []
    assert not session.settled
    say(session, Updates(0, None, 9, True, (UpdatesEntry(A, b"repair", VECTOR),)))
    session.integrated(4, [], now=0)
    (after,) = integrates(drain(session)[1])
    assert (after.entries, after.cursor) == ((), 8)


def test_what_comes_before_the_answer_to_a_gap_is_in_that_answer() -> None:
    """A partner that goes on editing an earlier lineage meanwhile is asked once, and not given up."""
    session = live(ScriptedOutbox())
    for number in range(2, 9):
        say(session, Updates(0, number, number, True, (UpdatesEntry(A, b"gapped", b""),)))
    wants = []
    for number in range(2, 6):
        session.integrated(number, [(A, VECTOR)], now=0)
        wants += drain(session)[0]
    assert [each for each in wants if isinstance(each, Want)] == [Want(0, (WantEntry(A, VECTOR),))]
    say(session, Updates(0, None, 9, True, (UpdatesEntry(A, b"repair", VECTOR),)))
    for number in range(6, 9):
        session.integrated(number, [(A, VECTOR)], now=0)
    assert not any(isinstance(each, Want) for each in drain(session)[0])
    session.integrated(9, [], now=0)
    say(session, Updates(0, 10, 10, True, (UpdatesEntry(A, b"gapped", b""),)))
    session.integrated(10, [(A, VECTOR)], now=0)
    assert Want(0, (WantEntry(A, VECTOR),)) in drain(session)[0]
    assert not session.closed


def test_no_more_gaps_are_asked_for_than_the_partner_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "PUSHES_IN_FLIGHT_MAX", 4)
    session = live(ScriptedOutbox())
    records = [f"customers/{number}" for number in range(4)]
    wants: list[Want] = []
    for number, record in enumerate(records, 2):
        say(session, Updates(0, number, number, True, (UpdatesEntry(record, b"gapped", b""),)))
        session.integrated(number, [(record, VECTOR)], now=0)
        wants += [each for each in drain(session)[0] if isinstance(each, Want)]
    assert wants == [Want(0, (WantEntry(record, VECTOR),)) for record in records[:2]]
    say(session, Updates(0, None, 9, True, (UpdatesEntry(records[0], b"repair", VECTOR),)))
    session.integrated(6, [], now=0)
    assert Want(0, tuple(WantEntry(record, VECTOR) for record in records[2:])) in drain(session)[0]
    assert not session.settled


def test_a_gap_that_cannot_be_closed_ends_the_session() -> None:
    session = live(ScriptedOutbox())
    say(session, Updates(0, 1, 1, True, (UpdatesEntry(A, b"gapped", b""),)))
    number = 2
    while not session.closed:
        session.integrated(number, [(A, VECTOR)], now=0)
        if not session.closed:
            say(session, Updates(0, None, 9, True, (UpdatesEntry(A, b"still gapped", VECTOR),)))
        number += 1
        assert number < 10
    _, effects = drain(session)
    assert [effect.code for effect in effects if isinstance(effect, Closed)] == ["gap"]


def test_a_gap_that_comes_again_with_something_new_each_time_is_asked_for_again() -> None:
    """Many renew the record at once: each answer brings some of it, and what others say builds on the rest."""
    session = live(ScriptedOutbox())
    say(session, Updates(0, 1, 1, True, (UpdatesEntry(A, b"gapped", b""),)))
    for number in range(2, 30):
        session.integrated(number, [(A, bytes((1, 1, number)))], now=0)
        say(session, Updates(0, None, 9, True, (UpdatesEntry(A, b"some of it", VECTOR),)))
    session.integrated(30, [], now=0)
    assert not session.closed


def test_what_the_partner_lacks_is_pushed_in_one_frame_and_pushed_again_when_edited_meanwhile() -> None:
    source = ScriptedOutbox()
    session = live(source)
    source.edit(A)
    source.edit(B)
    session.notify([A, B])
    sent, _ = say(session)
    assert sent == [Push(1, (PushEntry(A, b"update 1"), PushEntry(B, b"update 1")))]
    source.edit(A)
    session.notify([A])
    assert say(session) == ([], [])  # one push of a record at a time
    _, effects = say(session, Ack(1, 9, 9, (STORED, STORED)))
    (acknowledge,) = effects
    assert isinstance(acknowledge, Acknowledge)
    assert [(pushed.record, pushed.edit) for pushed in acknowledge.verdicts] == [(A, 1), (B, 1)]
    assert acknowledge.cursor == 9
    assert not session.settled
    session.acknowledged(acknowledge.number, [A], now=0)
    sent, _ = say(session)
    assert sent == [Push(2, (PushEntry(A, b"update 2"),))]


def test_what_was_pushed_and_stored_of_a_record_that_was_dropped_meanwhile_is_asked_for_again() -> None:
    """The partner believes that what it stored is here: of itself it would not tell it again."""
    source = ScriptedOutbox()
    session = live(source)
    session.version = PEOPLE
    source.edit(A)
    source.edit(B)
    session.notify([A, B])
    say(session)
    say(session, Dropped(None, 8, (A,)))
    sent, _ = say(session, Ack(1, None, 9, (STORED, STORED)))
    assert sent == [Want(0, (WantEntry(A, b"\x00"),))]


@pytest.mark.parametrize("about_to_go", [True, False])
def test_a_record_that_is_about_to_go_does_not_count_as_held(
    monkeypatch: pytest.MonkeyPatch, about_to_go: bool
) -> None:
    """One that goes and comes again at once comes whole."""

    def wanted() -> list[Message]:
        session = live(source)
        session.version = PEOPLE
        if about_to_go:
            say(session, Dropped(None, 8, (A,)))
        return say(session, Changes(2, 9, (ChangesEntry(A, 9, b"\x01\x02\x04"),)))[0]

    source = ScriptedOutbox({A: b"\x01\x02\x03"})
    vector = b"\x00" if about_to_go else source.state_vector(A)
    assert wanted() == [Want(2, (WantEntry(A, vector),))]
    monkeypatch.setattr(Fetching, "goes", lambda *_: False)
    assert (wanted() == [Want(2, (WantEntry(A, vector),))]) is not about_to_go, "the planted bug is noticed"


def test_the_whole_outbox_is_pushed_at_the_start() -> None:
    source = ScriptedOutbox()
    count = limits.PUSH_RECORDS_MAX + 3
    for number in range(count):
        source.edit(f"customers/{number:05}")
    session = dialer(source)
    sent, _ = say(session, welcome())
    pushed = [entry.record for message in sent if isinstance(message, Push) for entry in message.entries]
    assert pushed == sorted(source.edits)


def test_a_record_refused_for_now_is_pushed_again_later() -> None:
    source = ScriptedOutbox()
    session = live(source)
    source.edit(A)
    session.notify([A])
    say(session)
    assert session.unanswered
    _, effects = say(session, Ack(1, None, 9, (Verdict(VerdictCode.RETRY, reason="full"),)), now=1_000_000)
    assert not session.unanswered
    session.acknowledged(effects[0].number, [], now=1_000_000)
    assert say(session, now=1_000_000) == ([], [])
    timer = session.next_timer()
    assert timer is not None
    session.timer(timer)
    sent, _ = say(session, now=timer)
    assert [type(message) for message in sent] == [Push]
    assert session.unanswered


HOUR_MS = 3_600_000
RATE_LIMITED = Verdict(VerdictCode.RATE_LIMITED, reason="too fast", retry_after=RetryAfter(30_000, True))
DAY_OVER = Verdict(VerdictCode.QUOTA, reason="the day", retry_after=RetryAfter(HOUR_MS, True))
TOO_MANY = Verdict(VerdictCode.QUOTA, reason="new records", retry_after=RetryAfter(HOUR_MS, False))


def put_off(verdict: Verdict) -> tuple[Dialer, list[Message]]:
    """A session whose push of A was answered so, while B was edited, and what it said to that."""
    source = ScriptedOutbox()
    session = live(source)
    source.edit(A)
    session.notify([A])
    say(session)
    source.edit(B)
    session.notify([B])
    sent, effects = say(session, Ack(1, None, 9, (verdict,)), now=1_000_000)
    session.acknowledged(effects[0].number, [], now=1_000_000)
    return session, sent


@pytest.mark.parametrize("verdict", [RATE_LIMITED, DAY_OVER])
def test_nothing_is_pushed_before_the_partner_takes_more(verdict: Verdict) -> None:
    session, sent = put_off(verdict)
    assert sent == []
    over = 1_000_000 + verdict.retry_after.ms * 1000
    for now in range(1_000_000, over, (over - 1_000_000) // 50):
        session._pushing.push_again(now)
        assert not session.wants_room
        assert say(session, now=now) == ([], [])
    assert session._pushing.again_at == over
    session._pushing.push_again(over)
    sent, _ = say(session, now=over)
    assert {entry.record for push in sent for entry in push.entries} == {A, B}


def test_a_short_wait_is_waited_for_and_a_long_one_is_not() -> None:
    assert not put_off(RATE_LIMITED)[0].settled
    assert put_off(DAY_OVER)[0].settled


def test_what_is_refused_by_itself_lets_others_go_and_ends_the_session_when_it_is_worth_another_try() -> None:
    session, sent = put_off(TOO_MANY)
    assert [entry.record for push in sent for entry in push.entries] == [B]
    assert session._anew_at == 1_000_000 + HOUR_MS * 1000 + 1_000_000, "once what is kept of it is over"


def test_a_session_that_begins_while_nothing_is_taken_ends_for_what_was_refused_before() -> None:
    session = live(ScriptedOutbox())
    session.hold(5_000_000, 0, everything=True, refused=True)
    session.timer(6_000_000)
    assert session.closed
    _, effects = drain(session)
    (closed,) = [effect for effect in effects if isinstance(effect, Closed)]
    assert (closed.code, closed.retry_after_us) == ("quota_over", 0)


def test_what_was_said_in_another_session_is_heeded_in_this_one() -> None:
    source = ScriptedOutbox()
    session = live(source)
    source.edit(A)
    session.hold(5_000_000, 0, everything=True, refused=False)
    session.notify([A])
    assert say(session) == ([], [])
    session.timer(5_000_000)
    sent, _ = say(session, now=5_000_000)
    assert [type(message) for message in sent] == [Push]


@pytest.mark.parametrize("verdicts", [(), (STORED, STORED)])
def test_an_acknowledgement_with_too_few_or_too_many_verdicts_ends_the_session(verdicts) -> None:
    source = ScriptedOutbox()
    session = live(source)
    source.edit(A)
    session.notify([A])
    say(session)
    if verdicts:
        say(session, Ack(1, None, 9, verdicts))
    else:
        say(session, Ack(9, None, 9, (STORED, STORED)))
    assert session.closed


def test_a_partner_that_says_bye_names_the_time_of_the_next_attempt() -> None:
    session = live(ScriptedOutbox())
    _, effects = say(session, Bye("going_away", "restart", 1500))
    assert effects == [Closed("going_away", "restart", 1_500_000, by_partner=True)]


@given(st.integers(), st.lists(st.none() | st.integers(0, 10**9), min_size=1, max_size=60))
def test_delays_stay_within_the_ceiling_and_respect_the_partners_wish(seed, wishes) -> None:
    backoff = Backoff(random.Random(seed))
    for attempt, wish in enumerate(wishes):
        delay = backoff.delay_us(wish)
        least = min(wish or 0, limits.BACKOFF_US_MAX)
        assert least <= delay <= least + min(limits.BACKOFF_US_MAX, limits.BACKOFF_US_FIRST * 2**attempt)
    backoff.succeeded()
    assert backoff.delay_us() <= limits.BACKOFF_US_FIRST


@pytest.mark.parametrize("pages", [range(1, limits.PAGES_IN_FLIGHT_MAX + 2), (1, 1)])
def test_a_partner_that_tells_pages_too_far_ahead_of_their_answers_or_twice_is_left(pages) -> None:
    session = dialer(ScriptedOutbox())
    told = [Changes(page, page, (ChangesEntry(f"customers/{page}", page, VECTOR),)) for page in pages]
    sent, _ = say(session, welcome(), *told[:-1])
    assert [want.page for want in sent] == list(pages)[:-1]
    sent, effects = say(session, told[-1])
    assert [each.code for each in sent if isinstance(each, Bye)] == ["protocol_violation"]
    assert any(isinstance(effect, Closed) for effect in effects)


@pytest.mark.parametrize(
    "early",
    [
        Changes(3, 9, ()),
        Updates(0, 9, 9, True, (UpdatesEntry("customers/9", b"u", b""),)),
        Updates(2, 2, 9, True, ()),
        Ack(1, 9, 9, (Verdict(VerdictCode.ACCEPTED),)),
    ],
    ids=["the end of the feed", "live", "the answer to a later page", "an acknowledgement"],
)
def test_a_cursor_that_comes_before_the_pages_that_it_stands_for_ends_the_session_and_is_not_stored(
    early: Message,
) -> None:
    source = ScriptedOutbox({A: bytes(16)})
    source.edit(A)
    session = dialer(source)
    told = [Changes(page, page, (ChangesEntry(f"customers/{page}", page, VECTOR),)) for page in (1, 2)]
    say(session, welcome(), *told)
    session.fill(1 << 20, 0)
    drain(session)
    _, effects = say(session, early)
    assert [effect.code for effect in effects if isinstance(effect, Closed)] == ["protocol_violation"]
    assert not [effect for effect in effects if isinstance(effect, (Integrate, Acknowledge, CaughtUp))]


def test_pages_may_go_on_as_they_are_answered() -> None:
    session = dialer(ScriptedOutbox())
    say(session, welcome())
    for page in range(1, 3 * limits.PAGES_IN_FLIGHT_MAX):
        record = f"customers/{page}"
        sent, _ = say(session, Changes(page, page, (ChangesEntry(record, page, VECTOR),)))
        assert [want.page for want in sent] == [page]
        if page >= limits.PAGES_IN_FLIGHT_MAX:
            answered = page - limits.PAGES_IN_FLIGHT_MAX + 1
            entry = UpdatesEntry(f"customers/{answered}", b"diff", VECTOR)
            say(session, Updates(answered, answered, answered, True, (entry,)))
    assert not session.closed
