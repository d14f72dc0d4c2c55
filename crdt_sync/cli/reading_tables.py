"""How `import` is told to read a table, and how it tells what it found out."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import cast

import click

from crdt_sync.cli.options import gathered
from crdt_sync.cli.output import Output, table
from crdt_sync.errors import UsageError
from crdt_sync.exchange import RowError, TablePreview
from crdt_sync.exchange.conventions import BadCells, Conventions, DateOrder, DecimalMark, zone_named
from crdt_sync.exchange.interpretation import ColumnForm
from crdt_sync.exchange.table import TableForm
from crdt_sync.records.schema import FieldSpec


def _conventions(
    locale: str | None,
    dates: str | None,
    decimal: str | None,
    zone: str | None,
    true_words: Sequence[str],
    false_words: Sequence[str],
    bad_cells: str,
) -> Conventions:
    """What the options say. Raises `UsageError` that names the possibilities."""
    order = _one_of("--dates", dates.upper() if dates else None, ("DMY", "MDY", "YMD"))
    mark = _one_of("--decimal", decimal, (",", "."))
    policy = _one_of("--bad-cells", bad_cells, ("skip", "refuse"))
    chosen = Conventions(
        cast("DateOrder | None", order),
        cast("DecimalMark | None", mark),
        zone_named(zone) if zone else None,
        frozenset(word.strip().casefold() for word in true_words),
        frozenset(word.strip().casefold() for word in false_words),
        cast("BadCells", policy),
    )
    return chosen.in_locale(locale) if locale else chosen


conventions_options = gathered(
    "conventions",
    _conventions,
    click.option("--locale", metavar="NAME", help="How numbers and dates are written: de, en-US, ..."),
    click.option("--dates", metavar="DMY|MDY|YMD", help="Order of day, month and year; else found out."),
    click.option("--decimal", metavar="MARK", help="',' or '.' before a fraction; else found out."),
    click.option("--zone", metavar="NAME", help="Of times without one: Europe/Berlin, UTC, +02:00, local."),
    click.option("--true", "true_words", multiple=True, metavar="WORD", help="A word that means yes. Repeatable."),
    click.option("--false", "false_words", multiple=True, metavar="WORD", help="A word that means no. Repeatable."),
    click.option(
        "--bad-cells",
        default="skip",
        metavar="skip|refuse",
        help="Leave out a cell that does not fit, or its whole row.",
    ),
)
"""The command takes `conventions`."""


def tell_form(output: Output, form: TableForm, columns: tuple[str, ...]) -> None:
    """What was found out about the file, where it was not plain."""
    if form.encoding_guessed:
        output.note(
            f"The file does not say its encoding; it was read as {form.encoding}. "
            "If letters are wrong: --encoding NAME.",
            "yellow",
        )
    if form.header_line is not None and form.header_line > 1:
        output.note(f"The headers were taken from line {form.header_line}; --header-row N names another.")
    if form.sheet is not None and form.other_sheets:
        others = ", ".join(map(repr, form.other_sheets))
        output.note(f"The sheet {form.sheet!r} was read; not read: {others}. --select NAME reads another.", "yellow")
    for note in form.notes:
        output.note(f"Note: {note}.")
    twice = [header for header in dict.fromkeys(columns) if header and columns.count(header) > 1]
    for header in twice:
        places = ", ".join(f"#{number}" for number, each in enumerate(columns, 1) if each == header)
        output.note(
            f"The header {header!r} stands {columns.count(header)} times: {places}; --map '#N=FIELD' names one."
        )


def tell_preview(output: Output, preview: TablePreview) -> None:
    """How a table would be read: a line a column, then what does not fit."""
    if output.as_json:
        output.emit(asdict(preview))
        return
    columns = preview.columns
    rows = [
        (*described, ", ".join(map(repr, column.samples)), str(column.misfits or ""))
        for described, column in zip(_described(columns), columns, strict=True)
    ]
    output.show(table((*_HEADERS, "Samples", "Do not fit"), rows, wrap=True))
    many = "1 row" if preview.rows == 1 else f"{preview.rows} rows"
    output.text(f"{many}; read as {_format(preview.form)}.")
    tell_form(output, preview.form, tuple(column.header for column in columns))
    for problem in (*preview.row_errors, *(each for column in columns for each in column.misfit_samples)):
        output.note(str(problem), "yellow")
    tell_doubts(output, preview.doubts)
    output.note("Nothing was written; leave out --preview to import.")


def tell_doubts(output: Output, doubts: Sequence[RowError]) -> None:
    """Cells that are read otherwise than the others of their column."""
    for doubt in doubts:
        output.note(str(doubt), "yellow")


def show_columns(output: Output, form: TableForm, columns: Sequence[ColumnForm]) -> None:
    """How a table was read, a line a column, to people; programs have it in the report."""
    if not output.as_json:
        output.show(table(_HEADERS, _described(columns), wrap=True))
        output.text(f"Read as {_format(form)}.")


_HEADERS = ("Column", "Field", "Type", "Format")
_UNSAID = frozenset({"", FieldSpec().kind})


def _described(columns: Sequence[ColumnForm]) -> list[tuple[str, str, str, str]]:
    return [
        (
            column.header or f"#{number}",
            column.field or "-",
            " ".join(filter(None, (column.type, "" if column.kind in _UNSAID else f"({column.kind})"))),
            column.format,
        )
        for number, column in enumerate(columns, 1)
    ]


def _format(form: TableForm) -> str:
    parts = [form.format, form.encoding, f"delimiter {form.delimiter!r}" if form.delimiter else None]
    return ", ".join(part for part in parts if part)


def _one_of(option: str, given: str | None, possible: tuple[str, ...]) -> str | None:
    if given is None or given in possible:
        return given
    raise UsageError(f"{given[:20]!r} is nothing that {option} takes", f"One of: {' '.join(possible)}.")
