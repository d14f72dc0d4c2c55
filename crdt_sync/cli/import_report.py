"""What `import` tells: counts, cells that both sides changed, and in a dry run all that would change."""

import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict

from crdt_sync.cli.output import Output
from crdt_sync.cli.values import counted, local_time, shown
from crdt_sync.errors import KeyNeeded
from crdt_sync.exchange import CellChange, ImportReport
from crdt_sync.exchange.source_name import source_name, with_its_words
from crdt_sync.exchange.table import BASE_HEADER
from crdt_sync.records.memory.sources import is_plain_edits

_CELLS_SHOWN = 20
_CHANGED_SHOWN = 5  # enough to see that a column is not what it was taken for
_ODD_SHOWN = 3


def ask_for_key(output: Output, needed: KeyNeeded) -> list[str] | None:
    """The column that a person chooses, None for whole rows. Raises `needed` where nobody can be asked."""
    if not output.can_ask:
        raise needed
    output.note("Which column identifies a row, so that an edited row is no new customer?")
    for number, header in enumerate(needed.candidates, 1):
        output.note(f"  {number}: {header}")
    output.note("  0: none, each row as a whole")
    while True:
        answer = sys.stdin.readline()
        if not answer:
            raise needed
        if answer.strip().isdecimal() and 0 <= (number := int(answer)) <= len(needed.candidates):
            return [needed.candidates[number - 1]] if number else None
        output.note(f"Type a number from 0 to {len(needed.candidates)}.")


def tell_source(output: Output, name: str, report: ImportReport) -> None:
    """Where words of a file's name were left out that may also tell lists apart, what it was taken for."""
    whole = with_its_words(name)
    if report.source == source_name(name) != whole:
        output.note(
            f"{whole!r} counts as a version of {report.source!r}: only what changed since that was imported last is "
            f"news. If it is another list: --source {shlex.quote(whole)}"
        )


def tell_import(output: Output, report: ImportReport) -> None:
    """The result, then notes about what needs a look."""
    data = {name: value for name, value in asdict(report).items() if name != "failed"}
    parts = [
        f"{report.created} new",
        f"{report.updated} changed",
        f"{report.unchanged} unchanged",
        *([f"{report.empty} empty"] if report.empty else []),
        *([f"{report.deleted} deleted here"] if report.deleted else []),
        f"{report.failures} failed",
    ]
    if report.cells_failed:
        parts.append(f"{counted(report.cells_failed, 'cell')} left out")
    into = "would go into" if report.dry_run else "into"
    output.result(data, f"{counted(report.rows, 'row')} {into} {report.collection!r}: {', '.join(parts)}.")
    if report.deleted:
        output.note(
            f"{counted(report.deleted, 'row')} {'is' if report.deleted == 1 else 'are'} of customers that were "
            "deleted here, and left out; 'crdt-sync list --deleted' shows them, 'crdt-sync restore RECORD' brings one "
            "back.",
        )
    if report.alike:
        output.note(
            f"{report.alike} of the new ones {'looks' if report.alike == 1 else 'look'} like customers that were here: "
            "an equal e-mail address or phone, or the name with birthday, postal code or city. Compare them: "
            f"crdt-sync duplicates {report.collection}",
            "yellow",
        )
    _tell_key(output, report)
    if report.dry_run:
        _list(output, "would change", report.changes, report.cells_written)
        output.note("Nothing was written; leave out --dry-run to import.")
    else:
        _list(output, "changed", report.changes, report.cells_written, _CHANGED_SHOWN)
    _tell_both_changed(output, report)
    if report.cells_older and report.newer_said is not None:
        word = "would be left" if report.dry_run else "left"
        output.note(
            f"This is an older version of {report.source!r} than the one of {local_time(report.newer_said)}: "
            f"{counted(report.rows_older, 'row')} {word} as the newer says; --go-back goes back on purpose:",
            "yellow",
        )
        _list(output, word, report.older, report.cells_older)
    if report.cells_emptied:
        _tell_emptied(output, report)
    if report.cells_odd:
        shown = "; ".join(map(str, report.odd[:_ODD_SHOWN]))
        more = f"; and {report.cells_odd - _ODD_SHOWN} more" if report.cells_odd > _ODD_SHOWN else ""
        cells = "1 cell looks" if report.cells_odd == 1 else f"{report.cells_odd} cells look"
        word = "would be taken" if report.dry_run else "taken"
        output.note(f"{cells} odd, {word} all the same: {shown}{more}.", "yellow")
    _tell_origin(output, report)
    if report.cells_settled:
        word = "would settle" if report.dry_run else "settled"
        output.note(
            f"{counted(report.cells_settled, 'cell')} {word} what earlier imports of "
            f"{report.source!r} disagreed about:",
            "yellow",
        )
        _list(output, word, report.settled, report.cells_settled)
    if report.inferred and not report.dry_run:
        output.note(
            f"A schema for {report.collection!r} was made from the table: crdt-sync schema show {report.collection}"
        )
    if report.remembered:
        went = ", ".join(
            f"{header!r} {f'goes to {field}' if field else 'is left out'}"
            for header, field in report.remembered.items()
        )
        output.note(f"{went}, as last time; --map says otherwise.")
    if report.missing and report.unmapped:
        first = shlex.quote(f"{report.unmapped[0]}={report.missing[0]}")
        output.note(
            f"No column goes to {' and '.join(map(repr, report.missing))}, which each new record needs. If it is one "
            f"of those without a field, say which, as with --map {first}",
            "yellow",
        )
    if report.unmapped:
        columns = ", ".join(repr(column) if column else "one without a header" for column in report.unmapped)
        output.note(f"Columns without a field: {columns}. Map them with --map 'HEADER=FIELD'.", "yellow")


def _tell_origin(output: Output, report: ImportReport) -> None:
    """Where the table seems to come from: an export, or another source."""
    if report.looks_exported and report.created:
        output.note(
            f"{counted(report.created, 'row')} new here, in what looks like an export of this collection. If another "
            "device has these records, sync before you import it: else they are there twice afterwards, or have their "
            f"notes and counts twice. 'crdt-sync duplicates {report.collection}' lists those alike. An export with "
            "--record-column names its records, one for editing (--for-editing) also says what was edited.",
            "yellow",
        )
    elif report.created and report.record_column not in (None, BASE_HEADER):
        output.note(
            f"{counted(report.created, 'row')} new here, in a table with record ids. If another device has these, "
            "sync before you import them: else they have their notes and counts twice afterwards.",
            "yellow",
        )
    elif report.looks_exported and report.renamed is not None:
        output.note(
            "This looks like an export of this collection, which does not say what was edited in it. Edit a file from "
            "'crdt-sync export FILE --for-editing': then only what changed in it counts, on any device.",
            "yellow",
        )
    elif report.renamed is not None:
        output.note(
            f"Most of those rows came from {report.renamed!r} before, and {report.source!r} is new to them. If this is "
            "a newer version of that file under another name, import it with --source "
            f"{shlex.quote(report.renamed)}: then only what changed in it counts.",
            "yellow",
        )


def _tell_key(output: Output, report: ImportReport) -> None:
    columns = " and ".join(map(repr, report.key))
    added = ""
    if report.record_column is not None:
        output.note(f"Rows are identified by the record ids in {report.record_column!r}.")
        added = " that were added"
    if report.key_found and (not added or report.rows > report.recognised):
        output.note(f"Rows{added} are identified by {columns}; choose another column with --key.")
        for over in report.passed_over:
            repeats = over.code == "repeated"
            why, bad = ("its values repeat", "that repeat one") if repeats else ("too many rows lack it", "without it")
            output.note(
                f"{over.column!r} was passed over, as {why} ({over}). If it is what tells customers apart: "
                f"--key {shlex.quote(over.column)}; then the rows {bad} are errors.",
                "yellow",
            )
    if report.other_key:
        given = " ".join(f"--key {shlex.quote(column)}" for column in report.key)
        other = " and ".join(map(repr, report.other_key))
        output.note(
            f"The next import goes by {other} again, by which most of these rows were imported: for {columns} say "
            f"{given} each time.",
            "yellow",
        )
    elif report.key and not (report.key_found or report.key_lasts):
        output.note(
            f"{columns} does not tell all rows apart, so the next import goes by it only if --key says so again.",
            "yellow",
        )
    if report.recognised:
        belong = (
            "row belongs to the record that it was"
            if report.recognised == 1
            else "rows belong to records that they were"
        )
        output.note(f"{report.recognised} {belong} exported from, or imported into, before.")
    if report.matched:
        were = "row belongs to a record that was" if report.matched == 1 else "rows belong to records that were"
        output.note(f"{report.matched} {were} here already with the same {columns}.")
    for each in report.shared[:_CELLS_SHOWN]:
        output.note(
            f"  line {each.line}, column {each.column!r}: shares it with {each.other} ({each.name}), another name; "
            "it is a record of its own.",
            "yellow",
        )
    if report.keys_shared > _CELLS_SHOWN:
        output.note(f"  and {report.keys_shared - _CELLS_SHOWN} more rows share an address or a phone; see --json.")
    if report.without_key and report.key:
        have = "has" if report.without_key == 1 else "have"
        output.note(
            f"{counted(report.without_key, 'row')} {have} no {columns}: edited, or in another table, they will be new "
            "records.",
            "yellow",
        )
    if not report.key and report.without_key and (report.created or report.passed_over):
        why = f" ({'; '.join(map(str, report.passed_over))})" if report.passed_over else ""
        output.note(
            f"No column identifies the rows{added}{why}, so each row as a whole is a record: one that is edited, or "
            "comes in another table, will be a new record. Name columns that do with --key.",
            "yellow",
        )
    if report.created and report.rows_gone:
        new = "row would be" if report.created == 1 else "rows would be"
        if not report.dry_run:
            new = "row is" if report.created == 1 else "rows are"
        gone = "is" if report.rows_gone == 1 else "are"
        output.note(
            f"{report.created} {new} new, and {report.rows_gone} of before {gone} in this table no more: were they "
            f"edited? Then both are customers now; 'crdt-sync duplicates {report.collection}' lists those alike.",
            "yellow",
        )
        for pair in report.perhaps_edited[:_CELLS_SHOWN]:
            output.note(
                f"  line {pair.line}, {pair.name!r}: new; in no row any more is {pair.before}, of the same name"
            )
        if len(report.perhaps_edited) > _CELLS_SHOWN:
            output.note(f"  and {len(report.perhaps_edited) - _CELLS_SHOWN} more of one name; see --json.")


def _tell_both_changed(output: Output, report: ImportReport) -> None:
    """Of cells that both changed what is shown: what was here, or what the table says."""
    uncounted, overruled = report.cells_not_counted, report.cells_overruled
    if uncounted:
        _tell_counts(output, report, [cell for cell in report.conflicts if cell.kept == "later"])
    stay = report.cells_both_changed - overruled - uncounted
    if stay:
        cells = tuple(cell for cell in report.conflicts if cell.stays and cell.kept != "later")
        output.note(
            f"{counted(stay, 'cell')} changed in the table and here, too; what was written here stays. "
            f"{_where(report, cells)}:",
            "yellow",
        )
        _list(output, "both changed", cells, stay)
    if overruled:
        cells = tuple(cell for cell in report.conflicts if not cell.stays)
        now = "would be shown" if report.dry_run else "is shown now"
        output.note(
            f"{counted(overruled, 'cell')} changed in the table and here, too; "
            f"what this table says {now}, and what was here is kept. {_where(report, cells)}:",
            "yellow",
        )
        _list(output, "both changed", cells, overruled)


def _tell_counts(output: Output, report: ImportReport, cells: Sequence[CellChange]) -> None:
    """Of counts of which nobody knows how much was counted here already."""
    export = _of_export(report)
    count = report.cells_not_counted
    what = "cell has a count" if count == 1 else "cells have counts"
    output.note(
        f"{count} {what} of which nothing says how much is counted here already. Nothing of it "
        f"{'would be' if report.dry_run else 'is'} counted now; from the next version of the table on, the difference "
        f"to it is{export or '. Where it is right, set it here'}:",
        "yellow",
    )
    for cell in cells[:_CELLS_SHOWN]:
        sets = f"; crdt-sync set {cell.record} {cell.field}={shown(cell.table)}"
        output.note(
            f"  line {cell.line}, column {cell.column!r}: here {_short(cell.here)}, table {_short(cell.table)}"
            f"{'' if export else sets}"
        )
    if count > _CELLS_SHOWN:
        output.note(f"  and {count - _CELLS_SHOWN} more; see --json.")


def _of_export(report: ImportReport) -> str:
    """What to know of an export that does not say what it was edited from."""
    plain = report.record_column not in (None, BASE_HEADER) or is_plain_edits(report.source)
    return "; an export made with 'export --for-editing' says what was edited in it" if plain else ""


def _tell_emptied(output: Output, report: ImportReport) -> None:
    """Of cells that became empty: that their fields stay, and what empties them."""
    stay = "would stay" if report.dry_run else "stays"
    ways = f"; --clear-empty clears {report.cells_clearable} of them" if report.cells_clearable else ""
    output.note(
        f"{counted(report.cells_emptied, 'cell')} {'was' if report.cells_emptied == 1 else 'were'} emptied in the "
        f"table; what is here {stay}{ways}:",
        "yellow",
    )
    for cell in report.emptied[:_CELLS_SHOWN]:
        way = {
            "import": "--clear-empty clears it",
            "set": f"clear it with: crdt-sync set {cell.record} {cell.field}=",
            "": "it cannot be emptied",
        }[cell.clears]
        output.note(f"  line {cell.line}, column {cell.column!r}, emptied: here {_short(cell.here)}; {way}")
    if report.cells_emptied > _CELLS_SHOWN:
        listed = len(report.emptied)
        output.note(
            f"  and {report.cells_emptied - _CELLS_SHOWN} more; --json lists {listed} of {report.cells_emptied}."
        )


def _where(report: ImportReport, cells: tuple[CellChange, ...]) -> str:
    """What to do about cells that both changed."""
    kept = {cell.kept for cell in cells}
    if report.dry_run or not kept - {""}:
        return f"Correct the table, or change it here{_of_export(report)}"
    listed = f"See 'crdt-sync conflicts{' --all' if 'beside' in kept else ''}'"
    if "" in kept:
        return f"{listed} where both are kept; else correct the table, or change it here"
    return f"{listed}, or correct the table"


def _list(output: Output, what: str, cells: tuple[CellChange, ...], count: int, most: int = _CELLS_SHOWN) -> None:
    both = what == "both changed"
    differ = both and len({bool(cell.kept) for cell in cells}) > 1
    for cell in cells[:most]:
        output.note(
            f"  line {cell.line}, column {cell.column!r}, {what}: here {_short(cell.here)}"
            + (f" -> {_short(cell.result)}" if cell.result not in (None, cell.table) and not both else "")
            + f", table {_short(cell.table)}"
            + (f"; {'both are kept' if cell.kept else 'only that here is kept'}" if differ else "")
        )
    if len(cells) > most:
        output.note(f"  and {len(cells) - most} more; --json lists {len(cells)} of {count}.")


def _short(value: object) -> str:
    text = shown(value)
    return repr(text if len(text) <= 60 else text[:59] + "…")
