"""Comparing inside a session: who says what when, what is asked for, and what waits."""

from collections.abc import Iterator, Sequence

import pytest

from crdt_sync import limits
from crdt_sync.protocol.acceptor import Acceptor
from crdt_sync.protocol.dialer import Dialer
from crdt_sync.protocol.effects import Compare, Effect, Integrate, Owe
from crdt_sync.protocol.messages import (
    MODE_RECONCILE,
    PAGE_COMPARED,
    Bye,
    Changes,
    Message,
    Push,
    Ranges,
    Updates,
    UpdatesEntry,
    Want,
    WantEntry,
)
from crdt_sync.protocol.reconcile import Index
from crdt_sync.protocol.states import State
from tests.protocol.scripted import ScriptedLog, ScriptedOutbox, Side, acceptor, dialer, drain, hello, say, welcome

A, B, C, D = "customers/a", "customers/b", "customers/c", "customers/d"
SAME, OURS, THEIRS = b"same" * 4, b"ours" * 4, b"them" * 4
VECTOR = b"\x01\x01\x01"
MANY = {f"customers/{number:05}": THEIRS for number in range(10_000)}
MORE = {f"customers/{number:05}": OURS for number in range(40_000)}  # their digests do not fit one message

# What differs is such that the partner's last ranges show nothing more that would have to be asked for.
HERE_NOT = ["customers/00027", "customers/00284"]
THERE_NOT = ["customers/00374", "customers/00424", "customers/00429", "customers/00513"]
OTHERWISE = ["customers/00178", "customers/00393", "customers/00553"]


def comparing(held: dict[str, bytes], theirs: dict[str, bytes]) -> tuple[Dialer, Side, list[Message]]:
    """A dialer that has told its first ranges, its partner, and what that says next."""
    source = ScriptedOutbox(held)
    session = dialer(source)
    _, effects = say(session, welcome(MODE_RECONCILE))
    assert Compare() in effects
    session.compare(source.view(), 0)
    (first,), _ = drain(session)
    partner = Side(theirs, initiator=False)
    return session, partner, list(partner.answer(first))


def compared_with(held: dict[str, bytes], log: ScriptedLog | None = None) -> Acceptor:
    """An acceptor whose partner is to be compared with; it has pinned its view."""
    session = acceptor(log or ScriptedLog([(record, b"u") for record in sorted(held)]))
    _, effects = say(session, hello(count=1))
    assert Compare() in effects
    session.compare(Index(sorted(held.items())).pin(), 0)
    return session


def of_kind(said: Sequence[Message | Effect], kind: type) -> list:
    return [each for each in said if isinstance(each, kind)]


# --- the dialing end -----------------------------------------------------------------------------------------


def test_what_differs_is_wanted_by_our_state_vectors_and_what_the_partner_lacks_is_owed() -> None:
    session, partner, turn = comparing({A: SAME, B: OURS, C: OURS}, {A: SAME, B: THEIRS, D: THEIRS})
    sent, effects = say(session, *turn)
    assert effects == [Owe((C,))]
    assert [type(message) for message in sent] == [Ranges, Want], "the wants follow what tells the partner of them"
    assert sent[1] == Want(PAGE_COMPARED, (WantEntry(B, b"\x01\x02\x02"), WantEntry(D, b"\x00")))
    assert partner.answer(sent[0]) == []
    assert partner.run.done
    assert session.state is State.CATCHING_UP
    _, effects = say(session, Updates(PAGE_COMPARED, None, 9, True, (UpdatesEntry(B, b"u", VECTOR),)))
    assert effects == [Integrate(1, (UpdatesEntry(B, b"u", VECTOR),), None, 9, owe=True, unserved=(D,))]


def test_nothing_differs_costs_one_round_trip_and_little() -> None:
    session, partner, turn = comparing(MANY, MANY)
    (answer,) = turn
    assert len(answer.shape + answer.names + answer.hashes) < 10
    assert say(session, answer) == ([], [])
    assert partner.run.done
    assert session.state is State.CATCHING_UP


def test_the_partners_ranges_wait_until_all_that_was_found_is_asked_for() -> None:
    session, partner, turn = comparing({A: OURS}, MANY)
    most = limits.PAGES_IN_FLIGHT_MAX * limits.PAGE_RECORDS_MAX
    wanted: set[str] = set()
    open_wants: list[Want] = []
    frames: list[Message] = list(turn)
    while frames or open_wants:
        if frames:
            sent, _ = say(session, frames.pop(0))
        else:
            want = open_wants.pop(0)
            sent, _ = say(session, Updates(PAGE_COMPARED, None, 9, True, ()))
            wanted |= {entry.record for entry in want.entries}
        open_wants += of_kind(sent, Want)
        assert sum(len(want.entries) for want in open_wants) <= most
        for ranges in of_kind(sent, Ranges):
            assert not frames
            frames += partner.answer(ranges)
    assert wanted == set(MANY)
    assert session.state is State.CATCHING_UP


def test_nothing_is_pushed_before_what_differs_is_on_disk() -> None:
    session, _, turn = comparing({A: OURS, B: OURS}, {A: THEIRS})
    session._source.edit(A)  # type: ignore[attr-defined]
    sent, _ = say(session, *turn)
    assert of_kind(sent, Push) == []
    session.owed(0)
    sent, effects = say(session, Updates(PAGE_COMPARED, None, 9, True, (UpdatesEntry(A, b"theirs", VECTOR),)))
    assert sent == []
    (integrate,) = effects
    session.integrated(integrate.number, [], 0)
    sent, _ = say(session)
    assert [entry.record for push in of_kind(sent, Push) for entry in push.entries] == [A]


def test_while_the_outbox_is_slow_the_partners_ranges_wait() -> None:
    session, partner, turn = comparing(MORE, {})
    sent, effects = say(session, *turn)
    assert of_kind(effects, Owe)
    (ranges,) = of_kind(sent, Ranges)
    turn = list(partner.answer(ranges))
    assert turn, "not all fits one message"
    assert say(session, *turn) == ([], [])
    session.owed(0)
    sent, effects = drain(session)
    assert of_kind(sent, Ranges)
    assert of_kind(effects, Owe)


@pytest.mark.parametrize("answered", [True, False])
def test_the_partners_last_ranges_are_taken_at_once_as_it_goes_on_behind_them(answered: bool) -> None:
    """Its feed comes as soon as all that differs was asked for, however slow our outbox is."""
    both = {f"customers/{number:05}": SAME for number in range(600)}
    held = {record: OURS if record in OTHERWISE else SAME for record in both if record not in HERE_NOT}
    theirs = {record: SAME for record in both if record not in THERE_NOT}
    session, partner, turn = comparing(held, theirs)
    frames: list[Message] = list(turn)
    wants: list[Want] = []
    while frames:
        sent, effects = say(session, frames.pop(0))
        wants += of_kind(sent, Want)
        for _ in of_kind(effects, Owe) if answered else ():
            session.owed(0)
        for ranges in of_kind(sent, Ranges):
            frames += partner.answer(ranges)
    assert partner.run.done
    assert session.state is State.CATCHING_UP
    sent, effects = say(session, Changes(2, 9, ()))
    wants += of_kind(sent, Want)
    assert effects == [Integrate(1, (), 9, 9, owe=False)]
    session.notify([THERE_NOT[0]])
    for _ in wants:
        _, effects = say(session, Updates(PAGE_COMPARED, None, 9, True, ()))
        for integrate in of_kind(effects, Integrate):
            session.integrated(integrate.number, [], 0)
        for _ in of_kind(effects, Owe):
            session.owed(0)
    assert session.wants_room is answered, "nothing is pushed before the outbox is on disk"


def test_what_the_partner_passes_over_is_owed_to_it_whole() -> None:
    """It cannot read them, and does not say what it holds of them. What we lack ourselves is owed to nobody."""
    session, partner, turn = comparing({A: OURS, B: OURS}, {A: THEIRS, B: THEIRS, C: THEIRS})
    frames: list[Message] = list(turn)
    wants: list[Want] = []
    while frames:
        sent, _ = say(session, frames.pop(0))
        wants += of_kind(sent, Want)
        for ranges in of_kind(sent, Ranges):
            frames += partner.answer(ranges)
    assert [sorted(entry.record for entry in want.entries) for want in wants] == [[A, B, C]]
    half = UpdatesEntry(A, b"update", b"\x00")
    _, effects = say(session, Updates(PAGE_COMPARED, None, 9, False, (half,)))
    assert of_kind(effects, Owe) == []
    _, effects = say(session, Updates(PAGE_COMPARED, None, 9, True, ()))
    assert of_kind(effects, Owe) == [Owe((B,))]


def hostile_frames() -> Iterator[tuple[str, list[Message]]]:
    """What ends the session of a dialer that has told its first ranges over one record."""
    (answer,) = Side({A: OURS}, initiator=False).answer(Side({A: OURS}, initiator=True).start())
    yield "columns that mean nothing", [Ranges(1, b"\x09", b"", b"")]
    yield "a turn behind the end", [answer, answer]
    yield "an answer to nothing", [Updates(PAGE_COMPARED, None, 9, True, ())]
    yield "the feed before the end", [Changes(2, 0, ())]


@pytest.mark.parametrize("frames", [pytest.param(frames, id=why) for why, frames in hostile_frames()])
def test_a_partner_out_of_turn_ends_the_session(frames) -> None:
    session, _, _ = comparing({A: OURS}, {A: OURS})
    sent, _ = say(session, *frames)
    assert [message.code for message in of_kind(sent, Bye)] == ["protocol_violation"]


def test_ranges_before_ours_and_an_answer_with_a_cursor_end_the_session() -> None:
    session = dialer(ScriptedOutbox({A: OURS}))
    say(session, welcome(MODE_RECONCILE), Ranges(1, b"", b"", b""))
    assert session.closed
    session, _, turn = comparing({A: OURS}, {A: THEIRS})
    say(session, *turn, Updates(PAGE_COMPARED, 7, 9, True, ()))
    assert session.closed


def test_two_turns_at_once_end_the_session_while_the_first_waits() -> None:
    session, partner, turn = comparing(MORE, {})
    sent, _ = say(session, *turn)
    (ranges,) = of_kind(sent, Ranges)
    (answer,) = partner.answer(ranges)
    say(session, answer)
    assert not session.closed
    say(session, answer)
    assert session.closed


def test_ranges_that_break_the_run_end_the_session_also_when_they_had_to_wait() -> None:
    session, _, turn = comparing(MORE, {})
    say(session, *turn)
    say(session, Ranges(5, b"\x00\x09", b"", b""))
    assert not session.closed
    session.owed(0)
    assert session.closed


# --- the accepting end ---------------------------------------------------------------------------------------


def test_where_nothing_differs_the_feed_follows_at_once_from_the_head_at_the_hello() -> None:
    log = ScriptedLog([(A, b"1")])
    session = acceptor(log)
    say(session, hello(count=1))
    log.commit(B, b"2")
    session.compare(Index([(A, SAME)]).pin(), 0)
    sent, _ = say(session, Side({A: SAME}, initiator=True).start())
    assert [type(message) for message in sent] == [Ranges, Changes]
    assert [entry.record for entry in sent[1].entries] == [B]
    assert sent[1].page > PAGE_COMPARED


def test_no_feed_and_no_cursor_before_all_that_differs_was_asked_for_and_sent() -> None:
    session = compared_with({A: SAME, B: THEIRS, C: THEIRS})
    partner = Side({A: SAME, B: OURS}, initiator=True)
    sent, _ = say(session, partner.start())
    (reply,) = partner.answer(sent[0])
    assert say(session, reply) == ([], [])
    sent, _ = say(session, Want(PAGE_COMPARED, (WantEntry(B, VECTOR),)))
    assert [(message.page, message.cursor, message.last) for message in sent] == [(PAGE_COMPARED, None, True)]
    assert session.state is State.COMPARING
    sent, _ = say(session, Want(PAGE_COMPARED, (WantEntry(C, b"\0"),)))
    assert [type(message) for message in sent] == [Updates, Changes]
    assert [entry.record for entry in sent[0].entries] == [C]
    assert sent[1].entries == ()


def test_ranges_that_come_before_the_view_wait_for_it() -> None:
    session = acceptor(ScriptedLog([(A, b"u")]))
    sent, _ = say(session, hello(count=1), Side({A: SAME}, initiator=True).start())
    assert of_kind(sent, Ranges) == []
    session.compare(Index([(A, SAME)]).pin(), 0)
    assert [type(message) for message in say(session)[0]] == [Ranges, Changes]


def test_a_second_turn_before_the_view_and_a_broken_first_one_end_the_session() -> None:
    first = Side({A: SAME}, initiator=True).start()
    session = acceptor(ScriptedLog([(A, b"u")]))
    say(session, hello(count=1), first, first)
    assert session.closed
    session = acceptor(ScriptedLog([(A, b"u")]))
    say(session, hello(count=1), Ranges(9, b"", b"", b""))
    session.compare(Index([(A, SAME)]).pin(), 0)
    assert session.closed
    session.compare(Index([(A, SAME)]).pin(), 0)


@pytest.mark.parametrize(
    "wants",
    [
        [Want(PAGE_COMPARED, (WantEntry(A, b"\0"), WantEntry(B, b"\0")))],  # more than differs
        [Want(2, ())],
        [Want(PAGE_COMPARED, ())] * (limits.PAGES_IN_FLIGHT_MAX + 1),  # without waiting
    ],
)
def test_wants_that_the_comparison_does_not_explain_end_the_session(wants) -> None:
    session = compared_with({A: THEIRS})
    partner = Side({A: OURS, B: OURS}, initiator=True)
    sent, _ = say(session, partner.start())
    say(session, *partner.answer(sent[0]))
    assert not session.closed
    say(session, *wants)
    assert session.closed
