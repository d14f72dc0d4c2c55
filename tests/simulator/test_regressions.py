"""Seeds in which a defect of the core was found, as they were drawn then; docs/simulator.md tells the defects."""

from dataclasses import replace

import pytest

from benchmarks.simulator.scenario import draw
from benchmarks.simulator.world import simulate

FOUND = {
    "a push on the beliefs of a relay's lost epoch was taken for the whole record": (58, "relay_rolled_back"),
    "entries were kept for a relay that was wiped": (16, "relay_wiped"),
    "stamps refused once were refused for good": (5, "device_clock"),
    "a deletion was stamped before the one that it replaced": (33, "device_clock"),
    "what a failed commit left behind was acknowledged": (146, ""),
    "the worker kept what was discarded": (75, "relay_disk_fails"),
    "an edit that was found whole after a failure was pushed by nobody": (74, ""),
}


@pytest.mark.parametrize("defect", FOUND)
def test_the_seed_in_which_a_defect_was_found_passes(defect: str) -> None:
    seed, only = FOUND[defect]
    scenario = draw(seed)
    if only:
        scenario = replace(scenario, faults={only: scenario.faults[only]})
    assert simulate(scenario).failure is None
