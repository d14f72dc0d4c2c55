"""Whatever a partner sends, a run ends: with the truth about this side, or with `ProtocolViolation`."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crdt_sync import limits
from crdt_sync.errors import ProtocolViolation
from crdt_sync.protocol.reconcile import Ranges, Reconciler, decode, encode, reading
from crdt_sync.protocol.reconcile.messages import Equal, Item, Listing, Print, Reply, Split
from crdt_sync.protocol.reconcile.run import AskedKind
from tests.protocol.reconcile.runs import assert_learnt, reconcile, records, view

ALL = records(2000)
FEW = ALL[:20]
PRINT = Print(7, b"f" * 16)
NOTHING = Print(0, b"")
DIGEST = b"d" * 16
PARTS_MAX = limits.RECONCILE_PARTS_MAX
FREE = limits.RECONCILE_MESSAGES_FREE
OPEN_MAX = limits.RECONCILE_OPEN_RANGES_MAX
LISTED_MAX = limits.RECONCILE_LISTED_RECORDS_MAX


def say(reconciler, answers, open_ranges):
    reply = reconciler.receive(Ranges(tuple(answers), open_ranges))
    reconciler.take()
    return reply


def started(entries=ALL):
    """An initiator that has sent its first message; with many records, sixteen prints."""
    reconciler = Reconciler(view(entries), True)
    return reconciler, reconciler.start().answers[0]


def listing_out():
    """A responder that has listed its few records, because the partner's print differed."""
    reconciler = Reconciler(view(FEW), False)
    reply = say(reconciler, [Split((), (PRINT,))], 1)
    assert reply.answers == (Listing(None, tuple(Item(*entry) for entry in FEW)),)
    return reconciler


def refused(reconciler, answers, open_ranges, problem):
    with pytest.raises(ProtocolViolation, match=problem):
        say(reconciler, answers, open_ranges)


# --- answers that do not fit ------------------------------------------------------------------------------------


def test_as_many_answers_as_there_are_ranges_and_no_more():
    assert say(started()[0], [Equal(16)], 0) is None
    refused(started()[0], [Equal(17)], 0, "no range")
    refused(started()[0], [Equal(16), Listing(None, ())], 0, "no range")


def test_the_count_of_open_ranges_must_be_right():
    assert say(started()[0], [Equal(15)], 1) is not None
    refused(started()[0], [Equal(15)], 0, "open there")
    refused(started()[0], [Equal(15)], 2, "open there")


def test_the_first_message_is_a_split():
    responder = Reconciler(view(ALL), False)
    assert say(responder, [Split((), (PRINT,))], 1) is not None
    for answer in (Equal(1), Listing(None, ()), Reply(None, (), ())):
        refused(Reconciler(view(ALL), False), [answer], 1, "not an answer to opening")


def test_a_print_is_not_replied_to_and_a_listing_is_not_split():
    refused(started()[0], [Reply(None, (), ())], 15, "not an answer to print")
    refused(listing_out(), [Split(("d",), (PRINT, PRINT))], 2, "not an answer to listing")
    refused(listing_out(), [Listing(None, ())], 1, "not an answer to listing")


def test_a_split_has_two_parts_at_least():
    first = started()[1].bounds[0]
    assert say(started()[0], [Split((first[:-1],), (PRINT, PRINT))], 17) is not None
    refused(started()[0], [Split((), (PRINT,))], 16, "one part")


def test_a_split_stays_inside_its_range():
    split = started()[1]
    inside, end = split.bounds[0][:-1], split.bounds[0]
    assert say(started()[0], [Equal(15), Split((split.bounds[14] + "!",), (PRINT, PRINT))], 2) is not None
    refused(started()[0], [Split((end,), (PRINT, PRINT))], 17, "hold nothing")
    refused(started()[0], [Split((end + "x",), (PRINT, PRINT))], 17, "outside")
    refused(started()[0], [Equal(1), Split((inside,), (PRINT, PRINT))], 16, "outside")
    refused(started()[0], [Equal(1), Split((end,), (PRINT, PRINT))], 16, "outside")


def test_a_listing_stays_inside_its_range():
    bound = started()[1].bounds[0]
    record = f"{bound}/a" if "/" not in bound else f"{bound}0"  # just behind the bound
    refused(started()[0], [Listing(None, (Item(record, DIGEST),))], 16, "outside")
    assert say(started()[0], [Equal(1), Listing(None, (Item(record, DIGEST),))], 15) is not None
    refused(started()[0], [Listing(record, (Item(ALL[0][0], DIGEST),))], 17, "outside")
    refused(started()[0], [Listing(bound, (Item(ALL[0][0], DIGEST),))], 17, "outside")
    assert say(started()[0], [Listing(ALL[1][0], (Item(ALL[0][0], DIGEST),))], 17) is not None


def test_a_listing_that_goes_on_is_gone_on_with():
    reconciler, _ = started()
    say(reconciler, [Listing(ALL[1][0], (Item(*ALL[0]),))], 17)
    refused(reconciler, [Equal(1)], 15, "not an answer to rest")


def test_a_reply_tells_true_differences_only():
    held, lacking = Item(FEW[3][0], DIGEST), FEW[4][0]
    reconciler = listing_out()
    assert reconciler.receive(Ranges((Reply(None, (held,), (lacking,)),), 0)) is None
    assert reconciler.want == [(FEW[3][0], DIGEST)]
    assert reconciler.owe == [(FEW[3][0], DIGEST), (FEW[4][0], None)]
    refused(listing_out(), [Reply(None, (Item(*FEW[3]),), ())], 0, "does not")
    refused(listing_out(), [Reply(None, (), (ALL[30][0],))], 0, "not listed")
    refused(listing_out(), [Reply(ALL[3][0], (), (ALL[2][0],)), Reply(None, (), (ALL[3][0],))], 0, "not listed")


def test_no_more_records_are_held_than_the_print_counted():
    held = [Item(f"a/{number}", DIGEST) for number in range(8)]
    assert say(listing_out(), [Reply(None, tuple(held[:7]), ())], 0) is None
    refused(listing_out(), [Reply(None, tuple(held), ())], 0, "than its print counted")
    parts = [Reply(held[4].record, tuple(held[:5]), ()), Reply(None, tuple(held[5:]), ())]
    refused(listing_out(), parts, 0, "than its print counted")


def test_the_order_of_the_turns():
    reconciler = Reconciler(view(ALL), True)
    refused(reconciler, [Equal(1)], 0, "before the first")
    reconciler.start()
    say(reconciler, [Equal(16)], 0)
    refused(reconciler, [Equal(1)], 0, "after the end")


# --- partners that never end, or make work ----------------------------------------------------------------------


def test_two_sides_that_pass_are_at_an_impasse():
    reconciler, _ = started()
    passed = say(reconciler, [], 16)
    assert passed.answers == ()
    refused(reconciler, [], 16, "both sides pass")


def test_a_partner_that_only_passes_is_stopped():
    responder = listing_out()
    assert say(responder, [], 1).answers == ()
    refused(responder, [], 1, "both sides pass")


def slivers(asked, parts):
    """A split that cuts next to nothing off the left of a range, many times."""
    bounds = tuple(f"{asked.after}!{number:02}" for number in range(parts - 1))
    return Split(bounds, (PRINT,) * parts)


def stalling(victim):
    """What takes longest: a partner that splits when it can, and else answers one range in each message."""
    asked, open_ranges = victim._run.asked[0], victim._run.open
    if asked.kind is AskedKind.PRINT:
        return [slivers(asked, PARTS_MAX)], open_ranges + PARTS_MAX - 1
    return [Equal(1)], open_ranges - 1


def test_too_many_messages_are_refused_and_not_one_less():
    reconciler, _ = started()
    say(reconciler, [Equal(15)], 1)
    for _ in range(FREE + len(ALL) // limits.RECONCILE_RECORDS_PER_MESSAGE_MIN - 1):
        say(reconciler, *stalling(reconciler))
    answers, open_ranges = stalling(reconciler)
    refused(reconciler, answers, open_ranges, "too many messages")


class Splitter:
    """Splits every print as finely as it may, with lying prints, and replies to listings with nothing."""

    def __init__(self, parts, rng):
        self._parts, self._rng = parts, rng

    def answer(self, victim):
        asked, todo = victim._run.asked, victim._run.todo
        answers: list[Equal | Split] = []
        open_ranges = len(todo) + len(asked)
        for entry in asked:
            if entry.kind is not AskedKind.PRINT:
                answers.append(Equal(1))
                open_ranges -= 1
                continue
            bounds = tuple(f"{entry.after}!{number:02}" for number in range(self._parts - 1))
            if bounds and entry.through is not None and bounds[-1] >= entry.through:
                answers.append(Equal(1))
                open_ranges -= 1
                continue
            if open_ranges + self._parts > OPEN_MAX - limits.RECONCILE_FAN_OUT:
                break
            prints = tuple(Print(self._rng.randint(1, 1 << 24), self._rng.randbytes(16)) for _ in range(self._parts))
            answers.append(Split(bounds, prints))
            open_ranges += self._parts - 1
        return Ranges(tuple(answers), open_ranges)


@pytest.mark.parametrize("parts", [2, 16, PARTS_MAX])
def test_splits_without_end_come_to_an_end_because_this_side_splits_its_own_records(parts):
    victim, partner = started()[0], Splitter(parts, random.Random(parts))
    messages = sent = 0
    message = True
    while message is not None and not victim.done:
        message = victim.receive(partner.answer(victim))
        victim.take()
        messages += 1
        sent += len(b"".join(encode(message)[1:])) if message else 0
        assert victim._run.open <= OPEN_MAX
    assert messages <= 20
    assert sent < 2 * limits.FRAME_BYTES_TARGET


@pytest.mark.parametrize(("excess", "stopped"), [(0, False), (1, True)])
def test_open_ranges_have_both_sides_of_their_limit(excess, stopped):
    most = OPEN_MAX - limits.RECONCILE_FAN_OUT + excess
    entries = records(3000)
    reconciler, _ = started(entries)
    halves = [view(entries).split(asked.after, asked.through, 2) for asked in reconciler._run.asked]
    say(reconciler, [Split(tuple(half), (PRINT, PRINT)) for half in halves], 32)
    answers, open_ranges = [], reconciler._run.open
    for asked in reconciler._run.asked:
        if open_ranges < most:
            parts = min(PARTS_MAX, most - open_ranges + 1)
            answers.append(slivers(asked, parts))
            open_ranges += parts - 1
    assert open_ranges == most
    if stopped:
        refused(reconciler, answers, open_ranges, "more than")
    else:
        assert say(reconciler, answers, open_ranges).open <= OPEN_MAX


@pytest.mark.parametrize(("excess", "stopped"), [(0, False), (1, True)])
def test_listed_records_have_both_sides_of_their_limit(excess, stopped):
    split = started()[1]
    one = tuple(Item(f"a/{number:06}", DIGEST) for number in range(LISTED_MAX))
    other = tuple(Item(f"{split.bounds[0]}{number}", DIGEST) for number in range(excess))
    answers = [Listing(None, one), Listing(None, other)]
    if stopped:
        refused(started()[0], answers, 16, "listed ahead")
    else:
        assert say(started()[0], answers, 16) is not None


@pytest.mark.parametrize(("permitted", "stopped"), [(20, False), (19, True)])
def test_the_records_of_a_partner_have_both_sides_of_their_limit(permitted, stopped, monkeypatch):
    monkeypatch.setattr(reading, "RECONCILE_RECORDS_MAX", permitted)
    answers = [Listing(None, tuple(Item(*entry) for entry in FEW))]
    reconciler = Reconciler(view([*ALL[40:60]]), True)
    reconciler.start()
    if stopped:
        refused(reconciler, answers, 1, "more than 19 records")
    else:
        assert say(reconciler, answers, 1) is not None


def test_a_listing_without_end_is_stopped():
    reconciler = Reconciler(view(FEW), True)
    reconciler.start()

    def go_on(number):
        record = f"a/{number:06}"
        say(reconciler, [Listing(record, (Item(record, DIGEST),))], 2 + len(reconciler._run.todo))

    number = 0  # of messages, and of records received
    while number < FREE + (len(FEW) + number) // limits.RECONCILE_RECORDS_PER_MESSAGE_MIN:
        go_on(number)
        number += 1
    with pytest.raises(ProtocolViolation, match="too many messages"):
        go_on(number)


# --- lies that cannot be seen, and only cost --------------------------------------------------------------------


class Liar:
    """A view whose aggregates are made up."""

    def __init__(self, entries, lie):
        self._inner, self._lie = view(entries), lie

    def aggregate(self, after, through):
        return self._lie(*self._inner.aggregate(after, through))

    def split(self, after, through, parts):
        return self._inner.split(after, through, parts)

    def items(self, after, through, limit):
        return self._inner.items(after, through, limit)


def test_lying_sums_cost_one_exchange_of_lists_and_mislead_nobody():
    rng = random.Random(2)
    theirs = ALL[:1500]
    outcome = reconcile(view(ALL), Liar(theirs, lambda count, _: (count, rng.getrandbits(256))))
    assert_learnt(outcome.initiator, ALL, theirs)
    assert sum(outcome.sizes) < 3 * len(ALL) * 60


@pytest.mark.parametrize("count", [2 * len(ALL), limits.RECONCILE_RECORDS_MAX])
def test_huge_counts_cost_one_list(count):
    reconciler = Reconciler(view(ALL), False)
    reply = say(reconciler, [Split((), (Print(count, DIGEST),))], 1)
    assert sum(len(answer.items) for answer in reply.answers if isinstance(answer, Listing)) == len(ALL)


# --- anything at all --------------------------------------------------------------------------------------------


@given(st.integers(0, 2**32), st.integers(0, 40), st.data())
@settings(max_examples=150)
def test_damaged_messages_are_refused_or_taken_and_nothing_else(seed, differences, data):
    rng = random.Random(seed)
    theirs = dict(ALL[:700]) | {ALL[rng.randrange(900)][0]: rng.randbytes(16) for _ in range(differences)}
    sides = Reconciler(view(ALL[:700]), True), Reconciler(view(theirs.items()), False)
    message, turn = sides[0].start(), 1
    damaged = data.draw(st.integers(0, 4))
    for number in range(300):
        packed = list(encode(message))
        if number == damaged:
            column = data.draw(st.integers(1, 3))
            content = bytearray(packed[column])
            position = data.draw(st.integers(0, len(content)))
            content[position : position + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=4))
            packed[column] = bytes(content)
            packed[0] += data.draw(st.sampled_from([0, 0, 1, -1]))
        try:
            answer = sides[turn].receive(decode(tuple(packed)))
        except ProtocolViolation:
            return
        sides[turn].take()
        turn = 1 - turn
        if answer is None:
            return
        message = answer
    pytest.fail("the run does not end")
