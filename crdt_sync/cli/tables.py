"""Commands that bring tables in and out: `import`, `export`."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import Literal, cast

import click
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from crdt_sync.cli import damaged, safe_text
from crdt_sync.cli.import_report import ask_for_key, tell_import, tell_source
from crdt_sync.cli.invocation import Invocation
from crdt_sync.cli.options import PATH, collection_option
from crdt_sync.cli.ordering import ordered
from crdt_sync.cli.output import Output, PipeClosed
from crdt_sync.cli.reading_tables import (
    conventions_options,
    show_columns,
    tell_doubts,
    tell_form,
    tell_preview,
)
from crdt_sync.cli.schemaless import tell_schemaless
from crdt_sync.cli.targets import known_collection
from crdt_sync.errors import KeyNeeded, TableNotWritten, UnknownCollection, UsageError
from crdt_sync.exchange import (
    ExportOptions,
    ExportReport,
    Exports,
    ImportedTables,
    ImportProgress,
    ImportReport,
    RowError,
    TableOptions,
    export_table,
    import_table,
    infer_schema,
    open_table,
    preview_table,
    remembered_mapping,
)
from crdt_sync.exchange.base import edited_collection
from crdt_sync.exchange.conventions import Conventions
from crdt_sync.exchange.source_name import given_source, source_name
from crdt_sync.exchange.table import Table, TableFormat
from crdt_sync.replica import Replica
from crdt_sync.storage import LmdbStore

SOME_ROWS_FAILED = 7
_ERRORS_SHOWN = 20
_CLOSE = 0.75  # so much alike are names of which one is a slip of the other

format_option = click.option(
    "--format",
    "table_format",
    type=click.Choice(["csv", "tsv", "jsonl", "json", "xlsx"]),
    help="As the file's name says, if not given.",
)
delimiter_option = click.option(
    "--delimiter", metavar="CHARACTER", help="Between the cells of a text table, such as ';' or 'tab'."
)
encoding_option = click.option("--encoding", metavar="NAME", help="Such as utf-8, latin-1, gb18030.")


@click.command("import")
@click.argument("file", type=PATH, help="CSV, TSV, JSON, JSON lines, XLSX, vCards, or one in a ZIP or gzip.")
@collection_option
@click.option(
    "--map",
    "mapped",
    multiple=True,
    metavar="HEADER=FIELD",
    help="Column to field; 'Header=' leaves a column out. Repeatable.",
)
@click.option(
    "--key", multiple=True, metavar="COLUMN", help="Column that identifies a customer, such as a number. Repeatable."
)
@click.option("--no-key", is_flag=True, help="Each row as a whole is a customer; an edited row is a new one.")
@click.option("--record-column", metavar="COLUMN", help="Column that holds record ids.")
@format_option
@delimiter_option
@encoding_option
@click.option("--member", metavar="NAME", help="File inside a ZIP archive.")
@click.option("--select", metavar="NAME", help="Sheet of a workbook, or key in a JSON object.")
@click.option("--no-header", is_flag=True, help="The first row is data already.")
@click.option("--guarded", is_flag=True, help="Undo what 'export --guard' did, also where it is not found out.")
@click.option("--source", metavar="NAME", help="What the table is a version of; else the file's name says.")
@click.option("--same-source", is_flag=True, help="It is no other list, although its rows look like other people.")
@click.option("--as-new", is_flag=True, help="Its rows are new customers, although most look like ones that are here.")
@click.option(
    "--go-back", is_flag=True, help="Take an old version that was imported before for the newest, on purpose."
)
@click.option("--header-row", type=click.IntRange(min=1), metavar="N", help="Line that holds the headers, from 1.")
@conventions_options
@click.option(
    "--clear-empty",
    is_flag=True,
    help="Cells that became empty clear their value; notes and sets only in an export that was edited.",
)
@click.option("--preview", is_flag=True, help="Show how the table would be read, column by column, and write nothing.")
@click.option("--dry-run", is_flag=True, help="Show what would change, and write nothing.")
@click.option(
    "--infer/--no-infer",
    default=None,
    help="Make a schema for a new collection, also for one that is called like another.",
)
@click.pass_obj
def import_file(
    call: Invocation,
    file: Path,
    collection: str | None,
    mapped: Sequence[str],
    key: Sequence[str],
    no_key: bool,
    record_column: str | None,
    table_format: str | None,
    delimiter: str | None,
    encoding: str | None,
    member: str | None,
    select: str | None,
    no_header: bool,
    guarded: bool,
    source: str | None,
    same_source: bool,
    as_new: bool,
    go_back: bool,
    header_row: int | None,
    conventions: Conventions,
    clear_empty: bool,
    preview: bool,
    dry_run: bool,
    infer: bool | None,
) -> None:
    """Import a table. Safe to run again: only cells that changed since its last import are written, and what people
    wrote here stays; where both changed, both are kept and shown."""
    if key and no_key:
        raise UsageError("--key and --no-key contradict each other", "Give one of them.")
    options = TableOptions(
        _format(table_format),
        _delimiter(table_format, delimiter),
        encoding,
        not no_header,
        select,
        member,
        guarded,
        header_row,
    )
    mapping = _mapping(mapped)
    failures = _Failures(call.output)
    with call.open() as replica:
        table = open_table(file.expanduser(), options)
        imported = ImportedTables(replica, call.store.expanduser() / "imports")
        collection = _last_collection(replica, table, source, imported) if collection is None else collection
        target = _collection(replica, collection, made=infer)
        if preview:
            schema = replica.schemas.get(target) or infer_schema(table, target, zoned=conventions.zone is not None)
            columns = {**mapping, **({record_column: None} if record_column is not None else {})}
            columns = {**remembered_mapping(replica, table, target, columns, source), **columns}
            tell_preview(call.output, preview_table(table, schema, columns, conventions))
            return

        done = ImportProgress(0, 0, 0)

        def take(key_columns: Sequence[str] | None) -> ImportReport:
            with _progress_bar(call.output, f"Importing {file.name}") as shown:

                def progress(now: ImportProgress) -> None:
                    nonlocal done
                    done = now
                    if shown is not None:
                        shown(now)

                return import_table(
                    replica,
                    table,
                    target,
                    mapping=mapping,
                    key_columns=key_columns,
                    record_column=record_column,
                    source=source,
                    exports=_exports(call, replica),
                    imported=imported,
                    go_back=go_back,
                    space=_space(replica),
                    clear_empty=clear_empty,
                    dry_run=dry_run,
                    same_source=same_source,
                    as_new=as_new,
                    infer=infer is not False,
                    conventions=conventions,
                    progress=progress,
                    on_error=failures.take,
                )

        try:
            report = take(None if no_key else key)
        except KeyNeeded as needed:
            report = take(ask_for_key(call.output, needed))
        except KeyboardInterrupt:
            if not dry_run:
                call.output.note(f"{done.rows} rows are in. Import the file again, and the others follow.")
            raise
    failures.finish()
    if dry_run:
        show_columns(call.output, report.form, report.columns)
    tell_form(call.output, report.form, table.columns)
    if source is None:
        tell_source(call.output, table.name, report)
    tell_doubts(call.output, report.doubts)
    tell_import(call.output, report)
    taken = report.created + report.updated + report.unchanged + report.deleted
    if not taken and not report.failures:
        what = f"all {report.rows} rows are empty" if report.rows else "there are no rows below its header"
        call.output.warning({"error": "nothing_imported", "message": what}, f"Nothing was imported: {what}.")
    if report.failures or report.cells_failed or not taken:
        raise click.exceptions.Exit(SOME_ROWS_FAILED)


class _Failures:
    """Shows the first row errors to people, all of them to programs."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._count = 0

    def take(self, problem: RowError) -> None:
        self._count += 1
        if self._output.as_json or self._count <= _ERRORS_SHOWN:
            data = {"error": problem.code, "line": problem.line, "column": problem.column, "message": problem.message}
            self._output.warning(data, str(problem))

    def finish(self) -> None:
        if self._count > _ERRORS_SHOWN:
            self._output.note(f"and {self._count - _ERRORS_SHOWN} more; --json lists them all.", "yellow")


def _last_collection(replica: Replica, table: Table, source: str | None, imported: ImportedTables) -> str | None:
    """The collection that a table was exported from, for editing, or that versions of it went into, where it is one."""
    if (edited := edited_collection(table)) in replica.schemas:
        return edited
    found = imported.collections(source_name(table.name) if source is None else given_source(source))
    return found[0] if len(found) == 1 else None


def _collection(replica: Replica, given: str | None, *, made: bool | None) -> str:
    """The collection to import into; one that is nearly called like a known one is `made` only if somebody says so.

    Raises `UnknownCollection`, `UsageError`.
    """
    if given is None or given in replica.schemas or made is True:
        return known_collection(replica, None) if given is None else given
    close = get_close_matches(given, replica.schemas, n=1, cutoff=_CLOSE)
    if close:
        raise UnknownCollection(
            f"no collection {given[:60]!r} here; did you mean {close[0]}?",
            f"Import with -c {close[0]}; if {given[:60]!r} is to be a new collection, add --infer.",
        )
    return given


def _mapping(given: Sequence[str]) -> Mapping[str, str | None]:
    mapping: dict[str, str | None] = {}
    for text in given:
        header, equals, field = text.rpartition("=")
        if not equals or not header:
            raise UsageError(
                f"{text[:60]!r} does not map a column", "Write --map 'Header=field', or 'Header=' to leave it out."
            )
        mapping[header] = field.strip() or None
    return mapping


def _format(given: str | None) -> TableFormat | None:
    return "delimited" if given in ("csv", "tsv") else cast("TableFormat | None", given)


def _delimiter(table_format: str | None, given: str | None) -> str | None:
    if given is None:
        return "\t" if table_format == "tsv" else None
    delimiter = {"tab": "\t", "\\t": "\t"}.get(given, given)
    if len(delimiter) != 1:
        raise UsageError(f"{given[:20]!r} cannot be a delimiter", "Give one character, such as ';', or 'tab'.")
    return delimiter


@contextmanager
def _progress_bar(output: Output, what: str) -> Iterator[Callable[[ImportProgress], object] | None]:
    if not output.animated:
        yield None
        return
    with Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TextColumn("{task.fields[rows]} rows", markup=False),
        TimeRemainingColumn(),
        console=output.errors,
        transient=True,
    ) as bar:
        task = bar.add_task(what, total=None, rows=0)
        yield lambda now: bar.update(task, completed=now.bytes_read, total=now.bytes_total or None, rows=now.rows)


def _space(replica: Replica) -> str:
    """The space of a store in hex, empty where it has joined none."""
    space = replica.store.space
    return space.id.hex() if space.joined else ""


def _exports(call: Invocation, replica: Replica) -> Exports:
    store = replica.store
    return Exports(call.store.expanduser() / "exports", store.cipher if isinstance(store, LmdbStore) else None)


def _is_replaced(output: Output, file: str) -> bool:
    """Ask whoever sits at a terminal whether a file that is there is to be replaced."""
    if not output.can_ask:
        return False
    output.note(f"{file} exists already. Replace it? Type yes, or anything else to stop.", "yellow")
    return sys.stdin.readline().strip().lower() == "yes"


@click.command("export")
@click.argument("file", help="Where to; its name tells the format. '-' is standard output.")
@collection_option
@format_option
@click.option("--fields", "-f", metavar="A,B,...", help="Which fields, in which order.")
@delimiter_option
@encoding_option
@click.option(
    "--headers",
    type=click.Choice(["label", "name"]),
    default="label",
    help="Column headers: labels, or names of the fields.",
)
@click.option("--record-column", metavar="HEADER", help="Add a first column with the record ids.")
@click.option(
    "--guard", is_flag=True, help="Keep spreadsheets from running cells as formulas; 'import --guarded' undoes it."
)
@click.option(
    "--for-editing",
    is_flag=True,
    help="Add a last column that says what each row was exported from: then only what was edited in the file "
    "changes, on whatever device it is imported.",
)
@click.option("--sort", metavar="A,-B,...", help="By these fields or 'changed', '-' for falling. [by name]")
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@click.pass_obj
def export_file(
    call: Invocation,
    file: str,
    collection: str | None,
    table_format: str | None,
    fields: str | None,
    delimiter: str | None,
    encoding: str | None,
    headers: Literal["label", "name"],
    record_column: str | None,
    guard: bool,
    for_editing: bool,
    sort: str | None,
    force: bool,
) -> None:
    """Export a collection. A file appears whole or not at all; deleted records are left out."""
    to_stdout = file == "-"
    chosen = table_format or ("csv" if to_stdout else None)
    if to_stdout and chosen == "xlsx" and sys.stdout.isatty():
        raise UsageError("a workbook cannot be shown on a terminal", "Name a file, or write '> file.xlsx' behind it.")
    options = ExportOptions(
        format=_format(chosen),
        delimiter=_delimiter(chosen, delimiter) or ("," if chosen == "csv" else None),
        encoding=encoding or "utf-8",
        headers=headers,
        fields=[name.strip() for name in fields.split(",") if name.strip()] if fields else None,
        record_column=record_column,
        guard_formulas=guard,
        for_editing=for_editing,
    )
    if not to_stdout and not force and Path(file).expanduser().exists() and not _is_replaced(call.output, file):
        raise TableNotWritten(f"{file} exists already", "Replace it with --force, or name another file.")
    with call.open() as replica:
        target = known_collection(replica, collection)
        destination = sys.stdout.buffer if to_stdout else Path(file).expanduser()
        try:
            schema = replica.schemas[target]
            records = ordered(replica, replica.list(target), [schema], sort)
            report = export_table(
                replica,
                target,
                destination,
                options,
                records=records,
                exports=_exports(call, replica),
                now=replica.clock.latest(),
                space=_space(replica),
            )
            if collection is None:
                tell_schemaless(call.output, replica, left_out=True)
        except BrokenPipeError:
            raise PipeClosed from None
        unshown = {record: replica.damaged[record] for record in sorted(replica.unshown)}
    left_out = (
        f" Fields that the schema does not know were left out: {safe_text.names(report.left_out)}."
        if report.left_out
        else ""
    )
    many = "1 record" if report.rows == 1 else f"{report.rows} records"
    text = f"{many} of {target!r} written to {'standard output' if to_stdout else file}.{left_out}"
    if not (to_stdout or for_editing):
        text += " To edit it by hand and import it again, anywhere: export with --for-editing."
    if to_stdout:
        call.output.note(text)
    else:
        data = {"file": file, "collection": target, "rows": report.rows, "columns": list(report.columns)}
        counts = {"cells_failed": report.cells_failed, "unguarded": report.unguarded}
        call.output.result({**data, "left_out": list(report.left_out), **counts}, text)
    _tell_cells(call.output, report)
    damaged.complain_of(unshown, "could not be exported")
    if report.cells_failed:
        raise click.exceptions.Exit(SOME_ROWS_FAILED)


def _tell_cells(output: Output, report: ExportReport) -> None:
    if report.unguarded:
        many = "1 cell begins" if report.unguarded == 1 else f"{report.unguarded} cells begin"
        message = f"{many} like a formula, which a spreadsheet may run: export with --guard if one is to open this file"
        output.warning({"error": "unguarded", "message": message}, message)
    shown = report.too_long if output.as_json else report.too_long[:_ERRORS_SHOWN]
    for record, field in shown:
        message = f"the text is too long for a cell of a sheet, which stays empty: {field} of {record}"
        output.warning({"error": "too_long", "record": record, "field": field, "message": message}, message)
    if report.cells_failed:
        rest = report.cells_failed - len(shown)
        output.note(f"{f'and {rest} more; ' if rest else ''}CSV and JSON lines hold texts of any length.", "yellow")
