"""Records into tables."""

import csv
import io
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, Literal

from crdt_sync.errors import TableNotWritten, UnknownCollection, UnknownField
from crdt_sync.exchange.atomic import atomic_file
from crdt_sync.exchange.base import TAG_BYTES, Base, base_said, encode_base
from crdt_sync.exchange.cells import json_value, text_cell
from crdt_sync.exchange.exports import Exports, Note
from crdt_sync.exchange.guard import is_formula
from crdt_sync.exchange.mapping import header_of
from crdt_sync.exchange.port import ReadableRecord, ReadableReplica
from crdt_sync.exchange.row_memory import said_of
from crdt_sync.exchange.source_name import source_name
from crdt_sync.exchange.table import BASE_HEADER, TableFormat
from crdt_sync.exchange.workbook import write_workbook
from crdt_sync.limits import TABLE_FAILURES_KEPT_MAX
from crdt_sync.records.schema import FieldSpec, Schema

_BY_SUFFIX: dict[str, tuple[TableFormat, str]] = {
    ".csv": ("delimited", ","),
    ".tsv": ("delimited", "\t"),
    ".tab": ("delimited", "\t"),
    ".psv": ("delimited", "|"),
    ".jsonl": ("jsonl", ""),
    ".ndjson": ("jsonl", ""),
    ".json": ("json", ""),
    ".xlsx": ("xlsx", ""),
}


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """How to write a file; None means: as the file's name says.

    `headers` labels (the original headers of an imported table) or field names. `fields` which ones, in which order;
    None for all. `record_column` the header of a first column with the record ids, with which an import finds every
    record again; None for none. `for_editing` adds a last column, hidden in a sheet, with what each row was
    written from, see `base`: an edited row then changes what was edited, on whatever device it is imported.
    `guard_formulas` keeps spreadsheets from running cells of a text table; it changes them, and an import changes them
    back, see `guarded_tables`. `encoding` of text tables: utf-8-sig is what Excel expects.
    """

    format: TableFormat | None = None
    delimiter: str | None = None
    encoding: str = "utf-8"
    header: bool = True
    for_editing: bool = False
    headers: Literal["label", "name"] = "label"
    fields: Sequence[str] | None = None
    record_column: str | None = None
    guard_formulas: bool = False


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What an export wrote. `left_out` names fields that records have and the schema does not know.

    `too_long` are record and field of cells left empty, up to `TABLE_FAILURES_KEPT_MAX` of the `cells_failed`: no cell
    of a sheet holds their text. `unguarded` counts cells of a text table that a spreadsheet might run as formulas.
    """

    rows: int
    columns: tuple[str, ...]
    left_out: tuple[str, ...]
    too_long: tuple[tuple[str, str], ...] = ()
    cells_failed: int = 0
    unguarded: int = 0


@dataclass(frozen=True, slots=True)
class Layout:
    """The columns of an export: their headers, and the fields in them; the record id comes first if asked for."""

    collection: str
    headers: tuple[str, ...]
    fields: tuple[tuple[str, FieldSpec], ...]
    with_record: bool
    base: Base | None = None  # of a row without its record, if each has one

    def base_cell(self, record: ReadableRecord) -> str:
        """What the row of a record is written from."""
        assert self.base is not None
        raw = record.raw
        said = {name: base_said(spec, raw.get(name)) for name, spec in self.fields}
        return encode_base(replace(self.base, record=record.record, said=said))


_RANDOM = random.SystemRandom()


def export_table(
    replica: ReadableReplica,
    collection: str,
    destination: Path | BinaryIO,
    options: ExportOptions | None = None,
    *,
    records: Iterable[ReadableRecord] | None = None,
    progress: Callable[[int], object] | None = None,
    exports: Exports | None = None,
    now: int = 0,
    space: str = "",
    rng: random.Random = _RANDOM,
) -> ExportReport:
    """Write the records of `collection`, or those given, to a file or an open binary stream.

    A file appears whole or not at all. Deleted records are left out. `progress` is called with the number of rows
    after each thousand. `exports` remembers what a file says, `now` (microseconds since 1970), for when it is imported.
    `space` is that of the store in hex, if it has joined one, for the rows of an export for editing, which is named
    by a number that `rng` draws.
    Raises `UnknownCollection`, `UnknownField` and `TableNotWritten`.
    """
    options = options or ExportOptions()
    schema = replica.schemas.get(collection)
    if schema is None:
        raise UnknownCollection(
            f"there is no collection {collection!r}", f"Known: {', '.join(replica.schemas) or 'none'}."
        )
    kind, delimiter = _format(destination, options)
    name = source_name(destination.stem if isinstance(destination, Path) else collection)
    guarded = options.guard_formulas and kind == "delimited"
    base = Base("", now, name, space, {}, guarded, rng.randbytes(TAG_BYTES).hex()) if options.for_editing else None
    layout = _layout(schema, options, base)
    walk = _Walk(replica.list(collection) if records is None else records, schema, progress)
    if isinstance(destination, Path):
        with (
            exports.writing(name, now) if exports else nullcontext() as note,
            atomic_file(destination) as stream,
        ):
            walk.remember(layout, note)
            _write(stream, kind, delimiter, layout, walk, options)
            replica.report("export", collection, walk.rows)  # before the file appears
    else:
        walk.remember(layout, None)
        _write(destination, kind, delimiter, layout, walk, options)
        replica.report("export", collection, walk.rows)
    return ExportReport(
        walk.rows, layout.headers, tuple(sorted(walk.left_out)), tuple(walk.too_long), walk.cells_failed, walk.unguarded
    )


class _Walk:
    """Counts the records that pass, and notes the fields that the schema does not know."""

    def __init__(
        self, records: Iterable[ReadableRecord], schema: Schema, progress: Callable[[int], object] | None
    ) -> None:
        self._records = records
        self._known = schema.fields.keys()
        self._progress = progress
        self.rows = 0
        self.left_out: set[str] = set()
        self.too_long: list[tuple[str, str]] = []
        self.cells_failed = 0
        self.unguarded = 0
        self._record = ""
        self._layout: Layout | None = None
        self._note: Note | None = None

    def remember(self, layout: Layout, note: Note | None) -> None:
        """Take down what the table will say of each record."""
        self._layout, self._note = layout, note

    def fails(self, place: int) -> None:
        """Take down that a cell of the last record does not fit."""
        self.cells_failed += 1
        if self._layout is not None and len(self.too_long) < TABLE_FAILURES_KEPT_MAX:
            self.too_long.append((self._record, self._layout.fields[place - self._layout.with_record][0]))

    def __iter__(self) -> Iterator[ReadableRecord]:
        for record in self._records:
            if record.deleted:
                continue
            self.rows += 1
            self._record = record.record
            self.left_out.update(record.raw.keys() - self._known)
            if self._progress is not None and self.rows % 1000 == 0:
                self._progress(self.rows)
            if self._layout is not None and self._note is not None:
                raw = record.raw
                self._note(record.record, {name: said_of(spec, raw.get(name)) for name, spec in self._layout.fields})
            yield record


def _write(
    stream: BinaryIO, kind: TableFormat, delimiter: str, layout: Layout, walk: _Walk, options: ExportOptions
) -> None:
    if kind == "delimited":
        _write_delimited(stream, delimiter, layout, walk, options)
    elif kind == "jsonl":
        for line in _objects(layout, walk):
            stream.write(line.encode() + b"\n")
    elif kind == "json":
        stream.write(b"[")
        for number, text in enumerate(_objects(layout, walk)):
            stream.write((",\n" if number else "\n").encode() + text.encode())
        stream.write(b"\n]\n")
    else:
        headers = layout.headers if options.header else None
        hidden = len(layout.headers) if layout.base else None
        write_workbook(stream, layout.collection, headers, _sheet_rows(layout, walk), walk.fails, hidden)


def _write_delimited(stream: BinaryIO, delimiter: str, layout: Layout, walk: _Walk, options: ExportOptions) -> None:
    try:
        text = io.TextIOWrapper(stream, encoding=options.encoding, newline="")
    except LookupError:
        raise TableNotWritten(f"there is no encoding {options.encoding!r}", "Use utf-8 or utf-8-sig.") from None
    try:
        writer = csv.writer(text, delimiter=delimiter, lineterminator="\r\n")
    except (TypeError, ValueError):
        raise TableNotWritten(f"{delimiter!r} cannot be a delimiter", "Give one character, such as ';'.") from None
    record = None
    try:
        if options.header:
            if layout.headers[:1] and layout.headers[0].startswith("\ufeff") and options.encoding == "utf-8":
                text.write("\ufeff")  # else a reader would take the header's own for a byte order mark
            writer.writerow([_guarded(header, options) for header in layout.headers])
        for record in walk:
            raw = _shown(record)
            cells = [record.record] if layout.with_record else []
            texts = [text_cell(spec, raw.get(name), guarded=options.guard_formulas) for name, spec in layout.fields]
            cells += texts
            if not options.guard_formulas:
                walk.unguarded += sum(is_formula(text) for text in texts)
            cells += [layout.base_cell(record)] if layout.base else []
            writer.writerow(cells)
        text.flush()
    except UnicodeEncodeError as error:
        where = record.record if record is not None else "the header"
        raise TableNotWritten(
            f"{where} holds {error.object[error.start]!r}, which {options.encoding} cannot write", "Use utf-8."
        ) from None
    finally:
        text.detach()


def _guarded(header: str, options: ExportOptions) -> str:
    return text_cell(FieldSpec(), header, guarded=options.guard_formulas)


def _objects(layout: Layout, walk: _Walk) -> Iterator[str]:
    keys = [json_value(FieldSpec(), key) for key in layout.headers]
    for record in walk:
        raw = _shown(record)
        parts = [f"{keys[0]}: {json_value(FieldSpec(), record.record)}"] if layout.with_record else []
        parts += [
            f"{key}: {json_value(_spec_of(record, name, spec), raw[name])}"
            for key, (name, spec) in zip(keys[layout.with_record :], layout.fields, strict=False)
            if name in raw
        ]
        parts += [f"{keys[-1]}: {json_value(FieldSpec(), layout.base_cell(record))}"] if layout.base else []
        yield "{" + ", ".join(parts) + "}"


def _sheet_rows(layout: Layout, walk: _Walk) -> Iterator[list[tuple[FieldSpec, object]]]:
    for record in walk:
        raw = _shown(record)
        cells: list[tuple[FieldSpec, object]] = [(FieldSpec(), record.record)] if layout.with_record else []
        cells += [(_spec_of(record, name, spec), raw.get(name)) for name, spec in layout.fields]
        yield cells + ([(FieldSpec(), layout.base_cell(record))] if layout.base else [])


def _shown(record: ReadableRecord) -> Mapping[str, object]:
    """Field to carrier, and to what is seen in part."""
    if not record.masked:
        return record.raw
    return {**record.raw, **{field: part.text for field, part in record.masked.items()}}


def _spec_of(record: ReadableRecord, name: str, spec: FieldSpec) -> FieldSpec:
    return FieldSpec() if name in record.masked else spec


def _layout(schema: Schema, options: ExportOptions, base: Base | None) -> Layout:
    names = list(schema.fields) if options.fields is None else list(options.fields)
    for name in names:
        if name not in schema.fields:
            raise UnknownField(f"{schema.collection!r} has no field {name!r}", f"Fields: {', '.join(schema.fields)}.")
    fields = tuple((name, schema.fields[name]) for name in names)
    headers = [name if options.headers == "name" else header_of(name, spec) for name, spec in fields]
    if options.record_column is not None:
        headers.insert(0, options.record_column)
    if base is not None:
        headers.append(BASE_HEADER)
    return Layout(schema.collection, tuple(headers), fields, options.record_column is not None, base)


def _format(destination: Path | BinaryIO, options: ExportOptions) -> tuple[TableFormat, str]:
    suffix = destination.suffix.casefold() if isinstance(destination, Path) else ""
    kind, delimiter = _BY_SUFFIX.get(suffix, (options.format, ","))
    kind = options.format or kind
    if kind is None:
        known = ", ".join(_BY_SUFFIX)
        raise TableNotWritten(
            "the format to write is not known", f"Name the format, or end the file in one of {known}."
        )
    return kind, options.delimiter or delimiter or ","
