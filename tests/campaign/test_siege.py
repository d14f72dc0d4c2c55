"""Attacks beside honest devices: what they feel is judged, and what is sent is what is meant."""

import json
import random
import subprocess
import sys
from dataclasses import replace

import pytest

from crdt_bench.campaign.siege import frames, part
from crdt_bench.campaign.siege.judging import GROWTH_BYTES_MAX, Felt, Siege
from crdt_bench.campaign.siege.named import NAMED
from crdt_bench.campaign.siege.part import Sizes, besieged
from crdt_bench.campaign.siege.program import Send, drawn
from crdt_bench.child import ChildFailed
from crdt_bench.usage import MIB
from crdt_sync.errors import ProtocolViolation
from crdt_sync.limits import FRAME_BYTES_MAX
from crdt_sync.protocol import codec
from crdt_sync.records import Integrator

_EVEN = tuple((second / 10, 0.02) for second in range(300))  # ten devices, each once a second, for 30 s
_DID = {"rounds": 3, "sessions": 1_200}
_CALM = Siege(
    10.0, 20.0, 25.0, 30.0, Felt(_EVEN, 0, 0), 100 * MIB, 101 * MIB, ready_after=True, in_store=(), attacker=_DID
)


def _felt(took: float | None, begin: float, end: float) -> Felt:
    return Felt([(due, took if begin <= due < end else usual) for due, usual in _EVEN], 0, 0)


def test_a_siege_that_nobody_feels_breaks_no_promise():
    assert _CALM.findings() == []
    assert replace(_CALM, felt=_felt(0.039, 10, 20)).findings() == []
    assert replace(_CALM, felt=_felt(0.2, 20, 24.8)).findings() == []  # it has so long to recover
    assert _CALM.figures() == (
        "p99 before, during, after: 20 ms, 20 ms, 20 ms; memory 100 MiB, +1 at most; recovery 0.0 s; "
        "attacker: 3 rounds, 1,200 sessions; holds"
    )
    synced = replace(_CALM, synced=[(1.0, 0.003), (11.0, 0.012), (26.0, 0.004)]).figures()
    assert "20 ms, 20 ms, 20 ms (median 20 ms, 20 ms, 20 ms; of a sync alone 3 ms, 12 ms, 4 ms); memory" in synced


@pytest.mark.parametrize(
    ("felt", "recovery"),
    [
        (_felt(0.5, 18, 19.4), 0.0),  # all of it during the attack
        (_felt(0.5, 19, 20), 0.4),  # the last one was due at 19.9
        (_felt(0.5, 22, 22.1), 2.5),
        (_felt(0.5, 26, 26.1), 0.0),  # that is of the time after
        (_felt(None, 22, 22.1), None),
        (_felt(None, 26, 26.1), 0.0),
    ],
)
def test_recovery_lasts_until_the_last_slow_push_was_acknowledged(felt, recovery):
    assert replace(_CALM, felt=felt).recovery_s == pytest.approx(recovery)


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (replace(_CALM, felt=_felt(0.041, 10, 20)), "p99 during it 41 ms, before 20 ms"),
        (replace(_CALM, felt=_felt(0.041, 25, 30)), "p99 after it 41 ms, before 20 ms"),
        (replace(_CALM, felt=_felt(6.0, 24, 24.9)), "recovery took 10.8 s"),
        (replace(_CALM, felt=_felt(None, 22, 23)), "recovery took never"),
        (replace(_CALM, attacker={"sessions": 0}), "the attacker never got in: nothing was tried"),
        (replace(_CALM, felt=_felt(None, 3, 4)), "not all pushes were acknowledged before the attack began"),
        (replace(_CALM, felt=replace(_CALM.felt, thrown_out=2)), "honest devices were thrown out 2 times"),
        (replace(_CALM, felt=replace(_CALM.felt, refused=3)), "3 honest updates were refused"),
        (replace(_CALM, memory_most=100 * MIB + GROWTH_BYTES_MAX + 1), "memory 100 MiB before, 164 at most"),
        (replace(_CALM, ready_after=False), "not ready 5 s after its end"),
        (replace(_CALM, in_store=["no worker can load customers/1"]), "no worker can load customers/1"),
    ],
)
def test_each_broken_promise_is_found(broken, said):
    assert broken.findings() == [said]


def test_what_was_never_acknowledged_is_found_in_its_time_and_in_the_recovery():
    assert replace(_CALM, felt=_felt(None, 15, 15.1)).findings() == [
        "a push during it was never acknowledged",
        "recovery took never",
    ]


def test_a_siege_that_is_broken_off_is_a_finding_and_the_next_one_is_run(monkeypatch):
    def besieged(number, sizes):
        if number == 3:
            raise ChildFailed("the relay ended with code 1")
        return _CALM

    monkeypatch.setattr(part, "besieged", besieged)
    tally = part.run(3, 2)
    assert tally.ran == 2
    assert tally.findings == [f"{NAMED[3].name}: broken off: ChildFailed: the relay ended with code 1"]
    assert tally.figures == [f"  4 {NAMED[4].name}: {_CALM.figures()}"]
    assert part.run_drawn(3, 1).figures[0].startswith("  28 drawn 28: ")


def test_a_calm_moment_too_short_to_measure_counts_as_ten_milliseconds():
    quick = [(due, 0.001 if due < 10 else 0.019) for due, _ in _EVEN]
    assert replace(_CALM, felt=Felt(quick, 0, 0)).findings() == []


@pytest.mark.parametrize("kind", sorted(frames.KINDS))
def test_a_frame_is_one_that_the_protocol_knows_unless_it_is_bad_on_purpose(kind):
    voice = frames.Voice.drawn(random.Random(1))
    frame = frames.KINDS[kind](voice)
    assert len(frame) <= FRAME_BYTES_MAX
    if kind.startswith("bad"):
        with pytest.raises(ProtocolViolation):
            codec.decode(frame)
    else:
        codec.decode(frame)


def test_updates_of_attackers_are_legal():
    gate = Integrator(3)
    for name, update in (("dear", frames.crowded(50)), ("large", frames._large_update())):
        (verdict,) = gate.integrate(f"customers/{name}", (), (update,), None, True, False).verdicts
        assert verdict.code == "accepted"


def test_what_is_drawn_is_the_same_for_the_same_seed_and_differs_between_seeds():
    assert drawn(7) == drawn(7)
    assert len({drawn(seed).steps for seed in range(100)}) > 90
    sent = {step.kind for seed in range(100) for step in drawn(seed).steps if isinstance(step, Send)}
    assert sent == set(frames.KINDS)


def test_what_is_named_sends_kinds_that_there_are():
    assert {step.kind for attack in NAMED for step in attack.steps if isinstance(step, Send)} <= set(frames.KINDS)


def test_honest_devices_push_through_a_siege():
    siege = besieged(6, Sizes(calm_s=0.4, attack_s=0.5, recovery_s=0.0, after_s=0.2, devices=4))
    assert len(siege.felt.pushes) >= 4
    assert all(took is not None for _, took in siege.felt.pushes)
    assert (siege.felt.refused, siege.felt.thrown_out) == (0, 0)
    assert siege.ready_after
    assert siege.in_store == []
    assert siege.memory_most >= siege.memory_before > 10 * MIB
    assert siege.attacker["sessions"] > 0
    assert siege.synced
    assert all(took > 0 for _, took in siege.synced)


_ENDLESS = """
from crdt_bench.campaign.siege import attacker

async def for_ever(self, step):
    self.counts["sessions"] += 1
    while True:
        pass

attacker._LATE_S_MAX = 0.1
attacker._Attacker.take = for_ever
attacker.attack(0, 0, 6)
"""


def test_an_attack_ends_in_time_though_its_round_does_not():
    ran = subprocess.run((sys.executable, "-c", _ENDLESS), input="0.1\n", stdout=subprocess.PIPE, text=True, check=True)
    ready, did = map(json.loads, ran.stdout.splitlines())
    assert ready == "ready"
    assert did["sessions"] == 1
