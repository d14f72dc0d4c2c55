"""A failing scenario becomes smaller, and still fails by the same rule."""

from crdt_bench.simulator.mutants_device import DEVICE_MUTANTS
from crdt_bench.simulator.scenario import draw
from crdt_bench.simulator.shrink import shrink
from crdt_bench.simulator.world import simulate


def test_shrinking_ends_at_what_the_failure_needs() -> None:
    scenario = draw(1, steps=200, devices=5)

    def fails(candidate: object) -> str | None:
        enough = candidate.steps >= 7 and candidate.devices >= 3  # type: ignore[attr-defined]
        return "planted" if enough else None

    smallest = shrink(scenario, fails)
    assert (smallest.steps, smallest.devices, smallest.records) == (7, 3, 1)
    assert not smallest.faults
    assert not smallest.scales


def test_a_real_failure_shrinks_to_a_few_steps() -> None:
    mutant = next(mutant for mutant in DEVICE_MUTANTS if mutant.name == "outbox is not written")

    def rule(candidate: object) -> str | None:
        failure = simulate(candidate).failure  # type: ignore[arg-type]
        return failure.rule if failure else None

    with mutant.planted():
        smallest = shrink(mutant.scenario(0), rule, runs_max=60)
        assert rule(smallest) == "convergence"
    assert smallest.steps < 10
    assert rule(smallest) is None
