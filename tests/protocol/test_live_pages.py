"""Sessions at the same place of the log are sent the same frame; everybody gets what it lacks and no more."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdt_sync import limits
from crdt_sync.errors import StoreFailed
from crdt_sync.protocol import codec
from crdt_sync.protocol.acceptor import Acceptor
from crdt_sync.protocol.effects import Send
from crdt_sync.protocol.entries import CheckedEntry, Standing
from crdt_sync.protocol.live_pages import LivePages
from crdt_sync.protocol.messages import Check, Checked, Have, Push, PushEntry, Terms, Updates, Want, WantEntry
from crdt_sync.protocol.principal import everybody
from crdt_sync.protocol.versions import FEATURES
from crdt_sync.verdicts import Verdict, VerdictCode
from tests.protocol.scripted import DEVICE, RELAY, US, ScriptedLog, hello

ROOM = 1 << 20


def followers(count, source, features=tuple(FEATURES)):
    """That many sessions which have all that is in the log."""
    pages, sessions = LivePages(source), []
    for _ in range(count):
        session = Acceptor(source, everybody, lambda: 5_000_000, now=0, live=pages)
        session.receive(codec.encode(hello(versions=(2,))), 0)
        session.receive(codec.encode(Terms(RELAY, True, DEVICE, features), 2), 0)
        session.fill(ROOM, 0)
        session.drain()
        sessions.append(session)
    return sessions


def filled(session):
    """The frames that the session sends now."""
    session.fill(ROOM, 0)
    return [effect.frame for effect in session.drain() if isinstance(effect, Send)]


def told(frames):
    """Updates, and the last cursor."""
    messages = [codec.decode(frame, version=2) for frame in frames]
    assert all(isinstance(message, Updates) for message in messages)
    return [entry.update for message in messages for entry in message.entries], messages[-1].cursor


def test_a_commit_is_encoded_once_for_all_who_follow():
    source = ScriptedLog()
    one, other = followers(2, source)
    source.commit(US, b"a")
    (frame,), (again,) = filled(one), filled(other)
    assert frame is again
    assert told([frame]) == ([b"a"], 1)


def test_what_is_committed_meanwhile_is_told_to_all():
    source = ScriptedLog()
    one, other = followers(2, source)
    source.commit(US, b"a")
    first = filled(one)
    source.commit(US, b"b")
    assert told(first + filled(one)) == told(filled(other)) == ([b"a", b"b"], 2)


def test_who_pushed_a_part_is_sent_the_rest():
    source = ScriptedLog()
    pushing, other = followers(2, source)
    source.commit(US, b"before")
    pushing.receive(codec.encode(Push(1, (PushEntry(US, b"own"),))), 0)
    pushing.accepted(1, [Verdict(VerdictCode.ACCEPTED, source.commit(US, b"own"))], [2], 0)
    source.commit(US, b"after")
    assert told(filled(other)) == ([b"before", b"own", b"after"], 3)
    assert told(filled(pushing)) == ([b"before", b"after"], 3)


def test_who_does_not_know_lineages_is_sent_no_renewed_record():
    source = ScriptedLog()
    (modern,), (old,) = followers(1, source), followers(1, source, features=())
    source.renewed.add(US)
    source.commit(US, b"renewed")
    source.commit("customers/them", b"plain")
    assert told(filled(modern)) == ([b"renewed", b"plain"], 2)
    assert told(filled(old)) == ([b"plain"], 0)  # the cursor stays, as what is there was not told


@pytest.mark.parametrize("asked", [(1_000, 10), (10, 1_000)])
def test_a_slow_link_makes_no_page_small_for_the_others(asked):
    source = ScriptedLog([(US, b"12345")] * 100)
    pages = LivePages(source)
    for bytes_max in asked:
        assert pages.after(0, bytes_max).update_bytes == min(bytes_max, 500)
    assert pages.after(0, 1_000) is pages.after(0, 2_000)
    assert pages.after(0, 1_000).update_bytes == 500


def test_what_is_kept_is_bounded_in_bytes():
    source = ScriptedLog([(US, bytes(1 << 20))] * 20)
    pages = LivePages(source)
    read = [pages.after(cursor, 1) for cursor in range(20)]
    again = [cursor for cursor in reversed(range(20)) if pages.after(cursor, 1) is read[cursor]]
    assert again == [19, 18, 17, 16]


@given(
    sizes=st.lists(st.integers(1, 40_000), min_size=1, max_size=12),
    turns=st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=20),
)
def test_everybody_gets_everything_in_order_whatever_was_read_for_others(sizes, turns):
    source = ScriptedLog()
    sessions = followers(4, source)
    sizes_left, got = list(sizes), [[] for _ in sessions]
    for number, commits in turns:
        if commits and sizes_left:
            source.commit(US, bytes(sizes_left.pop()))
        got[number] += filled(sessions[number])
    for size in sizes_left or [1]:
        source.commit(US, bytes(size))
    everything = [update for _, update in source.updates]
    for session, frames in zip(sessions, got, strict=True):
        assert told(frames + filled(session)) == (everything, len(everything))


def test_a_larger_page_in_the_place_of_a_smaller_one_counts_once():
    source = ScriptedLog()
    for _ in range(3):
        source.commit(US, bytes(ROOM))
    pages = LivePages(source)
    for count in (1, 2, 3):
        page = pages.after(0, count * ROOM)
        assert len(page.updates) == count
    assert pages.after(0, 3 * ROOM) is page


def test_a_page_is_told_as_fill_would_have_told_it():
    source = ScriptedLog()
    one, other = followers(2, source)
    source.commit(US, b"a")
    source.commit(US, b"bc")
    page = one._live.newest(0)
    assert one.serving.tell(page, 0)
    (frame,) = filled(other)
    assert page.frame is frame
    for session in (one, other):
        session.receive(codec.encode(Have(2, 3)), 0)
        assert not session.closed
        assert not session.wants_room
        assert session.serving.cursor == 2


def test_who_was_left_out_a_record_is_told_no_later_cursor_be_it_alone_or_with_others():
    source = ScriptedLog()
    (one,) = followers(1, source)
    source.commit(US, b"damaged")
    source.unreadable.add(US)
    one.receive(codec.encode(Want(0, (WantEntry(US, b"\x00"),)), 2), 0)
    source.commit("customers/them", b"plain")
    assert told(filled(one)[1:]) == ([b"damaged", b"plain"], 0)
    source.commit("customers/them", b"more")
    page = one._live.newest(2)
    assert page.cursor == 3
    assert not one.serving.tell(page, 0)
    assert told(filled(one)) == ([b"more"], 0)


def test_the_answer_to_a_check_comes_right_behind_the_updates_that_it_waits_for():
    source = ScriptedLog()
    (one,) = followers(1, source)
    source.commit(US, b"a")
    one.receive(codec.encode(Check(7, False, (US,)), 2), 0)
    entry = CheckedEntry(US, b"", b"", Standing.ABSENT)
    one.checked(7, 1, (entry,), 0)
    page = one._live.newest(0)
    assert not one.serving.tell(page, 0)
    updates, answer = (codec.decode(frame, version=2) for frame in filled(one))
    assert isinstance(updates, Updates)
    assert answer == Checked(7, (entry,))


def test_who_catches_up_is_told_nothing_together_with_others_before_all_of_its_pages_were_answered():
    source = ScriptedLog([(US, b"a")])
    session = Acceptor(source, everybody, lambda: 5_000_000, now=0, live=LivePages(source))
    session.receive(codec.encode(hello(versions=(2,))), 0)
    session.receive(codec.encode(Terms(RELAY, True, DEVICE, tuple(FEATURES)), 2), 0)
    source.commit(US, b"b")
    page = session._live.newest(1)
    assert page is not None
    assert session.serving.cursor == 1
    assert not session.serving.tell(page, 0)
    for number in (1, 2):
        session.receive(codec.encode(Want(number, ()), 2), 0)
        assert not session.serving.tell(page, 0)
        session.fill(ROOM, 0)
    assert session.serving.cursor == session.serving._told == 2
    source.commit(US, b"c")
    page = session._live.newest(2)
    assert page is not None
    assert session.serving.tell(page, 0)


def test_bytes_that_were_told_and_not_confirmed_are_bounded(monkeypatch):
    monkeypatch.setattr(limits, "UNCONFIRMED_BYTES_MAX", 2)
    source = ScriptedLog()
    (one,) = followers(1, source)
    for cursor, told_ in ((0, True), (1, True), (2, False)):
        source.commit(US, b"a")
        page = one._live.newest(cursor)
        assert one.serving.tell(page, 0) is told_
    one.receive(codec.encode(Have(1, 1)), 0)
    assert one.serving.tell(page, 0)


@pytest.mark.parametrize("size", [limits.WINDOW_BYTES_FIRST // 4, limits.WINDOW_BYTES_FIRST // 4 + 1])
def test_a_page_is_no_larger_than_a_frame_of_the_session_may_be(size):
    source = ScriptedLog()
    (one,) = followers(1, source)
    source.commit(US, bytes(size))
    assert one.serving.tell(one._live.newest(0), 0) is (size <= one.serving._pace.frame)


def test_what_is_large_or_cannot_be_read_is_no_page_for_many(monkeypatch):
    source = ScriptedLog()
    pages = LivePages(source)
    assert pages.newest(0) is None
    for size in (limits.SHARED_BYTES_MAX // 2, limits.SHARED_BYTES_MAX // 2):
        source.commit(US, bytes(size))
    assert pages.newest(0).cursor == 2
    source.commit(US, b"a")
    assert pages.newest(0) is None
    assert pages.newest(1).cursor == 3

    def unreadable(*_):
        raise StoreFailed("no", "no")

    source.commit(US, b"a")
    monkeypatch.setattr(source, "log", unreadable)
    assert pages.newest(3) is None
    monkeypatch.undo()
    assert pages.newest(3).cursor == 4
    monkeypatch.setattr(source, "followed", unreadable)
    assert pages.newest(3) is None


@given(
    st.lists(st.sampled_from(["commit", "own", "together", "fill", "confirm"]), max_size=30),
    st.booleans(),
)
def test_whoever_is_told_together_or_alone_hears_each_update_once_and_its_own_never(steps, plain):
    source = ScriptedLog()
    (one,) = followers(1, source, tuple(FEATURES) if plain else ())
    came, frames, own, pushes = [], [], set(), 0
    for step in [*steps, "fill"]:
        if step in {"commit", "own"}:
            seq = source.head() + 1
            source.commit(US, b"%d" % seq)
            if step == "own":
                pushes += 1
                one.receive(codec.encode(Push(pushes, (PushEntry(US, b"x"),))), 0)
                one.accepted(pushes, (Verdict(VerdictCode.ACCEPTED, seq),), (seq,), 0)
                one.acknowledge(0)
                own.add(seq)
        elif step == "together":
            page = one._live.newest(one.serving.cursor)
            if page is not None and one.serving.tell(page, 0):
                frames.append(page.frame)
        elif step == "fill":
            frames += filled(one)
        else:
            one.receive(codec.encode(Have(0, one.serving._sent)), 0)
        frames += [effect.frame for effect in one.drain() if isinstance(effect, Send)]
        assert not one.closed
    for frame in frames:
        message = codec.decode(frame, version=2)
        if isinstance(message, Updates):
            came += [int(entry.update) for entry in message.entries]
    assert came == [seq for seq in range(1, source.head() + 1) if seq not in own]
