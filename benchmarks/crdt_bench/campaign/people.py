"""Histories with people on the simulator: a policy that changes, devices that are revoked, and faults."""

from crdt_bench.campaign.tally import Tally
from crdt_bench.simulator.scenario import draw, draw_masks, with_people
from crdt_bench.simulator.world import simulate

_OFTEN = 0.08  # that an operator acts, per step


def run(seed: int, count: int) -> Tally:
    """So many histories, from that seed on."""
    tally = Tally("people", "histories", seed)
    for number in range(seed, seed + count):
        outcome = simulate(with_people(draw(number), _OFTEN, masks=draw_masks(number)))
        tally.ran += 1
        tally.outcomes["kept every promise" if outcome.failure is None else "failed"] += 1
        if outcome.failure is not None:
            tally.found(f"seed {number}: {outcome.failure}")
    return tally
