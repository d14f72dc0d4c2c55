"""Tables into records. Safe to run again: what is there already is not written a second time."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain, islice

from crdt_sync.errors import InvalidValue, UnknownCollection, UnknownRecord, UsageError
from crdt_sync.exchange.changes import Change, changes
from crdt_sync.exchange.infer import infer_schema
from crdt_sync.exchange.mapping import match_columns
from crdt_sync.exchange.port import ReadableRecord, WritableReplica
from crdt_sync.exchange.record_key import RecordKeys, record_keys
from crdt_sync.exchange.table import MISSING, Row, RowError, Table
from crdt_sync.limits import TABLE_FAILURES_KEPT_MAX
from crdt_sync.records.schema import FieldSpec, Schema

BATCH_ROWS = 500  # rows that become durable together: a commit's cost is spread thin, an interrupt loses little


@dataclass(frozen=True, slots=True)
class ImportProgress:
    """Where an import stands after a batch; bytes are those of the source, which is read ahead a little."""

    rows: int
    bytes_read: int
    bytes_total: int


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import did. `rows` = created + updated + unchanged + empty + failures.

    An empty row is one without a value in any column that has a field.
    `failed` lists the first `TABLE_FAILURES_KEPT_MAX` failures; `failures` counts all. `unmapped` names the columns
    that no field took. `inferred` tells that the collection had no schema and got one made from the table.
    """

    collection: str
    rows: int
    created: int
    updated: int
    unchanged: int
    empty: int
    failures: int
    failed: tuple[RowError, ...]
    unmapped: tuple[str, ...]
    inferred: bool


def import_table(
    replica: WritableReplica,
    table: Table,
    collection: str,
    *,
    mapping: Mapping[str, str | None] | None = None,
    key_columns: Sequence[str] = (),
    record_column: str | None = None,
    clear_empty: bool = False,
    infer: bool = True,
    batch_rows: int = BATCH_ROWS,
    progress: Callable[[ImportProgress], object] | None = None,
    on_error: Callable[[RowError], object] | None = None,
) -> ImportReport:
    """Bring every row of `table` into `collection`.

    `mapping` gives columns to fields, or to None to leave them out; the other columns are matched by
    `match_columns`. Rows are named as `RecordKeys` says, by `record_column`, the natural key or `key_columns`. An
    empty cell leaves its field as it is; with `clear_empty` it clears a value that is there. Without a schema for
    `collection` one is inferred from the table, unless `infer` is False.

    A row that fails changes nothing and does not stop the others: it is given to `on_error` and to the report. Rows
    become durable `batch_rows` at a time, after which `progress` is called; an import that was interrupted is
    resumed by running it again.

    Raises `InvalidTable`, `UnknownField`, `UnknownCollection` before anything is written, and any `StoreError`.
    """
    inferred = collection not in replica.schemas
    if inferred:
        if not infer:
            raise UnknownCollection(f"there is no schema for {collection!r}", "Add one, or let it be inferred.")
        replica.add_schema(infer_schema(table, collection))
    schema = replica.schemas[collection]
    matched = match_columns(table.columns, schema, _with_record(mapping, record_column))
    keys = record_keys(table, matched, schema, key_columns, record_column)
    targets = _targets(table.columns, matched.fields, schema)
    run = _Run(replica, keys, targets, table.typed, clear_empty, on_error)
    rows = table.rows()
    while (first := next(rows, None)) is not None:
        with replica.batch():
            run.take(chain((first,), islice(rows, batch_rows - 1)))
        if progress is not None:
            progress(ImportProgress(run.rows, table.bytes_read, table.bytes_total))
    return run.report(collection, matched.unmapped, inferred)


@dataclass(frozen=True, slots=True)
class _Target:
    position: int
    header: str
    field: str
    spec: FieldSpec


@dataclass(slots=True)
class _Run:
    replica: WritableReplica
    keys: RecordKeys
    targets: tuple[_Target, ...]
    typed: bool
    clear_empty: bool
    on_error: Callable[[RowError], object] | None
    rows: int = 0
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    empty: int = 0
    failures: int = 0
    failed: list[RowError] = field(default_factory=list)

    def take(self, rows: Iterable[Row | RowError]) -> None:
        for row in rows:
            self.rows += 1
            problem = row if isinstance(row, RowError) else self._row(row)
            if problem is not None:
                self._fail(problem)

    def _row(self, row: Row) -> RowError | None:
        if all(cell is MISSING for cell in row.cells):
            self.empty += 1
            return None
        record = self.keys.record_of(row)
        if isinstance(record, RowError):
            return record
        if record is None:
            self.unchanged += 1
            return None
        present: ReadableRecord | None = None
        with suppress(UnknownRecord):
            present = self.replica.get(record)
        if present is not None and present.deleted:
            return RowError(row.line, "", "record_deleted", f"{record} was deleted here; restore it first")
        wanted = self._changes(row, present.raw if present is not None else {})
        if isinstance(wanted, RowError):
            return wanted
        if not wanted:
            if present is None:
                self.empty += 1
            else:
                self.unchanged += 1
            return None
        try:
            with self.replica.edit(record, create=True) as editor:
                for change in wanted:
                    change.apply(editor)
        except UsageError as error:
            return RowError(row.line, self._header_of(error), error.code, _message(error))
        if present is None:
            self.created += 1
        else:
            self.updated += 1
        return None

    def _changes(self, row: Row, present: Mapping[str, object]) -> list[Change] | RowError:
        wanted: list[Change] = []
        for target in self.targets:
            cell = row.cells[target.position]
            now = present.get(target.field, MISSING)
            try:
                if cell is not MISSING:
                    wanted.extend(changes(target.field, target.spec, cell, now, typed=self.typed))
                elif self.clear_empty and target.spec.kind in ("value", "review") and now is not MISSING:
                    wanted.extend(changes(target.field, target.spec, None, now, typed=self.typed))
            except InvalidValue as error:
                return RowError(row.line, target.header, error.code, _message(error))
        return wanted

    def _header_of(self, error: UsageError) -> str:
        name = error.field if isinstance(error, InvalidValue) else None
        return next((target.header for target in self.targets if target.field == name), "")

    def _fail(self, problem: RowError) -> None:
        self.failures += 1
        if len(self.failed) < TABLE_FAILURES_KEPT_MAX:
            self.failed.append(problem)
        if self.on_error is not None:
            self.on_error(problem)

    def report(self, collection: str, unmapped: tuple[str, ...], inferred: bool) -> ImportReport:
        return ImportReport(
            collection=collection,
            rows=self.rows,
            created=self.created,
            updated=self.updated,
            unchanged=self.unchanged,
            empty=self.empty,
            failures=self.failures,
            failed=tuple(self.failed),
            unmapped=unmapped,
            inferred=inferred,
        )


def _targets(columns: Sequence[str], fields: Sequence[str | None], schema: Schema) -> tuple[_Target, ...]:
    return tuple(
        _Target(position, columns[position], name, schema.fields[name])
        for position, name in enumerate(fields)
        if name is not None
    )


def _with_record(mapping: Mapping[str, str | None] | None, record_column: str | None) -> dict[str, str | None]:
    taken = {record_column: None} if record_column is not None else {}
    return {**(mapping or {}), **taken}


def _message(error: UsageError) -> str:
    return f"{error.message}. {error.hint}" if error.hint else error.message
