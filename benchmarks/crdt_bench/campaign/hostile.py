"""Hostile bytes, in processes that may be killed by them: every reader gets its share of the inputs."""

from functools import partial

from crdt_bench.campaign.confined import confined
from crdt_bench.campaign.hostile_inputs import TARGETS, Target
from crdt_bench.campaign.tally import Tally

_BATCH_SEEDS = 100
_BATCH_SECONDS_MAX = 60
_SECONDS_MAX = 5
_MEMORY_BYTES_MAX = 2 << 30


def run(seed: int, count: int) -> Tally:
    """Give at least `count` inputs in all to the readers, in turn."""
    tally = Tally("hostile bytes", "inputs", seed)
    position = seed
    while tally.ran < count:
        for target in TARGETS:
            _batch(target, range(position, position + _BATCH_SEEDS), tally)
        position += _BATCH_SEEDS
    return tally


def _batch(target: Target, seeds: range, tally: Tally) -> None:
    outcome = confined(partial(_attack, target, seeds), _BATCH_SECONDS_MAX, _MEMORY_BYTES_MAX)
    if outcome.isdigit():
        tally.ran += int(outcome)
        tally.outcomes[target.name] += int(outcome)
        return
    for seed in seeds:
        outcome = confined(partial(_attack, target, range(seed, seed + 1)), _SECONDS_MAX, _MEMORY_BYTES_MAX)
        if outcome.isdigit():
            tally.ran += int(outcome)
            tally.outcomes[target.name] += int(outcome)
        else:
            tally.ran += 1
            tally.found(f"{target.name}, seed {seed}: {outcome}")


def _attack(target: Target, seeds: range) -> str:
    return str(sum(target.attack(seed) for seed in seeds))
