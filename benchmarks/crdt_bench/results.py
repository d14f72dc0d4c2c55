"""What an experiment returns, and how it is written down: tidy CSV, JSON, and a table for people."""

import csv
import json
import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from crdt_bench.statistics import median

_LIBRARIES = ("crdt-sync", "pycrdt", "lmdb", "cbor2", "websockets", "uvloop")


@dataclass(frozen=True, slots=True)
class Target:
    """The bound that a measurement should keep."""

    side: Literal["at most", "at least"]
    bound: float

    def reached(self, value: float) -> bool:
        """Whether `value` keeps the bound."""
        return value <= self.bound if self.side == "at most" else value >= self.bound


@dataclass(frozen=True, slots=True)
class Measurement:
    """One quantity, measured once or in several rounds; its value is the median of the samples."""

    experiment: str
    metric: str
    unit: str
    samples: tuple[float, ...]
    target: Target | None = None
    note: str = ""

    @property
    def value(self) -> float:
        """The median."""
        return median(self.samples)

    @property
    def reached(self) -> bool | None:
        """Whether the median keeps the target; None where there is no target."""
        return None if self.target is None else self.target.reached(self.value)


@dataclass(frozen=True, slots=True)
class Skipped:
    """An experiment that could not run here, and why."""

    experiment: str
    reason: str


Outcome = Measurement | Skipped


def machine() -> dict[str, str]:
    """What the figures depend on besides the code."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "processors": str(os.cpu_count()),
        "processor": models[0] if models else platform.processor(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "load before": f"{os.getloadavg()[0]:.2f}",
        **{name: version(name) for name in _LIBRARIES},
    }


def write(outcomes: Sequence[Outcome], facts: dict[str, str], folder: Path) -> None:
    """Write `measurements.csv` (a row per sample) and `summary.json` (medians, targets, the machine)."""
    folder.mkdir(parents=True, exist_ok=True)
    measurements = [outcome for outcome in outcomes if isinstance(outcome, Measurement)]
    with (folder / "measurements.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(("experiment", "metric", "unit", "sample", "value"))
        for item in measurements:
            writer.writerows(
                (item.experiment, item.metric, item.unit, number, value) for number, value in enumerate(item.samples)
            )
    summary = {
        "machine": facts,
        "measurements": [_summary(item) for item in measurements],
        "skipped": {item.experiment: item.reason for item in outcomes if isinstance(item, Skipped)},
    }
    text = json.dumps(summary, ensure_ascii=False, indent=2) + "\n"
    (folder / "summary.json").write_text(text, "utf-8")


def _summary(item: Measurement) -> dict[str, object]:
    return {
        "experiment": item.experiment,
        "metric": item.metric,
        "unit": item.unit,
        "median": item.value,
        "least": min(item.samples),
        "most": max(item.samples),
        "samples": len(item.samples),
        "target": f"{item.target.side} {item.target.bound:g}" if item.target else None,
        "reached": item.reached,
        "note": item.note,
    }


def show(outcomes: Iterable[Outcome], facts: dict[str, str], console: Console) -> None:
    """Print one table: medians, below them their spread, beside them the targets."""
    table = Table(box=SIMPLE, title="crdt-bench", caption=", ".join(f"{name} {value}" for name, value in facts.items()))
    table.add_column("measured")
    table.add_column("median", justify="right", no_wrap=True)
    table.add_column("target", justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    previous = ""
    for outcome in outcomes:
        if outcome.experiment != previous:
            if previous:
                table.add_section()
            table.add_row(f"[bold]{outcome.experiment}[/bold]")
        previous = outcome.experiment
        if isinstance(outcome, Skipped):
            table.add_row(f"[yellow]skipped: {outcome.reason}[/yellow]")
        else:
            table.add_row(*_row(outcome))
    console.print(table)


def _row(item: Measurement) -> tuple[str, str, str, str]:
    spread = f"{number(min(item.samples))} to {number(max(item.samples))}" if len(item.samples) > 1 else ""
    return (
        item.metric + (f"\n[dim]{item.note}[/dim]" if item.note else ""),
        f"{number(item.value)} {item.unit}".strip() + (f"\n[dim]{spread}[/dim]" if spread else ""),
        f"{item.target.side} {number(item.target.bound)}" if item.target else "",
        {True: "[green]reached[/green]", False: "[red]missed[/red]", None: ""}[item.reached],
    )


def number(value: float) -> str:
    """A figure with as many digits as a measurement deserves."""
    size = abs(value)
    if size >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.1f}" if size >= 10 else f"{value:.2f}" if size >= 1 else f"{value:.3f}"
