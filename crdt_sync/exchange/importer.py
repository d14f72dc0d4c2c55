"""Tables into records. Safe to run again: only what is news is written, and never over what people wrote."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain, islice

from crdt_sync.errors import InvalidTable, UnknownCollection
from crdt_sync.exchange.base import Bases, edited_collection
from crdt_sync.exchange.conventions import FOUND_OUT, Conventions
from crdt_sync.exchange.copied_rows import copied_rows
from crdt_sync.exchange.exports import Exports, Remembered
from crdt_sync.exchange.guarded_tables import unguarded_by_records
from crdt_sync.exchange.import_report import ImportProgress, ImportReport
from crdt_sync.exchange.import_tally import ImportTally
from crdt_sync.exchange.imported_tables import ImportedTables, version_digest
from crdt_sync.exchange.infer import infer_schema
from crdt_sync.exchange.interpretation import Interpretation
from crdt_sync.exchange.key_choice import record_keys
from crdt_sync.exchange.known_records import LastColumns, last_columns
from crdt_sync.exchange.look_ahead import has_headers_of_export, looks_exported, may_be_exported
from crdt_sync.exchange.mapping import ColumnMapping, by_header, match_columns, still_mapped
from crdt_sync.exchange.names import loose
from crdt_sync.exchange.own_rows import OwnRows, own_record_column, own_rows, rows_of_shown
from crdt_sync.exchange.port import ReadableRecord, WritableReplica, shown_record
from crdt_sync.exchange.questions import Questions
from crdt_sync.exchange.record_key import RecordKeys
from crdt_sync.exchange.row_import import RowImport
from crdt_sync.exchange.rows_gone import RowsGone
from crdt_sync.exchange.source_name import given_source, source_name
from crdt_sync.exchange.table import BASE_HEADER, Row, RowError, Table
from crdt_sync.exchange.working_keys import tells_apart
from crdt_sync.ids import is_made
from crdt_sync.limits import STAMP_MAX
from crdt_sync.records.memory.sources import Edited, Source, edits_of, newest
from crdt_sync.records.schema import Schema

FIRST_ROWS = 20  # by which the source of a table with record ids is told
BATCH_ROWS = 500  # rows that become durable together: a commit's cost is spread thin, an interrupt loses little


def import_table(
    replica: WritableReplica,
    table: Table,
    collection: str,
    *,
    mapping: Mapping[str, str | None] | None = None,
    key_columns: Sequence[str] | None = (),
    record_column: str | None = None,
    source: str | None = None,
    exports: Exports | None = None,
    imported: ImportedTables | None = None,
    go_back: bool = False,
    space: str = "",
    clear_empty: bool = False,
    dry_run: bool = False,
    same_source: bool = False,
    as_new: bool = False,
    infer: bool = True,
    conventions: Conventions = FOUND_OUT,
    batch_rows: int = BATCH_ROWS,
    progress: Callable[[ImportProgress], object] | None = None,
    on_error: Callable[[RowError], object] | None = None,
) -> ImportReport:
    """Bring every row of `table` into `collection`.

    `mapping` gives columns to fields, or to None to leave them out; what it does not say is as in the last import of
    `source`, see `still_mapped`; the other columns are matched by `match_columns`. Rows are named as `RecordKeys` says,
    by `record_column`, the natural key or `key_columns`; without any the columns are found, see `find_key`, unless
    `key_columns` is None: then each row as a whole is a record. Without a schema for `collection` one is inferred from
    the table, unless `infer` is False.

    Only what is news is written: what differs from what `source` said before, by default the name of the file without
    dates and copy numbers. See `crdt_sync.exchange.three_way`. What `exports` wrote is known, too: an export that was
    edited changes what was edited, under a source of its own where `source` said something of its records: it is no
    version of that. A version that is in the book of `imported` tables already writes nothing over what a newer one of
    its source said meanwhile, on whatever device, unless `go_back` says so: it is the newest then. An empty cell
    says nothing; with `clear_empty` it says that a value is empty. A `dry_run` writes nothing and reports everything.

    Cells are read as `conventions` and their columns say. A cell that does not fit its field is left out, and given to
    `on_error` and to the report; where `conventions` refuse such rows, and for what is wrong with a whole row, the row
    changes nothing. Either does not stop the others. Rows become durable `batch_rows` at a time, after which `progress`
    is called; an import that was interrupted is resumed by running it again.

    Where most rows say another name of the records that they name, and agree with nothing else known of them, the table
    is another list: it is refused, unless `same_source` says that it is not. So is a table of which most rows would
    become new records although they have the name and an e-mail address or phone of one that is here, or any row that
    seems to be one in which that was edited by which rows are known; unless `as_new` says that they are new, or whole
    rows were asked for. And so is one with a row that has the key of one customer and is another by all else, unless
    `same_source` says that the key counts.

    Where nobody says the `source`, most rows are records of another one, nothing came from this before, and some rows
    would be new records, that is asked about, too.

    Raises `AlreadyHere`, `AnotherCustomer`, `AnotherList`, `WhichSource`, `InvalidTable`, `KeyNeeded`, `UnknownField`,
    `EditForbidden` and `UnknownCollection` before anything is written, and any `StoreError`.
    """
    present = partial(shown_record, replica)
    if collection in replica.schemas:
        table = unguarded_by_records(table, replica.list(collection))
    named = bool(key_columns)
    schema, inferred = _schema(
        replica, table, collection, conventions, infer=infer, named=record_column is not None or named
    )
    name = source_name(table.name) if source is None else given_source(source)
    last = last_columns(replica.list(collection, deleted=True), name) if not inferred else LastColumns()
    remembered = still_mapped(table.columns, schema, _with_record(mapping, record_column), last.mapping)
    mapping = {**remembered, **(mapping or {})}
    matched = match_columns(table.columns, schema, _with_record(mapping, record_column))
    reading = Interpretation(table, matched, schema, conventions)
    ids_found = False
    if record_column is None and not key_columns and key_columns is not None and not inferred:
        record_column = own_record_column(table, matched.fields, collection, lambda record: present(record) is not None)
        if ids_found := record_column is not None:
            matched = match_columns(table.columns, schema, _with_record(mapping, record_column))
    bases = _bases(table, collection, space, present, reading)

    def keys_by(columns: Sequence[str] | None) -> RecordKeys:
        keys = record_keys(
            table,
            matched,
            schema,
            columns,
            record_column,
            last.key,
            lambda: replica.list(collection, deleted=True) if collection in replica.schemas else (),
            present,
            lambda values: replica.key_standing(collection, values).shown_by,
            name,
            bases,
        )
        keys.carried, keys.ids_found, keys.as_new = bases.record_of, ids_found, as_new
        keys.read, keys.read_row = reading.read_cell, lambda row: reading.read(row, {})[0]
        return keys

    keys = keys_by(key_columns)
    written = exports.of_collection(collection, name) if exports is not None and not bases else Remembered()
    exported = looks_exported(table, schema)
    by_headers = may_be_exported(table, schema)
    own = OwnRows()
    if not (inferred or bases):  # of a new collection nothing was exported, and with bases each row says what it was
        own = _own_rows(
            replica, table, reading, written, name, by_headers=by_headers, with_ids=record_column is not None
        )
    own = replace(own, named=exported or record_column is not None)

    def exported_keys(keys: RecordKeys) -> RecordKeys:
        exported = bool(bases) or own.export is not None or (by_headers and not keys.contact)
        return replace(keys, own=own if record_column is None else keys.own, exported=exported)

    keys = exported_keys(keys)
    Questions(
        table,
        matched,
        schema,
        present,
        lambda columns: exported_keys(keys_by(columns)),
        as_new,
        same_source,
        source,
        named,
    ).ask(keys)
    said_by = bases.source or _said_by(replica, table, name, own, keys, schema, exported=exported)
    tally = ImportTally(
        said_by,
        keys,
        reading,
        gone=RowsGone(),
        remembered=remembered,
        exported=exported,
        based=bool(bases),
        key_lasts=bool(keys.natural) or not named or tells_apart(table, keys),
        of_export=own.export is not None or bool(bases),
        dry_run=dry_run,
        on_error=on_error,
    )
    edited = _edited(replica, collection, name, own, imported) if said_by == edits_of(name) else None
    first_import, note = None, None
    if imported is not None:
        first_import, note = imported.begin(collection, said_by, version_digest(table), go_back=go_back)
    if not (bases or inferred or keys.record_column):
        tally.gone = RowsGone.of(replica.list(collection), said_by)
    run = RowImport(
        replica,
        keys,
        reading,
        written,
        own,
        bases,
        LastColumns(keys.key if tally.key_lasts and not keys.natural else (), by_header(table.columns, mapping)),
        tally,
        edited,
        first_import=first_import,
        in_book=imported is not None,
        deletion=next((at for at, header in enumerate(table.columns) if _tells_deletion(header, matched)), None),
        typed=table.typed,
        clear_empty=clear_empty,
        dry_run=dry_run,
        refuse=conventions.bad_cells == "refuse",
    )
    _take(run, table.rows(), batch_rows, None if dry_run else note, partial(_tell, progress, tally, table))
    made = inferred and (dry_run or collection in replica.schemas)
    return tally.report(collection, matched.unmapped, made, table.form, _other_key(replica, name, keys, last, tally))


def _take(
    run: RowImport,
    rows: Iterator[Row | RowError],
    batch_rows: int,
    note: Callable[[], None] | None,
    progress: Callable[[], object],
) -> None:
    """Take the rows, and `note` the version with the first of them that are taken, in one commit."""
    while (first := next(rows, None)) is not None:
        with run.replica.batch():
            run.take(chain((first,), islice(rows, batch_rows - 1)))
            if note is not None and run.tally.taken:
                note()
                note = None
        progress()


def _tell(progress: Callable[[ImportProgress], object] | None, tally: ImportTally, table: Table) -> None:
    if progress is not None:
        progress(ImportProgress(tally.rows, table.bytes_read, table.bytes_total))


def _other_key(
    replica: WritableReplica, name: str, keys: RecordKeys, last: LastColumns, tally: ImportTally
) -> tuple[str, ...]:
    """The columns by which most records of a source are known still after another key was given once: what is no news
    of a record does not tell of it."""
    given = not (keys.natural or keys.found)
    if not given or tally.dry_run or not (tally.key_lasts and keys.key and last.key) or last.key == keys.key:
        return ()
    after = last_columns(replica.list(keys.collection, deleted=True), name).key
    return after if after != keys.key else ()


def _bases(
    table: Table,
    collection: str,
    space: str,
    present: Callable[[str], ReadableRecord | None],
    reading: Interpretation,
) -> Bases:
    bases = Bases(table, collection, space, lambda record: present(record) is not None)
    bases.copies = copied_rows(table, bases, reading)
    return bases


def _own_rows(
    replica: WritableReplica,
    table: Table,
    reading: Interpretation,
    written: Remembered,
    name: str,
    *,
    by_headers: bool,
    with_ids: bool,
) -> OwnRows:
    """The records that the rows were exported from: on this device, or where the headers are so and nothing else names
    them, on another."""
    told = partial(_told, replica, name)
    own = own_rows(table, reading, written, name, told, partial(shown_record, replica), by_headers=by_headers)
    named = with_ids or reading.schema.natural_key
    if by_headers and not (named or own.same or own.edited):
        return rows_of_shown(table, reading, replica.list(reading.schema.collection), name, told)
    return own


def _said_by(
    replica: WritableReplica,
    table: Table,
    name: str,
    own: OwnRows,
    keys: RecordKeys,
    schema: Schema,
    *,
    exported: bool,
) -> str:
    """The source of a table that does not say itself what it is: of `name`, or of what people edited in an export.

    It is called after the file also where the export had another name, and ids that nobody chooses are those of an
    export: a device that does not know it writes alike. A file with headers of an export alone is one, too, where its
    name is that of one and of no table.
    """
    if own.as_export or (own.as_export_of_others and (exported or not keys.key)):
        return edits_of(name)
    if keys.record_column is None:
        shared = has_headers_of_export(table, schema) and _is_alone(_said_under(replica, schema.collection, name))
        return edits_of(name) if shared else name
    position = table.columns.index(keys.record_column)
    first = (row.cells[position] for row in islice(table.rows(), FIRST_ROWS) if isinstance(row, Row))
    named = [cell for cell in first if isinstance(cell, str) and is_made(cell)]
    return edits_of(name) if named and (exported or not any(_told(replica, name, each) for each in named)) else name


def _edited(
    replica: WritableReplica, collection: str, name: str, own: OwnRows, imported: ImportedTables | None
) -> Edited:
    """What is known of an export that was edited in the file `name`.

    A table that was imported under this name since the export was written may be the very file, on a device that does
    not know the export.
    """
    made = own.stamp if own.as_export else STAMP_MAX
    export = f"{own.export} {made}" if own.as_export else ""
    said = _said_under(replica, collection, name)
    if edits := [each for each in said if each.name != name]:
        return Edited(_is_alone(edits), export)
    older = any(each.stamp <= made for each in said)
    return Edited(not older and not (imported is not None and imported.is_older(collection, name, made)), export)


def _is_alone(account: Iterable[Source]) -> bool:
    """Whether what was said under a name is of an edited export, and of no table."""
    return any(each.edited is not None and each.edited.alone for each in account)


def _said_under(replica: WritableReplica, collection: str, name: str) -> list[Source]:
    """What tables of that name, and edited exports of it, said of the records that are here."""
    records = replica.list(collection) if collection in replica.schemas else ()
    return [each for record in records for each in record.sources if each.account == name]


def _schema(
    replica: WritableReplica, table: Table, collection: str, conventions: Conventions, *, infer: bool, named: bool
) -> tuple[Schema, bool]:
    """The schema of the collection, and whether it was inferred from the table: the first row that goes in adds it.

    `named` tells that somebody said what names the records.
    """
    replica.check_import(collection)
    if (known := replica.schemas.get(collection)) is not None:
        return known, False
    if not infer:
        raise UnknownCollection(f"there is no schema for {collection!r}", "Add one, or let it be inferred.")
    ids = None if named else own_record_column(table, [None] * len(table.columns), collection, lambda _: False)
    if ids is not None:
        raise InvalidTable(
            f"{ids!r} names records of {collection!r}, which is not on this device: the table was exported elsewhere",
            f"Sync first; where no device has them, import with --record-column {ids!r}.",
        )
    if (edited := edited_collection(table)) not in (None, collection):
        raise InvalidTable(
            f"the rows of {table.name!r} were exported from {edited!r}, for editing; there is no {collection!r} yet",
            f"Import with -c {edited}; as a table of its own, without the column {BASE_HEADER!r}.",
        )
    return infer_schema(table, collection, zoned=conventions.zone is not None), True


def remembered_mapping(
    replica: WritableReplica,
    table: Table,
    collection: str,
    mapping: Mapping[str, str | None],
    source: str | None = None,
) -> dict[str, str | None]:
    """What `import_table` would add to `mapping`, as in the last import of the source. Raises `InvalidTable`."""
    if collection not in replica.schemas:
        return {}
    name = source_name(table.name) if source is None else given_source(source)
    last = last_columns(replica.list(collection, deleted=True), name)
    return still_mapped(table.columns, replica.schemas[collection], mapping, last.mapping)


def _told(replica: WritableReplica, source: str, record: str, until: int = STAMP_MAX) -> Mapping[str, object]:
    """What a source said of a record last; nothing if it began after `until`, or is an export that was edited."""
    present = shown_record(replica, record)
    said = [] if present is None else [each for each in present.sources if each.account == source]
    last = newest(said).get(source)
    began = any(each.stamp <= until for each in said if each.name == source)
    return last.said if last is not None and began and not _is_alone(said) else {}


def _tells_deletion(header: str, matched: ColumnMapping) -> bool:
    """Whether this is Salesforce's column of deleted rows, and neither goes to a field nor was left out on purpose."""
    return loose(header) == "isdeleted" and header in matched.unmapped


def _with_record(mapping: Mapping[str, str | None] | None, record_column: str | None) -> dict[str, str | None]:
    taken = {record_column: None} if record_column is not None else {}
    return {**(mapping or {}), **taken}
