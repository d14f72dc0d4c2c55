"""Whose push is integrated next: devices with a few edits do not wait for those that push much, and nobody for ever."""

from collections.abc import Iterator

import pytest

from crdt_sync import limits
from crdt_sync.protocol.hub.lanes import batch_updates, piece_updates
from crdt_sync.protocol.messages import Hello, Push, PushEntry
from tests.protocol.test_hub import NEW, A, Bench, codes

MUCH = limits.PUSH_RECORDS_MAX


class Busy(Bench):
    """A hub whose worker has always something to do."""

    def __init__(self) -> None:
        super().__init__()
        self._names = (f"customers/{number}" for number in range(10_000_000))

    def some(self, count: int) -> Iterator[str]:
        """Records that nobody has."""
        return (next(self._names) for _ in range(count))

    def flood(self, sessions: int) -> list[int]:
        """So many sessions that each have pushed as much as fits into one frame."""
        joined = [self.join() for _ in range(sessions)]
        for session in joined:
            self.push(session, 1, *self.some(MUCH))
        return joined

    def work(self) -> list[str]:
        """The worker and the disk do the oldest batch. Returns its records."""
        records = [item.record for item in self.integrations[0].items]
        self.integrated(*(NEW for _ in records))
        self.committed()
        return records

    def batches_before(self, record: str) -> int:
        """How many batches are done before the one with that record, which is not done."""
        batches = 0
        while all(item.record != record for item in self.integrations[0].items):
            self.work()
            batches += 1
        return batches

    def join(self, follow: bool = False) -> int:
        session = self.hub.connect(0)
        self.hear(session, Hello((1,), session.to_bytes(16, "big"), "", 1, None, follow, 0, "test"))
        return session


def test_one_edit_waits_for_what_is_under_way_and_not_for_hundreds_of_sessions_that_push_much() -> None:
    bench = Busy()
    honest = bench.join()
    bench.flood(300)
    bench.push(honest, 1, A)
    assert bench.batches_before(A) == len(bench.integrations)
    for number in range(2, 50):  # and so do the next, while they are less than its share
        bench.push(honest, number, f"customers/mine-{number}")
        assert bench.batches_before(f"customers/mine-{number}") <= 2
        for _ in range(10):
            bench.work()


def test_one_edit_does_not_wait_for_sessions_that_come_ever_anew() -> None:
    bench = Busy()
    honest = bench.join()
    bench.flood(20)
    for number in range(1, 50):
        bench.flood(2)
        bench.push(honest, number, f"customers/mine-{number}")
        assert bench.batches_before(f"customers/mine-{number}") <= 2
        for _ in range(3):
            bench.work()


def test_who_pushes_much_gets_its_share_however_many_come_with_less() -> None:
    bench = Busy()
    importer = bench.join()
    bench.push(importer, 1, A, *bench.some(MUCH - 1))
    for _ in range(300):
        bench.push(bench.join(), 1, *bench.some(piece_updates() - 1))  # as much as the worker does meanwhile
        bench.work()
    assert len(bench.verdicts(importer)) == MUCH


def test_a_large_push_goes_in_short_batches_and_is_answered_as_a_whole_and_in_order() -> None:
    bench = Bench()
    session = bench.join()
    records = [f"customers/{number}" for number in range(MUCH)]
    bench.push(session, 1, *records)
    bench.push(session, 2, A)
    done: list[str] = []
    while bench.integrations:
        batch = [item.record for item in bench.integrations[0].items]
        assert len(batch) <= piece_updates() + 1  # the other push is a small one
        assert len(bench.verdicts(session)) in {0, MUCH}
        done += batch
        bench.integrated(*(NEW for _ in batch))
        bench.committed()
    assert done == [*records, A]
    assert len(codes(bench.verdicts(session))) == MUCH + 1
    assert bench.hub.idle
    assert not bench.hub.held_bytes


def test_large_updates_go_by_their_bytes() -> None:
    bench = Busy()
    greedy, modest = bench.join(), bench.join()
    bench.flood(1)
    large = tuple(PushEntry(record, bytes(256 * limits.KIB)) for record in bench.some(8))
    bench.hear(greedy, Push(1, large))
    bench.push(modest, 1, *bench.some(20), A)
    last = large[-1].record
    order = []
    while bench.integrations and not bench.hub.idle:
        order += bench.work()
    assert order.index(A) < order.index(last)


def test_commits_under_way_are_bounded_in_updates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "COMMITTING_UPDATES_MAX", 2 * piece_updates())
    bench = Busy()
    bench.flood(4)
    while bench.integrations:
        bench.integrated(*(NEW for _ in bench.integrations[0].items))
    assert sum(len(commit.changes) for commit in bench.commits) == 3 * piece_updates(), (
        "and what is being integrated then"
    )
    bench.committed()
    bench.committed()
    bench.committed()
    assert bench.integrations


def test_of_large_pushes_little_is_on_its_way_to_the_disk_and_small_ones_go_past_what_waits_for_it() -> None:
    bench = Busy()
    honest = bench.join()
    bench.flood(4)

    def integrate() -> None:
        while bench.integrations:
            bench.integrated(*(NEW for _ in bench.integrations[0].items))

    integrate()
    under_way = sum(len(commit.changes) for commit in bench.commits)
    assert under_way == limits.COMMITTING_MUCH_MAX + piece_updates(), "and what is being integrated then"
    bench.push(honest, 1, A)
    assert [item.record for item in bench.integrations[0].items] == [A]
    integrate()
    bench.committed()
    assert not bench.integrations, "as much as may be is under way still"
    bench.committed()
    assert bench.integrations


def test_of_those_that_push_little_a_batch_has_many() -> None:
    bench = Busy()
    bench.flood(3)
    for _ in range(200):
        bench.push(bench.join(), 1, *bench.some(2))
    assert max(len(bench.work()) for _ in range(4)) == batch_updates()
