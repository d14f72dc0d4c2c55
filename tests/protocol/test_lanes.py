"""What takes a worker long goes by a lane of its own: it is answered all the same, and nobody else waits for it."""

from collections import deque
from collections.abc import Iterator, Sequence

import pytest

from crdt_sync import limits
from crdt_sync.principal import Principal
from crdt_sync.protocol import codec
from crdt_sync.protocol.hub import Integrate, Integrated
from crdt_sync.protocol.hub.lanes import Lane, Sender, Waiting, piece_updates, weight_of
from crdt_sync.protocol.messages import Push, PushEntry, Verdict, VerdictCode
from crdt_sync.verdicts import POSTPONED
from tests.protocol.test_hub import NEW, VECTOR, A, B, Bench, codes

C, D = "customers/c", "customers/d"


class Lanes(Bench):
    def asked(self, *, slow: bool) -> list[Integrate]:
        return [effect for effect in self.integrations if effect.slow == slow]

    def records(self, *, slow: bool) -> list[list[str]]:
        return [[item.record for item in effect.items] for effect in self.asked(slow=slow)]

    def answer(self, *verdicts: Sequence[Verdict], slow: bool = False, now: int = 0) -> None:
        """The answer of one of the workers to its oldest batch: for each item a verdict for each update."""
        batch = self.asked(slow=slow)[0]
        self.integrations.remove(batch)
        results = [Integrated(given, VECTOR, None) for _, given in zip(batch.items, verdicts, strict=True)]
        self.hub.integrated(results, now, slow=slow)
        self.drain()

    def join_slow(self, *records: str, now: int = 0) -> int:
        """A session whose first push, of these records, was postponed."""
        session = self.join()
        self.push(session, 1, *records)
        self.answer(*([POSTPONED] for _ in records), now=now)
        return session


def named(session: int) -> str:
    """The name under which workers count what it costs: each session of the bench is of a device of its own."""
    return f"//{(bytes([session]) * 16).hex()}"


def test_what_is_postponed_is_asked_of_the_slow_worker_and_then_answered() -> None:
    bench = Lanes()
    eve = bench.join()
    bench.push(eve, 1, A, B, C)
    bench.answer([NEW], [POSTPONED], [POSTPONED])
    assert bench.records(slow=True) == [[B, C]]
    bench.committed()
    assert bench.verdicts(eve) == []  # a push is answered as a whole
    bench.answer([NEW], [NEW], slow=True)
    bench.committed()
    assert codes(bench.verdicts(eve)) == [VerdictCode.ACCEPTED] * 3
    assert bench.hub.idle


def test_others_are_integrated_and_stored_meanwhile_and_who_was_postponed_stays_in_the_slow_lane() -> None:
    bench = Lanes()
    eve, anna = bench.join_slow(A), bench.join()
    bench.push(eve, 2, B)
    for number in range(1, 4):
        bench.push(anna, number, C)
        bench.answer([NEW])
        bench.committed()
    assert codes(bench.verdicts(anna)) == [VerdictCode.ACCEPTED] * 3
    assert bench.asked(slow=False) == []
    bench.answer([NEW], slow=True)
    bench.committed()
    assert bench.records(slow=True) == [[B]]


def test_a_postponed_push_comes_before_what_its_session_pushed_after_it() -> None:
    bench = Lanes()
    eve, anna = bench.join(), bench.join()
    bench.push(anna, 1, B)  # the worker is at it, so that both pushes of Eve wait
    bench.push(eve, 1, A)
    bench.push(eve, 2, C)
    bench.answer([NEW])
    assert bench.records(slow=False) == [[A, C]]
    bench.answer([POSTPONED], [POSTPONED])
    assert [update.senders for update in bench.asked(slow=True)[0].items] == [(named(eve),)] * 2
    assert bench.records(slow=True) == [[A, C]]


def test_a_record_is_in_one_lane_at_a_time() -> None:
    bench = Lanes()
    bench.join_slow(A)
    anna = bench.join()
    bench.push(anna, 1, A)
    bench.push(anna, 2, B)
    assert bench.asked(slow=False) == []
    bench.answer([NEW], slow=True)
    assert bench.records(slow=False) == [[A, B]]


def test_after_a_while_without_long_work_a_session_goes_by_the_quick_lane_again() -> None:
    bench = Lanes()
    eve = bench.join_slow(A, now=-limits.SLOW_FOR_US)
    bench.answer([NEW], slow=True)
    bench.push(eve, 2, B)
    assert bench.records(slow=False) == [[B]]


def test_who_was_postponed_again_has_its_next_turn_after_the_others_of_the_slow_lane() -> None:
    bench = Lanes()
    bench.join_slow(A, B)
    bench.join_slow(C)
    bench.answer([NEW], [POSTPONED], slow=True)
    assert bench.records(slow=True) == [[C, B]]


def test_a_failed_commit_discards_what_either_worker_is_at() -> None:
    bench = Lanes()
    eve, anna = bench.join_slow(A), bench.join()
    bench.push(anna, 1, B)
    bench.answer([NEW])
    bench.push(anna, 2, C)
    bench.failed()
    bench.answer([NEW], slow=True)
    bench.answer([NEW])
    assert bench.commits == []
    assert codes(bench.verdicts(eve)) == [VerdictCode.RETRY]
    assert codes(bench.verdicts(anna)) == [VerdictCode.RETRY] * 2


def test_what_is_postponed_of_a_session_that_has_ended_is_stored_all_the_same() -> None:
    bench = Lanes()
    eve = bench.join()
    bench.push(eve, 1, A)
    bench.hub.lost(eve, 0)
    bench.answer([POSTPONED])
    bench.answer([NEW], slow=True)
    assert [change.record for change in bench.commits[0].changes] == [A]
    bench.committed()
    assert bench.hub.idle


def test_what_waits_in_the_slow_lane_takes_no_room_from_others_and_has_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "TAKEN_BYTES_MAX", 8)
    monkeypatch.setattr(limits, "TAKEN_UPDATE_BYTES", 1)
    bench = Lanes()
    bench.join_slow(A)  # the slow worker is at it
    mallory, anna = bench.join_slow(B, C), bench.join()
    assert not bench.hub.congested(anna, limits.MIB, 0)
    assert bench.hub.congested(mallory, 0, 0)
    bench.push(anna, 1, D)
    bench.answer([POSTPONED])
    assert codes(bench.verdicts(anna)) == [VerdictCode.RETRY]
    bench.answer([NEW], slow=True)
    bench.committed()
    assert bench.records(slow=True) == [[B, C]]


def test_who_goes_by_the_slow_lane_is_not_read_while_there_is_no_room_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "TAKEN_BYTES_MAX", 16)
    monkeypatch.setattr(limits, "TAKEN_UPDATE_BYTES", 1)
    bench = Lanes()
    eve = bench.join_slow(D)
    bench.answer([NEW], slow=True)
    bench.committed()
    bench.join_slow(A)  # the slow worker is at it
    bench.join_slow(B, C)
    anna = bench.join()
    size = limits.TAKEN_FRAME_BYTES
    assert not bench.hub.has_pushed(eve)
    assert [bench.hub.congested(eve, each, 0) for each in (size, size + 1)] == [False, True]
    assert [bench.hub.congested(anna, each, 0) for each in (size, size + 1)] == [False, False]
    bench.answer([NEW], slow=True)
    bench.committed()
    assert not bench.hub.congested(eve, size + 1, 0)


def test_who_needed_the_slow_worker_no_more_for_a_while_is_read_although_its_lane_is_full(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "TAKEN_BYTES_MAX", 16)
    monkeypatch.setattr(limits, "TAKEN_UPDATE_BYTES", 1)
    bench = Lanes()
    eve = bench.join_slow(D)
    bench.answer([NEW], slow=True)
    bench.committed()
    bench.join_slow(A)  # the slow worker is at it
    mallory = bench.join_slow(B, C)
    size, later = limits.TAKEN_FRAME_BYTES + 1, limits.SLOW_FOR_US
    assert [bench.hub.congested(eve, size, now) for now in (later - 1, later)] == [True, False]
    assert [bench.hub.waits_for_slow(eve, size, now) for now in (later - 1, later)] == [True, False]
    assert bench.hub.waits_for_slow(mallory, size, later), "of that one something waits there"
    bench.hub.receive(eve, codec.encode(Push(2, (PushEntry(D, b"u"),))), later)
    bench.drain()
    assert bench.records(slow=False) == [[D]]


def test_a_short_frame_never_waits_for_the_slow_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "TAKEN_BYTES_MAX", 16)
    monkeypatch.setattr(limits, "TAKEN_UPDATE_BYTES", 1)
    bench = Lanes()
    bench.join_slow(A)
    mallory, size = bench.join_slow(B, C), limits.TAKEN_FRAME_BYTES
    assert [bench.hub.waits_for_slow(mallory, each, 0) for each in (size, size + 1)] == [False, True]


class Watched(deque[Waiting]):
    """Counts what of it is looked at."""

    looked_at = 0

    def __iter__(self) -> Iterator[Waiting]:
        for push in super().__iter__():
            self.looked_at += 1
            yield push


def test_of_much_that_waits_only_what_was_pushed_before_is_looked_at() -> None:
    sender = Sender(1, Principal(bytes(16)), bytes(16), Lane(slow=True), ("", "", bytes(16)))
    for number in range(1, 1_001):
        sender.lane.add(sender, Waiting(number, ((0, PushEntry(f"customers/{number}", b"u")),), 1))
    watched = sender.waiting = Watched(sender.waiting)
    assert sender.waits_for((3, 0)) == {f"customers/{number}": (number, 0) for number in range(1, 4)}
    assert watched.looked_at == 4


def test_commits_are_numbered_in_their_order_whichever_worker_was_first() -> None:
    bench = Lanes()
    bench.join_slow(A)
    anna = bench.join()
    bench.push(anna, 1, B)
    bench.answer([NEW])
    bench.answer([NEW], slow=True)
    assert bench.commits[0].number < bench.commits[1].number


def test_small_pushes_that_wait_one_behind_the_other_go_together_and_others_are_next() -> None:
    bench = Lanes()
    eve, anna, ben = bench.join(), bench.join(), bench.join()
    bench.push(ben, 1, A)  # the worker is at it, so that all others wait
    for number in range(1, 11):
        bench.push(eve, number, f"customers/eve{number}")
        bench.push(anna, number, f"customers/anna{number}")
    bench.answer([NEW])
    assert [item.senders[0] for item in bench.asked(slow=False)[0].items] == [named(eve)] * 8 + [named(anna)] * 8
    bench.answer(*[[NEW]] * 16)
    assert [item.senders[0] for item in bench.asked(slow=False)[0].items] == [named(eve)] * 2 + [named(anna)] * 2


def test_who_comes_anew_is_ahead_of_small_pushes_that_go_together() -> None:
    bench = Lanes()
    eve, anna = bench.join(), bench.join()
    for number in range(1, 200):
        bench.push(eve, number, A)
    bench.push(anna, 1, B)
    bench.answer([NEW])
    assert bench.records(slow=False)[-1] == [B, A]


def test_small_pushes_of_a_session_in_the_slow_lane_go_one_by_one_in_turns() -> None:
    bench = Lanes()
    eve, anna = bench.join_slow(A), bench.join_slow(B)
    for number in (2, 3):
        bench.push(eve, number, f"customers/eve{number}")
        bench.push(anna, number, f"customers/anna{number}")
    bench.answer([NEW], slow=True)
    (batch,) = bench.asked(slow=True)
    assert [item.senders[0] for item in batch.items] == [named(anna), named(eve), named(anna), named(eve), named(anna)]


def test_how_many_small_pushes_go_together_goes_by_their_weight(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "TAKEN_UPDATE_BYTES", 1)  # so that those of two bytes weigh as much as four small ones
    bench = Lanes()
    eve, anna, ben = bench.join(), bench.join(), bench.join()
    bench.push(ben, 1, A)  # the worker is at it, so that all others wait
    for number in range(1, 9):
        bench.push(eve, number, f"customers/eve{number}")
        bench.push(anna, number, f"customers/anna{number}")
    bench.answer([NEW])
    senders = [item.senders[0] for item in bench.asked(slow=False)[0].items]
    assert senders == ([named(eve)] * 2 + [named(anna)] * 2) * 4


def test_a_push_that_goes_in_pieces_weighs_nothing_once_it_was_answered() -> None:
    bench = Lanes()
    anna = bench.join()
    entries = tuple(PushEntry(f"customers/{number}", bytes(1500)) for number in range(100))
    bench.hear(anna, Push(1, entries))
    assert bench.hub.held_bytes == 100 * 3000
    assert len(bench.records(slow=False)[0]) == piece_updates(), "as many as of small ones"
    while bench.integrations:
        bench.answer(*([POSTPONED] for _ in bench.integrations[0].items), slow=bench.integrations[0].slow)
        while slow := bench.asked(slow=True):
            bench.answer(*([NEW] for _ in slow[0].items), slow=True)
            bench.committed()
    assert codes(bench.verdicts(anna)) == [VerdictCode.ACCEPTED] * 100
    pipeline = bench.hub._pipeline
    assert [lane.waiting_weight for lane in pipeline._lanes] == [0, 0]
    assert bench.hub.held_bytes == 0


def test_an_update_weighs_twice_its_bytes_and_some_at_least() -> None:
    small = limits.TAKEN_UPDATE_BYTES // 2
    for size, weight in ((1, 2 * small), (small, 2 * small), (small + 1, 2 * small + 2)):
        assert weight_of((PushEntry("customers/a", bytes(size)),)) == weight


def two_batches_under_way(bench: Lanes) -> int:
    """A session with three pushes of one record, of which two are with the worker, one behind the other."""
    eve = bench.join()
    small = piece_updates()
    for number in range(1, 4):
        bench.hear(eve, Push(number, (PushEntry(A, bytes([number])),) * small))
    assert [len(batch.items[0].updates) for batch in bench.asked(slow=False)] == [small, small]
    return eve


def test_what_is_postponed_of_two_batches_waits_in_the_order_in_which_it_was_pushed() -> None:
    bench = Lanes()
    two_batches_under_way(bench)
    small = piece_updates()
    bench.answer([POSTPONED] * small)
    bench.answer([POSTPONED] * small)
    order = []
    while asked := bench.asked(slow=True):
        order.append(asked[0].items[0].updates[0][0])
        bench.answer([NEW] * len(asked[0].items[0].updates), slow=True)
        bench.committed()
    assert order == [1, 2, 3]


def test_what_lacks_an_update_of_its_own_session_that_was_postponed_waits_behind_that() -> None:
    bench = Lanes()
    eve = two_batches_under_way(bench)
    small = piece_updates()
    gap = Verdict(VerdictCode.GAP, state_vector=VECTOR)
    bench.answer([NEW] * (small - 1) + [POSTPONED])
    bench.committed()
    bench.answer([gap] * small)
    while asked := bench.asked(slow=True):
        bench.answer([NEW] * len(asked[0].items[0].updates), slow=True)
        bench.committed()
    assert codes(bench.verdicts(eve)) == [VerdictCode.ACCEPTED] * 3 * small


def test_what_lacks_an_update_that_is_with_the_slow_worker_again_waits_behind_that() -> None:
    bench = Lanes()
    small = piece_updates()
    eve = bench.join_slow(B)
    bench.answer([NEW], slow=True)
    bench.committed()
    for number in range(2, 5):
        bench.hear(eve, Push(number, (PushEntry(A, bytes([number])),) * small))
    first, second = bench.asked(slow=True)
    assert [len(batch.items[0].updates) for batch in (first, second)] == [small, small]
    bench.answer([POSTPONED] * small, slow=True)
    assert [batch.items[0].updates[0][0] for batch in bench.asked(slow=True)] == [3, 2], "it is asked for again"
    bench.answer([Verdict(VerdictCode.GAP, state_vector=VECTOR)] * small, slow=True)
    while asked := bench.asked(slow=True):
        bench.answer([NEW] * len(asked[0].items[0].updates), slow=True)
        bench.committed()
    assert codes(bench.verdicts(eve)) == [VerdictCode.ACCEPTED] * (1 + 3 * small)
