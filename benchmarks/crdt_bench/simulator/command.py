"""`crdt-bench simulate`: run seeds, replay one, shrink a failure, hunt mutants."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from crdt_bench.simulator.campaign import MUTANTS, hunt, run_on, run_seeds
from crdt_bench.simulator.scenario import Scenario, draw, pinned
from crdt_bench.simulator.shrink import shrink
from crdt_bench.simulator.world import Outcome, simulate
from crdt_sync.cli.options import PATH

_FAILURES_SHOWN_MAX = 20


@click.command("simulate")
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, metavar="N", help="The seed to run, or the first of several."
)
@click.option("--seeds", type=click.IntRange(min=1), default=1, metavar="N", help="How many seeds.")
@click.option("--jobs", type=click.IntRange(min=1), default=1, metavar="N", help="Processes to run them in.")
@click.option("--steps", type=click.IntRange(min=1), metavar="N", help="Steps of each run, instead of a drawn number.")
@click.option(
    "--devices", type=click.IntRange(min=1), metavar="N", help="Devices of each run, instead of a drawn number."
)
@click.option("--trace", type=PATH, metavar="FILE", help="Write the trace of one seed, or of a failure, here.")
@click.option("--shrink/--no-shrink", "minimise", default=True, help="Make the first failure smaller.")
@click.option("--state", type=PATH, metavar="FILE", help="Keep in this file what was run, and go on where it stopped.")
@click.option("--mutants", is_flag=True, help="Instead, plant each known bug and see that it is noticed.")
def run(
    seed: int,
    seeds: int,
    jobs: int,
    steps: int | None,
    devices: int | None,
    trace: Path | None,
    minimise: bool,
    state: Path | None,
    mutants: bool,
) -> None:
    """Run the real core on a virtual clock, network and disk, under faults drawn from a seed.

    The same seed gives the same run, byte for byte. Exit code 1: a promise was broken.
    """
    console = Console()
    if mutants:
        raise click.exceptions.Exit(_hunt_all(console))
    if seeds == 1 and state is None:
        raise click.exceptions.Exit(_run_one(console, draw(seed, steps, devices), trace, minimise))
    failures = _run_many(
        console, seed, seeds, state, lambda first, count: run_seeds(first, count, jobs, steps, devices)
    )
    for outcome in failures[:_FAILURES_SHOWN_MAX]:
        console.print(f"seed {outcome.scenario.seed}: {outcome.failure}", style="red", markup=False, highlight=False)
    if failures:
        _explain(console, failures[0].scenario, trace, minimise)
        raise click.exceptions.Exit(1)


def _run_one(console: Console, scenario: Scenario, trace: Path | None, minimise: bool) -> int:
    begun = time.perf_counter()
    outcome = simulate(scenario, keep_trace=trace is not None)
    seconds = time.perf_counter() - begun
    console.print(scenario.describe(), markup=False, highlight=False)
    console.print(
        f"trace {outcome.trace}: {outcome.events} events ({outcome.events / seconds:,.0f} a second), "
        f"{outcome.edits} edits, {outcome.frames} frames, {outcome.bytes} bytes, "
        f"{outcome.virtual_us / 1e6:.1f} s of virtual time",
        markup=False,
        highlight=False,
    )
    if outcome.failure is not None:
        console.print(f"seed {scenario.seed}: {outcome.failure}", style="red", markup=False, highlight=False)
        _explain(console, scenario, trace, minimise)
        return 1
    if trace is not None:
        _write(trace, outcome)
    return 0


def _run_many(
    console: Console, first: int, count: int, state: Path | None, run_range: Callable[[int, int], Iterator[Outcome]]
) -> list[Outcome]:
    failures: list[Outcome] = []
    events = edits = ran = 0
    outcomes = run_on(state, first, count, run_range) if state else run_range(first, count)
    begun = time.perf_counter()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("histories", total=count)
        for outcome in outcomes:
            ran, events, edits = ran + 1, events + outcome.events, edits + outcome.edits
            progress.update(task, completed=outcome.scenario.seed + 1 - first)
            if outcome.failure is not None:
                failures.append(outcome)
                progress.update(task, description=f"histories, {len(failures)} failed")
    seconds = time.perf_counter() - begun
    console.print(
        f"{ran} histories from seed {first}: {len(failures)} failed; {edits:,} edits, {events:,} events, "
        f"{events / seconds:,.0f} events a second",
        highlight=False,
    )
    return failures


def _explain(console: Console, scenario: Scenario, trace: Path | None, minimise: bool) -> None:
    """Shrink a failure and write down what happens in it."""
    if minimise:
        with console.status("making it smaller …"):
            scenario = shrink(scenario, _rule)
    outcome = simulate(scenario, keep_trace=True)
    path = trace or Path(f"trace-{scenario.seed}.txt")
    _write(path, outcome)
    console.print(f"smallest: {scenario.describe()}\n{outcome.failure}", markup=False, highlight=False)
    console.print(f"{len(outcome.lines)} lines of trace in {path}", markup=False, highlight=False)
    console.print("for tests/simulator/test_regressions.py:", highlight=False)
    print(pinned(str(outcome.failure).partition("\n")[0], scenario))  # not by the console, which would wrap it


def _rule(scenario: Scenario) -> str | None:
    failure = simulate(scenario).failure
    return None if failure is None else failure.rule


def _write(path: Path, outcome: Outcome) -> None:
    path.write_text("\n".join(outcome.lines) + "\n", encoding="utf-8")


def _hunt_all(console: Console) -> int:
    survivors = 0
    for mutant in MUTANTS:
        with console.status(mutant.name):
            outcome = hunt(replace(mutant, seeds_from=0))
        if outcome is None:
            survivors += 1
            console.print(f"SURVIVED {mutant.seeds_max} seeds: {mutant.name}", style="red", highlight=False)
        else:
            assert outcome.failure is not None
            after = outcome.scenario.seed + 1
            console.print(f"{mutant.name}: noticed in seed {after} of {mutant.seeds_max}, {outcome.failure.rule}")
    return 1 if survivors else 0
