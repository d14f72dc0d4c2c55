"""Make a failing scenario smaller while it fails by the same rule: fewer steps, devices, records, faults, limits."""

from collections.abc import Callable, Iterator
from dataclasses import replace

from crdt_bench.simulator.scenario import Scenario

RUNS_MAX = 200

Fails = Callable[[Scenario], str | None]  # the rule that was broken, or None


def candidates(scenario: Scenario) -> Iterator[Scenario]:
    """Smaller scenarios, the greatest savings first."""
    for steps in (scenario.steps // 4, scenario.steps // 2, scenario.steps * 3 // 4, scenario.steps - 1):
        if 0 < steps < scenario.steps:
            yield replace(scenario, steps=steps)
    if scenario.neighbours:
        yield replace(scenario, neighbours=0.0)
    if scenario.renews:
        yield replace(scenario, renews=False)
    for fault in scenario.faults:
        yield scenario.without(fault)
    for devices in range(2, scenario.devices):
        yield replace(scenario, devices=devices)
    for records in (1, scenario.records // 2):
        if 0 < records < scenario.records:
            yield replace(scenario, records=records)
    for limit in (name for name in scenario.scales if not (scenario.quotas and name == "QUOTA_DAY_US")):
        yield replace(scenario, scales={name: value for name, value in scenario.scales.items() if name != limit})


def shrink(scenario: Scenario, fails: Fails, runs_max: int = RUNS_MAX) -> Scenario:
    """The smallest scenario found in `runs_max` runs. `fails` runs one and names the rule that it breaks."""
    rule = fails(scenario)
    runs = 0
    smaller = True
    while smaller and runs < runs_max:
        smaller = False
        for candidate in candidates(scenario):
            runs += 1
            if fails(candidate) == rule:
                scenario, smaller = candidate, True
                break
            if runs >= runs_max:
                break
    return scenario
