"""Both sides learn exactly the plain set difference, in few rounds and small frames."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crdt_sync import limits
from crdt_sync.limits import FRAME_BYTES_TARGET, RECONCILE_FRAME_BYTES_MIN, RECONCILE_LEAF_RECORDS
from crdt_sync.protocol.reconcile import Index, Owed, Ranges, Reconciler, answering, reconciler
from tests.protocol.reconcile.runs import assert_learnt, check, reconcile, records, view

ALL = records(6000)
DIGESTS = st.sampled_from([bytes([number]) * 16 for number in range(3)])
# Keys over a small alphabet are often a prefix of their neighbour: the hard case for bounds.
NESTED = st.dictionaries(st.text("ab-~", min_size=1, max_size=7).map("a/{}".format), DIGESTS, max_size=120)


@given(NESTED, NESTED)
@settings(max_examples=150)
def test_any_two_small_sets(ours, theirs):
    check(ours.items(), theirs.items())


@given(
    st.integers(0, 3000),
    st.integers(0, 600),
    st.integers(0, 600),
    st.integers(0, 600),
    st.sampled_from([RECONCILE_FRAME_BYTES_MIN, 20_000, FRAME_BYTES_TARGET]),
    st.integers(0, 2**32),
)
@settings(max_examples=60)
def test_sets_with_any_shares_in_common(equal, different, only_ours, only_theirs, frame_bytes, seed):
    rng = random.Random(seed)
    chosen = rng.sample(ALL, equal + different + only_ours + only_theirs)
    common, changed = chosen[:equal], chosen[equal : equal + different]
    apart = chosen[equal + different :]
    ours = [*common, *changed, *apart[:only_ours]]
    theirs = [*common, *((record, rng.randbytes(16)) for record, _ in changed), *apart[only_ours:]]
    check(ours, theirs, frame_bytes)


@given(st.integers(0, 2**32), st.sampled_from([0.01, 0.1, 0.5, 1.0]), st.sampled_from([0.1, 0.9, 1.0]))
@settings(max_examples=25)
def test_a_run_does_not_stall_when_little_may_be_open(seed, changed, held):
    rng = random.Random(seed)
    ours = rng.sample(ALL, 1000)
    theirs = [(record, rng.randbytes(16)) if rng.random() < changed else (record, digest) for record, digest in ours]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(answering, "RECONCILE_OPEN_RANGES_TARGET", 40)
        patch.setattr(answering, "RECONCILE_LISTED_RECORDS_TARGET", 20)
        patch.setattr(answering, "RECONCILE_LISTED_RECORDS_MAX", 25)
        patch.setattr(limits, "RECONCILE_LEAF_RECORDS", 8)
        patch.setattr(limits, "RECONCILE_FAN_OUT", 4)
        patch.setattr(reconciler, "RECONCILE_MESSAGES_FREE", 10_000)
        outcome = check(ours, rng.sample(theirs, int(held * 1000)))
    assert max(message.open for message in outcome.messages) <= 40 + 4 * 8


@pytest.mark.parametrize("count", [0, 1, RECONCILE_LEAF_RECORDS, RECONCILE_LEAF_RECORDS + 1, 5000])
def test_equal_sets_take_one_round_trip_and_under_a_kilobyte(count):
    outcome = check(ALL[:count], ALL[:count])
    assert outcome.round_trips == 1
    assert sum(outcome.sizes) < 1000


@pytest.mark.parametrize("count", [1, RECONCILE_LEAF_RECORDS, RECONCILE_LEAF_RECORDS + 1, 6000])
@pytest.mark.parametrize("frame_bytes", [RECONCILE_FRAME_BYTES_MIN, FRAME_BYTES_TARGET])
def test_nothing_on_one_side(count, frame_bytes):
    check(ALL[:count], [], frame_bytes)
    check([], ALL[:count], frame_bytes)


@pytest.mark.parametrize("frame_bytes", [RECONCILE_FRAME_BYTES_MIN, FRAME_BYTES_TARGET])
def test_nothing_in_common(frame_bytes):
    check(ALL[::2], ALL[1::2], frame_bytes)
    check(ALL[:3000], ALL[3000:], frame_bytes)


@pytest.mark.parametrize("position", [0, 1, 2999, 5998, 5999])
def test_one_record_missing_anywhere(position):
    outcome = check(ALL, ALL[:position] + ALL[position + 1 :])
    assert outcome.round_trips <= 3


def test_the_longest_ids_and_the_smallest_frame():
    def entries(digest):
        return [(f"{'c' * 48}/{number:0>79}", digest) for number in range(4000)]

    check(entries(b"a" * 16), entries(b"a" * 16)[::3], RECONCILE_FRAME_BYTES_MIN)
    check(entries(b"a" * 16), entries(b"b" * 16), RECONCILE_FRAME_BYTES_MIN)


@pytest.mark.parametrize("share", [0, 0.5, 1])
def test_no_honest_run_has_too_many_messages(share, monkeypatch):
    monkeypatch.setattr(reconciler, "RECONCILE_MESSAGES_FREE", 8)
    rng = random.Random(1)
    keys = ["".join(rng.choices("abcdefgh", k=127)) for _ in range(3000)]  # nothing in common, as long as may be
    ours = [(f"{key[:48]}/{key[48:]}", b"o" * 16) for key in sorted(keys)]
    theirs = [(record, b"t" * 16) for record, _ in ours if rng.random() < share]
    check(ours, theirs, RECONCILE_FRAME_BYTES_MIN)
    check(theirs, ours, RECONCILE_FRAME_BYTES_MIN)


def test_few_differences_are_cheap():
    changed = {ALL[number][0]: b"\0" * 16 for number in random.Random(1).sample(range(6000), 10)}
    outcome = check(ALL, (dict(ALL) | changed).items())
    assert outcome.round_trips <= 3
    assert sum(outcome.sizes) < 25_000


def test_a_side_that_has_almost_nothing_lists_it_at_once():
    outcome = check(ALL, ALL[:10])
    plain = sum(len(record) + 16 for record, _ in ALL)
    assert sum(outcome.sizes) < 1.1 * plain
    assert outcome.round_trips <= 4


def test_where_everything_differs_the_tree_is_not_descended():
    ours = records(25_000)
    outcome = check(ours, [(record, b"\0" * 16) for record, _ in ours])
    # One list from one side and one reply with it from the other, and at most a tenth for finding out.
    plain = 2 * 25_000 * 45
    assert sum(outcome.sizes) < 1.1 * plain


def test_half_different_costs_no_more_than_a_plain_exchange_of_lists():
    ours = records(25_000)
    rng = random.Random(5)
    theirs = [(record, rng.randbytes(16)) if rng.random() < 0.5 else (record, digest) for record, digest in ours]
    assert sum(check(ours, theirs).sizes) < 2 * 25_000 * 45


def test_differences_come_in_portions():
    ours = Index(records(60_000)).pin()
    first, second = Reconciler(ours, True), Reconciler(Index().pin(), False)
    message: Ranges | None = first.start()
    largest = 0
    while message is not None:
        for side in (second, first):
            message = side.receive(message) if message else None
            want, owe = side.take()
            largest = max(largest, len(want), len(owe))
    assert 0 < largest < 2 * FRAME_BYTES_TARGET // 40


def test_a_host_that_lets_differences_pile_up_is_told():
    first, second = Reconciler(view(ALL), True, RECONCILE_FRAME_BYTES_MIN), Reconciler(view([]), False)
    shown = second.receive(first.start())
    assert shown is not None
    answer = first.receive(shown)
    assert answer is not None
    differing = second.receive(answer)
    assert differing is not None
    assert first.owe[0] == Owed(ALL[0][0], None)
    with pytest.raises(AssertionError, match="take the differences first"):
        first.receive(differing)


def test_changes_during_the_run_do_not_disturb_it_and_are_left_to_the_feed():
    rng = random.Random(3)
    ours, theirs = dict(ALL), dict(ALL[:4000]) | {ALL[9][0]: b"9" * 16}
    indexes = Index(sorted(ours.items())), Index(sorted(theirs.items()))
    feeds = [], []  # what each side commits behind the head that it pinned

    def commit(side):
        record = rng.choice([ALL[rng.randrange(6000)][0], f"customers/new{rng.randrange(10**6)}"])
        digest = rng.randbytes(16)
        indexes[side].put(record, digest)
        feeds[side].append((record, digest))

    first, second = Reconciler(indexes[0].pin(), True), Reconciler(indexes[1].pin(), False)
    learnt = [], []
    message: Ranges | None = first.start()
    turn = 1
    while message is not None:
        for _ in range(50):
            commit(rng.randrange(2))
        side = (first, second)[turn]
        message = side.receive(message)
        want, owe = side.take()
        learnt[turn].append((want, owe))
        turn = 1 - turn
    for number, (held, partner) in enumerate(((ours, theirs), (theirs, ours))):
        wanted = {entry.record: entry.theirs for portion, _ in learnt[number] for entry in portion}
        assert wanted == {record: digest for record, digest in partner.items() if held.get(record) != digest}
        # The difference as pinned, then the partner's feed behind its pinned head: all that the partner holds now.
        caught_up = {**held, **wanted, **dict(feeds[1 - number])}
        index = indexes[1 - number].pin()
        assert caught_up.items() >= set(index.items("", None, len(index)))


def test_a_frame_size_has_both_sides_of_its_limits():
    for possible in (RECONCILE_FRAME_BYTES_MIN, FRAME_BYTES_TARGET):
        Reconciler(view([]), True, possible)
    for impossible in (RECONCILE_FRAME_BYTES_MIN - 1, FRAME_BYTES_TARGET + 1):
        with pytest.raises(ValueError, match="not possible"):
            Reconciler(view([]), True, impossible)


def test_a_million_records_on_each_side():
    base = Index((f"customers/{number:07}", number.to_bytes(16, "big")) for number in range(1_000_000))
    other = base.copy()
    rng = random.Random(7)
    want: dict[str, bytes | None] = {}
    owe: dict[str, bytes | None] = {}
    for number in rng.sample(range(1_000_000), 900):
        record, digest = f"customers/{number:07}", number.to_bytes(16, "big")
        if number % 3 == 0:
            other.remove(record)
            owe[record] = None
        elif number % 3 == 1:
            base.remove(record)
            want[record] = digest
        else:
            changed = rng.randbytes(16)
            other.put(record, changed)
            owe[record] = want[record] = changed
    outcome = reconcile(base.pin(), other.pin())
    assert dict(outcome.initiator.want) == want
    assert dict(outcome.initiator.owe) == owe
    assert {entry.record for entry in outcome.responder.want} == owe.keys()
    assert {entry.record for entry in outcome.responder.owe} == want.keys()
    assert outcome.round_trips <= 6  # five levels, and one frame's worth of prints twice
    assert sum(outcome.sizes) < 1_000_000


def test_the_two_sides_may_choose_differently():
    # A partner that splits where this one would list, with its own fan-out and bounds, is as good.
    class Clumsy:
        def __init__(self, entries):
            self._inner = view(entries)

        def aggregate(self, after, through):
            return self._inner.aggregate(after, through)

        def items(self, after, through, limit):
            return self._inner.items(after, through, limit)

        def split(self, after, through, parts):
            return [record for record, _ in self._inner.items(after, through, parts - 1)]

    outcome = reconcile(view(ALL[:1000]), Clumsy(ALL[500:1200]))
    assert_learnt(outcome.initiator, ALL[:1000], ALL[500:1200])
    assert_learnt(outcome.responder, ALL[500:1200], ALL[:1000])
