"""The figure of the reconciliation: bytes and processor time, against differences and against records."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from crdt_bench.statistics import median

if TYPE_CHECKING:
    from crdt_bench.experiments.reconciliation import Row

_STYLES = {"ranges": ("#0b6e4f", "o"), "plain list": ("#c26d00", "s"), "state vectors": ("#7a3b96", "^")}
_QUANTITIES: tuple[tuple[str, Callable[["Row"], float]], ...] = (
    ("bytes, both ways", lambda row: row.bytes),
    ("processor time of the busier side, ms", lambda row: row.cpu_ms),
)


def plot(rows: Sequence["Row"], path: Path) -> None:
    """Write the figure: medians of the rounds as lines, every round as a faint dot."""
    many = max({(row.records, row.differences) for row in rows}, key=lambda case: _cases_with(rows, case[0]))[0]
    few = max(
        {row.differences for row in rows}, key=lambda count: len({r.records for r in rows if r.differences == count})
    )
    figure = Figure(figsize=(10, 7.5), layout="constrained")
    axes = figure.subplots(2, 2, sharey="row")
    for line, (name, quantity) in enumerate(_QUANTITIES):
        axes[line][0].set_xscale("symlog", linthresh=1, linscale=0.4)
        axes[line][1].set_xscale("log")
        _draw(axes[line][0], [row for row in rows if row.records == many], lambda row: row.differences, quantity)
        _draw(axes[line][1], [row for row in rows if row.differences == few], lambda row: row.records, quantity)
        axes[line][0].set_ylabel(name)
        for ax in axes[line]:
            ax.set_yscale("log")
            ax.grid(True, which="major", color="#dddddd", linewidth=0.7)
            ax.spines[["top", "right"]].set_visible(False)
            ax.xaxis.set_major_formatter(FuncFormatter(_count))
            ax.yaxis.set_major_formatter(FuncFormatter(_count))
    axes[1][0].set_xlabel(f"records that differ, of {many:,}")
    axes[1][1].set_xlabel(f"records on each side, of which {few:,} differ")
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(labels), frameon=False)
    figure.savefig(path, dpi=130)


def _cases_with(rows: Sequence["Row"], records: int) -> int:
    return len({row.differences for row in rows if row.records == records})


def _draw(ax: Any, rows: Sequence["Row"], across: Callable[["Row"], int], up: Callable[["Row"], float]) -> None:
    for method, (colour, marker) in _STYLES.items():
        chosen = [row for row in rows if row.method == method]
        places = sorted({across(row) for row in chosen})
        middles = [median([up(row) for row in chosen if across(row) == place]) for place in places]
        ax.scatter(
            [across(row) for row in chosen], [up(row) for row in chosen], s=8, color=colour, alpha=0.3, linewidth=0
        )
        ax.plot(places, middles, color=colour, marker=marker, markersize=5, linewidth=1.6, label=method)
        ax.set_xticks(places)
    ax.xaxis.set_minor_locator(NullLocator())
    ax.margins(x=0.06)


def _count(value: float, _: object) -> str:
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g} {letter}"
    return f"{value:g}"
