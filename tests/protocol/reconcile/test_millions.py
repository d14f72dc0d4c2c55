"""Sets of many millions, which exist as arithmetic only: what a run costs depends on what differs."""

import random
from bisect import bisect_left, bisect_right
from functools import cache

from crdt_sync.protocol.reconcile.bounds import separator
from tests.protocol.reconcile.runs import assert_learnt, reconcile

MILLIONS = 10_000_000
DIFFERENCES = 250


def name(number):
    return f"customers/{number:08}"


def digest(number):
    return number.to_bytes(16, "big")


class Numbers:
    """A view of the records 0 to MILLIONS but for `gone`, some of them `changed`; its leaves are their digests."""

    def __init__(self, gone, changed):
        self._gone = sorted(gone)
        self._changed = changed
        self._numbers = sorted(changed)

    @staticmethod
    @cache
    def _rank(bound):
        return MILLIONS if bound is None else bisect_right(range(MILLIONS), bound, key=name)

    def _between(self, ordered, start, end):
        return ordered[bisect_left(ordered, start) : bisect_left(ordered, end)]

    def aggregate(self, after, through):
        start, end = self._rank(after), self._rank(through)
        gone, changed = self._between(self._gone, start, end), self._between(self._numbers, start, end)
        total = (end - start) * (start + end - 1) // 2 - sum(gone)
        total += sum(int.from_bytes(self._changed[number], "big") - number for number in changed)
        return end - start - len(gone), total

    def split(self, after, through, parts):
        start, end = self._rank(after), self._rank(through)
        cuts = [start + (end - start) * part // parts for part in range(1, parts)]
        return [separator(name(cut - 1), name(cut)) for cut in cuts]

    def items(self, after, through, limit):
        start, end = self._rank(after), self._rank(through)
        gone = set(self._between(self._gone, start, end))
        found = []
        for number in range(start, end):
            if len(found) == limit:
                break
            if number not in gone:
                found.append((name(number), self._changed.get(number, digest(number))))
        return found


def test_ten_million_records_on_each_side():
    rng = random.Random(11)
    chosen = rng.sample(range(MILLIONS), DIFFERENCES)
    gone_here, gone_there, other = set(chosen[::3]), set(chosen[1::3]), set(chosen[2::3])
    here = Numbers(gone_here, {})
    there = Numbers(gone_there, {number: rng.randbytes(16) for number in other})
    outcome = reconcile(here, there)
    ours = {name(number): digest(number) for number in gone_there | other}
    theirs = {name(number): digest(number) for number in gone_here}
    theirs |= {name(number): there._changed[number] for number in other}
    assert_learnt(outcome.initiator, ours, theirs)
    assert_learnt(outcome.responder, theirs, ours)
    assert outcome.round_trips <= 7
    assert sum(outcome.sizes) < 1_250 * DIFFERENCES


def test_ten_million_equal_records_cost_one_message_each_way():
    outcome = reconcile(Numbers((), {}), Numbers((), {}))
    assert outcome.round_trips == 1
    assert sum(outcome.sizes) < 1000
