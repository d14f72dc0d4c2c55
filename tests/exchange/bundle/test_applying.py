"""Applying: where it goes on after an interruption, and what it leaves out."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from crdt_sync import limits
from crdt_sync.errors import ForeignBundle, InvalidBundle, StoreFull
from crdt_sync.exchange.bundle import apply
from crdt_sync.replica.carried import Arrival, LeftOut, arrival, arriving, carried
from crdt_sync.storage.values import Batch
from crdt_sync.verdicts import Verdict, VerdictCode, refused
from tests.replica.wire import VirtualTime

from .conftest import Device, InProcess, MakeDevice


class Interrupted(InProcess):
    """Ctrl-C in the middle of a chunk."""

    def __init__(self, device: Device, chunks: int) -> None:
        super().__init__(device.replica)
        self.chunks = chunks

    def judge(
        self, updates: Sequence[tuple[str, Sequence[bytes]]], stamp_max: int | None, user: str | None = None
    ) -> Sequence[Sequence[Verdict]]:
        if self.chunks == 0:
            raise KeyboardInterrupt
        self.chunks -= 1
        return super().judge(updates, stamp_max, user)


class Poisonous(InProcess):
    """A worker that dies of updates that hold `poison`, and examines no more of a call after three deaths."""

    deaths = 0

    def judge(
        self, updates: Sequence[tuple[str, Sequence[bytes]]], stamp_max: int | None, user: str | None = None
    ) -> Sequence[Sequence[Verdict]]:
        verdicts: list[Sequence[Verdict]] = []
        deaths = 0
        for record, group in updates:
            if deaths >= limits.POISON_STRIKES_MAX:
                verdicts.append([refused(VerdictCode.RETRY, "not examined")] * len(group))
            elif any(b"poison" in update for update in group):
                deaths += 1
                self.deaths += 1
                verdicts.append([refused(VerdictCode.POISON, "it kills")])
            else:
                verdicts += super().judge([(record, group)], stamp_max, user)
        return verdicts


def _filled(device: Device, count: int) -> list[str]:
    return [device.new(name=f"customer {number}", notes="x" * 900) for number in range(count)]


def test_an_interrupted_application_goes_on_where_it_stopped(device: MakeDevice) -> None:
    anna, ben = device("anna"), device("ben")
    _filled(anna, 1200)
    path = anna.write()
    assert anna.made.end.chunks == 5
    with pytest.raises(KeyboardInterrupt):
        apply(ben.replica, path, Interrupted(ben, 2))
    held = ben.store.count()
    assert 400 < held < 600
    assert carried(ben.store)[anna.replica.id].cursor == 0
    ben.open(ben.store.clone())  # what a kill leaves
    counting = Interrupted(ben, 3)
    done = apply(ben.replica, path, counting)
    assert (done.resumed, counting.chunks, done.received, done.known) == (2, 0, 1200, 0)
    assert ben.store.meta("bundle_arrivals") is None
    assert carried(ben.store)[anna.replica.id].cursor == anna.store.head()
    assert ben.state() == anna.state()


def test_what_was_left_out_before_an_interruption_is_still_told_after_it(device: MakeDevice) -> None:
    anna, ben, carla = device("anna"), device("ben"), device("carla")
    first, *_ = _filled(anna, 1200)
    carla.read(anna.write())
    anna.read(carla.write("anna"))
    with anna.replica.edit(first) as customer:
        customer["phone"] = "1"
    _filled(anna, 600)
    path = anna.write("carla")
    with pytest.raises(KeyboardInterrupt):
        apply(ben.replica, path, Interrupted(ben, 2))
    done = ben.read(path)
    assert (done.waiting, done.obstacle, [entry.record for entry in done.left_out]) == (1, "waiting", [first])
    assert done.resumed >= 1


def test_an_application_that_a_full_disk_stopped_goes_on(device: MakeDevice, monkeypatch: pytest.MonkeyPatch) -> None:
    anna, ben = device("anna"), device("ben")
    _filled(anna, 600)
    path = anna.write()
    commits = iter(range(2))
    honest = ben.store.commit

    def commit(batches: Sequence[Batch]) -> object:
        if next(commits, None) is None:
            raise StoreFull("the disk is full")
        return honest(batches)

    with monkeypatch.context() as patch:
        patch.setattr(ben.store, "commit", commit)
        with pytest.raises(StoreFull):
            ben.read(path)
    assert ben.read(path).resumed == 1
    assert ben.state() == anna.state()


def test_only_so_many_interrupted_applications_are_remembered(device: MakeDevice) -> None:
    store = device("anna").store
    many = tuple(LeftOut(f"customers/{number}", "gap", "") for number in range(limits.BUNDLE_LEFT_OUT_KEPT_MAX + 1))
    for number in range(limits.BUNDLE_ARRIVALS_MAX + 1):
        reached = Arrival(number + 1, 2, 3, 4, 5, 6, many)
        store.commit([Batch(meta=arriving(store, bytes([number]), reached))])
    assert arrival(store, b"\x00") == Arrival()
    last = arrival(store, bytes([limits.BUNDLE_ARRIVALS_MAX]))
    assert (last.chunks, last.poisons, last.left_out) == (limits.BUNDLE_ARRIVALS_MAX + 1, 6, many[:-1])


def test_stamps_too_far_ahead_wait_until_their_time_has_come(
    device: MakeDevice, tmp_path: Path, time: VirtualTime
) -> None:
    ahead = VirtualTime(time.now + limits.STAMP_AHEAD_US_MAX + 60_000_000)
    late, ben = Device("late", tmp_path, ahead, 77), device("ben")
    record = late.new(name="x")
    path = late.write()
    done = ben.read(path)
    assert (done.received, done.waiting, done.obstacle) == (0, 1, "waiting")
    assert [(entry.record, entry.code) for entry in done.left_out] == [(record, "clock_ahead")]
    assert carried(ben.store)[late.replica.id].cursor == 0
    time.now += 120_000_000
    assert ben.read(path).obstacle is None
    assert ben.state() == late.state()


def test_poison_is_refused_and_named_and_others_go_on(device: MakeDevice) -> None:
    anna, ben = device("anna"), device("ben")
    bad = [anna.new(name=f"poison {number}") for number in range(limits.BUNDLE_POISONS_MAX)]
    good = [anna.new(name=f"customer {number}") for number in range(20)]
    path = anna.write()
    worker = Poisonous(ben.replica)
    done = apply(ben.replica, path, worker)
    assert (done.received, done.refused, done.waiting, done.obstacle) == (20, len(bad), 0, None)
    assert {(entry.record, entry.code) for entry in done.left_out} == {(record, "poison") for record in bad}
    assert all(ben.store.record_head(record) for record in good)
    assert set(ben.replica.status().unreadable) == set(bad)


def test_a_bundle_full_of_poison_is_given_up(device: MakeDevice) -> None:
    anna, ben = device("anna"), device("ben")
    for number in range(100):
        anna.new(name=f"poison {number}")
    worker = Poisonous(ben.replica)
    with pytest.raises(InvalidBundle, match="end the process that reads them"):
        apply(ben.replica, anna.write(), worker)
    assert worker.deaths <= limits.BUNDLE_POISONS_MAX + limits.POISON_STRIKES_MAX


def test_progress_is_told_in_bytes_and_in_updates(device: MakeDevice) -> None:
    anna, ben = device("anna"), device("ben")
    _filled(anna, 700)
    path = anna.write()
    told: list[tuple[str, int, int]] = []
    apply(ben.replica, path, InProcess(ben.replica), progress=lambda *step: told.append(step))
    steps = [(step, done) for step, done, _ in told]
    assert steps == sorted(steps, key=lambda entry: (entry[0] != "verifying", entry[1]))
    assert told[-1] == ("applying", 700, 700)
    assert {total for step, _, total in told if step == "verifying"} == {path.stat().st_size}


def test_a_bundle_of_another_space_is_refused_whole(device, monkeypatch):
    anna, ben = device("anna"), device("ben")
    record = anna.new(name="Ann")
    anna.store.join(b"A" * 16)
    bundle = anna.write()
    assert (anna.made.header.space, anna.made.header.version) == (b"A" * 16, 2)
    ben.store.join(b"B" * 16)
    before = ben.store.head()
    with pytest.raises(ForeignBundle, match="made by 'anna'") as refused:
        ben.read(bundle)
    assert ("--other-space" in refused.value.hint, ben.store.head()) == (True, before)
    done = apply(ben.replica, bundle, InProcess(ben.replica), other_space=True)
    assert (done.obstacle, ben.replica.get(record)["name"]) == (None, "Ann")
    assert ben.store.space.id == b"B" * 16


@pytest.mark.parametrize(("theirs", "ours"), [(None, b"B"), (b"A", None), (b"A", b"A"), (None, None)])
def test_bundles_of_the_own_space_or_without_one_are_taken(device, theirs, ours):
    anna, ben = device("anna"), device("ben")
    record = anna.new(name="Ann")
    for who, space in ((anna, theirs), (ben, ours)):
        if space is not None:
            who.store.join(space * 16)
    before = ben.store.space
    ben.read(anna.write())
    assert (ben.replica.get(record)["name"], ben.store.space) == ("Ann", before)
    assert anna.made.header.version == (1 if theirs is None else 2)  # a bundle without a space is as it was before
