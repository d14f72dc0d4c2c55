"""Attacks beside honest devices: what they feel is judged, and what is sent is what is meant."""

import random
from dataclasses import replace

import pytest

from crdt_bench.campaign.siege import frames
from crdt_bench.campaign.siege.judging import GROWTH_BYTES_MAX, Felt, Siege
from crdt_bench.campaign.siege.named import NAMED
from crdt_bench.campaign.siege.part import Sizes, besieged
from crdt_bench.campaign.siege.program import Send, drawn
from crdt_bench.usage import MIB
from crdt_sync.errors import ProtocolViolation
from crdt_sync.limits import FRAME_BYTES_MAX
from crdt_sync.protocol import codec
from crdt_sync.records import Integrator

_EVEN = tuple((second / 10, 0.02) for second in range(300))  # ten devices, each once a second, for 30 s
_CALM = Siege(10.0, 20.0, 25.0, 30.0, Felt(_EVEN, 0, 0), 100 * MIB, 101 * MIB, ready_after=True, intact=True)


def _felt(took: float | None, begin: float, end: float) -> Felt:
    return Felt([(due, took if begin <= due < end else usual) for due, usual in _EVEN], 0, 0)


def test_a_siege_that_nobody_feels_breaks_no_promise():
    assert _CALM.findings() == []
    assert replace(_CALM, felt=_felt(0.039, 10, 20)).findings() == []
    assert replace(_CALM, felt=_felt(None, 20, 25)).findings() == []  # it has so long to recover
    assert "p99 before, during, after: 20 ms, 20 ms, 20 ms" in _CALM.figures()


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (replace(_CALM, felt=_felt(0.041, 10, 20)), "p99 during it 41 ms, before 20 ms"),
        (replace(_CALM, felt=_felt(0.041, 25, 30)), "p99 after it 41 ms, before 20 ms"),
        (replace(_CALM, felt=_felt(None, 15, 15.1)), "a push during it was never acknowledged"),
        (replace(_CALM, felt=_felt(None, 3, 4)), "not all pushes were acknowledged before the attack began"),
        (replace(_CALM, felt=replace(_CALM.felt, thrown_out=2)), "honest devices were thrown out 2 times"),
        (replace(_CALM, felt=replace(_CALM.felt, refused=3)), "3 honest updates were refused"),
        (replace(_CALM, memory_most=100 * MIB + GROWTH_BYTES_MAX + 1), "memory 100 MiB before, 164 at most"),
        (replace(_CALM, ready_after=False), "not ready 5 s after its end"),
        (replace(_CALM, intact=False), "verify of the store finds damage"),
    ],
)
def test_each_broken_promise_is_found(broken, said):
    assert broken.findings() == [said]


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
    assert siege.intact
    assert siege.memory_most >= siege.memory_before > 10 * MIB
