"""What `import` tells: counts, cells that both sides changed, and in a dry run all that would change."""

from dataclasses import asdict

from crdt_sync.cli.output import Output
from crdt_sync.cli.values import shown
from crdt_sync.exchange import CellChange, ImportReport

_CELLS_SHOWN = 20


def tell_import(output: Output, report: ImportReport) -> None:
    """The result, then notes about what needs a look."""
    data = {name: value for name, value in asdict(report).items() if name != "failed"}
    parts = [
        f"{report.created} new",
        f"{report.updated} changed",
        f"{report.unchanged} unchanged",
        *([f"{report.empty} empty"] if report.empty else []),
        f"{report.failures} failed",
    ]
    into = "would go into" if report.dry_run else "into"
    output.result(data, f"{report.rows} rows {into} {report.collection!r}: {', '.join(parts)}.")
    if report.dry_run:
        _list(output, "would change", report.changes, report.cells_written)
        output.note("Nothing was written; leave out --dry-run to import.")
    if report.cells_both_changed:
        count = f"{report.cells_both_changed} cell" + "s" * (report.cells_both_changed != 1)
        output.note(
            f"{count} changed in the table and here, too; what was written here stays. "
            "See 'crdt-sync conflicts', or correct the table:",
            "yellow",
        )
        _list(output, "both changed", report.conflicts, report.cells_both_changed)
    if report.inferred and not report.dry_run:
        output.note(
            f"A schema for {report.collection!r} was made from the table: crdt-sync schema show {report.collection}"
        )
    if report.unmapped:
        columns = ", ".join(repr(column) for column in report.unmapped[:12])
        output.note(f"Columns without a field: {columns}. Map them with --map 'HEADER=FIELD'.", "yellow")


def _list(output: Output, what: str, cells: tuple[CellChange, ...], count: int) -> None:
    for cell in cells[:_CELLS_SHOWN]:
        output.note(
            f"  line {cell.line}, column {cell.column!r}, {what}: here {_short(cell.here)}, table {_short(cell.table)}"
        )
    if len(cells) > _CELLS_SHOWN:
        output.note(f"  and {len(cells) - _CELLS_SHOWN} more; --json lists {len(cells)} of {count}.")


def _short(value: object) -> str:
    text = shown(value)
    return repr(text if len(text) <= 60 else text[:59] + "…")
