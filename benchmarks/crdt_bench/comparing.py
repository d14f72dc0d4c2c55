"""Two measurements beside each other: `crdt-bench compare`, which finds that hot paths take more than they did.

What is counted (`crdt-bench instructions`) does not depend on what else the machine does, so there a rise is one. Times
are shown beside each other where both were measured, and nobody is failed for them.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import click
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from crdt_bench.experiments import instructions
from crdt_bench.results import Measurement
from crdt_sync.cli.commands import HELP
from crdt_sync.cli.options import PATH
from crdt_sync.errors import UsageError

TOLERANCE = 0.05
_RISEN = 1  # the exit code

Medians = Mapping[tuple[str, str], float]
"""By experiment and metric."""


@dataclass(frozen=True, slots=True)
class Compared:
    """One quantity of both; `ratio` is None where it was nothing before."""

    experiment: str
    metric: str
    before: float
    after: float

    @property
    def ratio(self) -> float | None:
        """After over before."""
        return self.after / self.before if self.before else None

    def risen(self, tolerance: float) -> bool:
        """Whether it was counted, and is more than it was by more than that share."""
        return self.experiment == instructions.NAME and self.after > self.before * (1 + tolerance)


def read(folder: Path) -> Medians:
    """The medians that `--out` wrote into a folder. Raises `UsageError`."""
    path = folder / "summary.json"
    try:
        found = json.loads(path.read_text("utf-8"))["measurements"]
        return {(str(each["experiment"]), str(each["metric"])): float(each["median"]) for each in found}
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", "Name a folder that --out wrote.") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UsageError(f"{path} is no summary of measurements", "Name a folder that --out wrote.") from error


def counted() -> Medians:
    """What `crdt-bench instructions` counts here and now."""
    outcomes = instructions.run(instructions.Sizes())
    return {(each.experiment, each.metric): each.value for each in outcomes if isinstance(each, Measurement)}


def uncounted(before: Medians, after: Medians) -> list[str]:
    """What was counted before and is not now: nobody knows whether it rose."""
    return [
        metric for experiment, metric in before if experiment == instructions.NAME and (experiment, metric) not in after
    ]


def compared(before: Medians, after: Medians) -> list[Compared]:
    """What both have, in the order of the first. Raises `UsageError` where that is nothing."""
    found = [Compared(*key, value, after[key]) for key, value in before.items() if key in after]
    if not found:
        raise UsageError("the two have no measurement in common", "Measure the same with --out, before and after.")
    return found


@click.command("compare", context_settings=HELP)
@click.argument("before", type=PATH)
@click.argument("after", type=PATH, required=False)
@click.option(
    "--tolerance",
    type=click.FloatRange(min=0),
    metavar="SHARE",
    default=TOLERANCE,
    show_default=True,
    help="By which share what is counted may rise.",
)
def run(before: Path, after: Path | None, tolerance: float) -> None:
    """Compare with what was measured BEFORE. Exit code 1: a hot path takes more.

    BEFORE and AFTER are folders that --out wrote. Without AFTER, what 'crdt-bench instructions' counts is counted here.

    \b
    crdt-bench instructions --out before     # then change the code
    crdt-bench compare before
    """
    first = read(before)
    second = counted() if after is None else read(after)
    found = compared(first, second)
    table = Table("measured", "before", "after", "ratio", box=SIMPLE)
    for each in found:
        ratio = "" if each.ratio is None else f"{each.ratio:.3f}"
        mark = "  risen" if each.risen(tolerance) else ""
        table.add_row(f"{each.experiment}: {each.metric}", f"{each.before:,.4g}", f"{each.after:,.4g}", ratio + mark)
    console = Console()
    console.print(table)
    if missing := uncounted(first, second):
        console.print(f"Counted before, and not after: {', '.join(missing)}", soft_wrap=True)
    if any(each.risen(tolerance) for each in found):
        raise click.exceptions.Exit(_RISEN)
