"""Tables into records. Safe to run again: only what is news is written, and never over what people wrote."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache, partial
from itertools import chain, islice
from typing import Literal

from crdt_sync.errors import InvalidTable, InvalidValue, UnknownCollection, UnknownRecord, UsageError
from crdt_sync.exchange.base import Bases, edited_collection
from crdt_sync.exchange.contacts import cannot_be, contact_of, texts_of
from crdt_sync.exchange.conventions import FOUND_OUT, Conventions
from crdt_sync.exchange.exports import Exports, Remembered
from crdt_sync.exchange.guard import guard
from crdt_sync.exchange.guarded_tables import unguarded_by_records
from crdt_sync.exchange.import_report import CellChange, ImportProgress, ImportReport
from crdt_sync.exchange.imported_tables import ImportedTables, version_digest
from crdt_sync.exchange.infer import infer_schema
from crdt_sync.exchange.interpretation import Interpretation, Target
from crdt_sync.exchange.key_choice import record_keys
from crdt_sync.exchange.known_records import COLUMNS, LastColumns, last_columns
from crdt_sync.exchange.look_ahead import check_list, check_new, looks_exported, may_be_exported
from crdt_sync.exchange.lost_digits import only_lost_digits
from crdt_sync.exchange.mapping import ColumnMapping, by_header, match_columns, still_mapped
from crdt_sync.exchange.names import loose
from crdt_sync.exchange.own_rows import OwnRows, own_record_column, own_rows, rows_of_shown
from crdt_sync.exchange.port import ReadableRecord, WritableReplica
from crdt_sync.exchange.record_key import RecordKeys
from crdt_sync.exchange.rows_gone import RowsGone
from crdt_sync.exchange.source_name import given_source, source_name
from crdt_sync.exchange.suspects import LookAlikes
from crdt_sync.exchange.table import BASE_HEADER, MISSING, Cell, Row, RowError, Table, TableForm
from crdt_sync.exchange.three_way import Decision, Memory, decide, said_of, said_since
from crdt_sync.exchange.total_row import doubt_of_total
from crdt_sync.ids import collection_of, is_made
from crdt_sync.limits import TABLE_CHANGES_KEPT_MAX, TABLE_FAILURES_KEPT_MAX
from crdt_sync.records.memory.sources import edits_of, is_edits, newest, same, text_mark
from crdt_sync.records.memory.versions import differing
from crdt_sync.records.roots import Layout
from crdt_sync.records.schema import Schema
from crdt_sync.records.text_input import TRUE_WORDS

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
    seems to be one whose address or phone, by which rows are known, was edited; unless `as_new` says that they are new,
    or whole rows were asked for.

    Raises `AlreadyHere`, `AnotherList`, `InvalidTable`, `KeyNeeded`, `UnknownField` and `UnknownCollection` before
    anything is written, and any `StoreError`.
    """
    if collection in replica.schemas:
        table = unguarded_by_records(table, replica.list(collection))
    schema, inferred = _schema(replica, table, collection, conventions, infer=infer)
    name = source_name(table.name) if source is None else given_source(source)
    last = last_columns(replica.list(collection, deleted=True), name) if not inferred else LastColumns()
    remembered = still_mapped(table.columns, schema, _with_record(mapping, record_column), last.mapping)
    mapping = {**remembered, **(mapping or {})}
    matched = match_columns(table.columns, schema, _with_record(mapping, record_column))
    reading = Interpretation(table, matched, schema, conventions)
    if record_column is None and not key_columns and key_columns is not None and not inferred:
        record_column = own_record_column(
            table, matched.fields, collection, lambda record: _present(replica, record) is not None
        )
        if record_column is not None:
            matched = match_columns(table.columns, schema, _with_record(mapping, record_column))
    bases = Bases(table, collection, space, lambda record: _present(replica, record) is not None)
    keys = record_keys(
        table,
        matched,
        schema,
        key_columns,
        record_column,
        last.key,
        lambda: replica.list(collection, deleted=True) if collection in replica.schemas else (),
        partial(_present, replica),
        lambda values: replica.key_standing(collection, values).shown_by,
        name,
        bases,
    )
    keys.carried = bases.record_of
    keys.read, keys.read_row = reading.read_cell, lambda row: reading.read(row, {})[0]
    written = exports.of_collection(collection, name) if exports is not None and not bases else Remembered()
    exported = looks_exported(table, schema)
    by_shown = may_be_exported(table, schema) and record_column is None and not keys.natural
    known = inferred or bool(bases)  # nothing of it was exported, or each row says what it was
    own = OwnRows() if known else _own_rows(replica, table, collection, reading, written, name, by_shown=by_shown)
    own = replace(own, named=exported or record_column is not None)
    keys.own = own if record_column is None else keys.own
    if not same_source and not bases:
        check_list(table, keys, partial(_present, replica), name, given=bool(key_columns))
    if not as_new:
        check_new(table, keys, partial(_present, replica), schema)
    refuse = conventions.bad_cells == "refuse"
    said_by = bases.source or _said_by(replica, table, name, own, keys, exported=exported)
    run = _Run(replica, said_by, keys, reading, written, table.typed, clear_empty, dry_run, refuse, on_error)
    run.own, run.bases = own, bases
    run.columns = LastColumns(() if keys.natural else keys.key, by_header(table.columns, mapping))
    run.remembered = remembered
    run.exported = exported
    if imported is not None:
        run.first_import = imported.begin(collection, said_by, version_digest(table), go_back=go_back, dry_run=dry_run)
    if not (bases or inferred or keys.record_column):
        run.gone = RowsGone.of(replica.list(collection), said_by)
    run.deletion = next((at for at, header in enumerate(table.columns) if _tells_deletion(header, matched)), None)
    rows = table.rows()
    while (first := next(rows, None)) is not None:
        with replica.batch():
            run.take(chain((first,), islice(rows, batch_rows - 1)))
        if progress is not None:
            progress(ImportProgress(run.rows, table.bytes_read, table.bytes_total))
    made = inferred and (dry_run or collection in replica.schemas)
    return run.report(collection, matched.unmapped, made, table.form)


def _own_rows(
    replica: WritableReplica,
    table: Table,
    collection: str,
    reading: Interpretation,
    written: Remembered,
    name: str,
    *,
    by_shown: bool,
) -> OwnRows:
    """The records that the rows were exported from, on this device or, where asked, on another."""
    told = partial(_told, replica, name)
    own = own_rows(table, reading, written, name, told)
    if by_shown and not own.same and not own.edited:
        return rows_of_shown(table, reading, replica.list(collection), name, told)
    return own


def _said_by(
    replica: WritableReplica, table: Table, name: str, own: OwnRows, keys: RecordKeys, *, exported: bool
) -> str:
    """The source of a table that does not say itself what it is: of `name`, or of what people edited in an export.

    Ids that nobody chooses are those of an export, also on a device that does not know it: both devices write alike.
    """
    if own.as_export and own.export is not None:
        return edits_of(own.export)
    if own.as_export_of_others and (exported or not keys.key):
        return edits_of(name)
    if keys.record_column is None:
        return name
    position = table.columns.index(keys.record_column)
    first = (row.cells[position] for row in islice(table.rows(), FIRST_ROWS) if isinstance(row, Row))
    named = [cell for cell in first if isinstance(cell, str) and is_made(cell)]
    return edits_of(name) if named and (exported or not any(_told(replica, name, each) for each in named)) else name


def _schema(
    replica: WritableReplica, table: Table, collection: str, conventions: Conventions, *, infer: bool
) -> tuple[Schema, bool]:
    """The schema of the collection, and whether it was inferred from the table: the first row that goes in adds it."""
    if (known := replica.schemas.get(collection)) is not None:
        return known, False
    if not infer:
        raise UnknownCollection(f"there is no schema for {collection!r}", "Add one, or let it be inferred.")
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


@dataclass(slots=True)
class _Run:
    replica: WritableReplica
    source: str
    keys: RecordKeys
    reading: Interpretation
    exports: Remembered
    typed: bool
    clear_empty: bool
    dry_run: bool
    refuse: bool
    on_error: Callable[[RowError], object] | None
    bases: Bases | None = None  # what the rows say that they were edited from
    own: OwnRows = field(default_factory=OwnRows)  # of the export of this device that the table may be
    columns: LastColumns = field(default_factory=LastColumns)  # how the table is read, to be remembered
    remembered: Mapping[str, str | None] = field(default_factory=dict)  # what of it is as last time
    exported: bool = False  # the headers are those of an export
    first_import: int | None = None  # of a version that was imported before, the stamp
    rows_older: int = 0
    newer: int | None = None  # the stamp of the newest that a newer version said
    last: Row | None = None  # of a new record, if it is the last so far that has any cell
    older: list[CellChange] = field(default_factory=list)
    deletion: int | None = None  # the column that tells which rows were deleted where the table comes from
    look_alikes: LookAlikes | None = None  # of before the first new row
    gone: RowsGone = field(default_factory=RowsGone)  # of the records of this source, those that no row was yet
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    empty: int = 0
    deleted: int = 0
    alike: int = 0
    failures: int = 0
    cells_failed: int = 0
    failed: list[RowError] = field(default_factory=list)
    cells: Counter[str] = field(default_factory=Counter)
    told_before: Counter[str] = field(default_factory=Counter)  # by other sources, of rows in which both changed a cell
    agreed: Counter[str] = field(default_factory=Counter)  # likewise, of rows that say what is here already
    cells_overruled: int = 0
    cells_settled: int = 0
    cells_odd: int = 0
    odd: list[RowError] = field(default_factory=list)
    conflicts: list[CellChange] = field(default_factory=list)
    settled: list[CellChange] = field(default_factory=list)
    changes: list[CellChange] = field(default_factory=list)

    @property
    def rows(self) -> int:
        return self.created + self.updated + self.unchanged + self.empty + self.deleted + self.failures

    def take(self, rows: Iterable[Row | RowError]) -> None:
        for row in rows:
            problem = row if isinstance(row, RowError) else self._row(row)
            if problem is not None:
                self._fail(problem)

    def _row(self, row: Row) -> RowError | None:
        if all(cell is MISSING for cell in row.cells):
            self.empty += 1
            return None
        self.last = None
        if self.deletion is not None and str(row.cells[self.deletion]).strip().casefold() in TRUE_WORDS:
            header = self.reading.column_forms()[self.deletion].header
            why = f"the table says that this row was deleted; --map '{header}=' imports such rows, too"
            return RowError(row.line, header, "deleted_in_source", why)
        record = self.keys.record_of(row)
        if isinstance(record, RowError):
            return record
        if record is None:
            self.unchanged += 1
            return None
        self.gone.is_here(record)
        present = _present(self.replica, record)
        if present is not None and present.deleted:
            again = self.keys.entered_again(row) if self._base(row) is None else None
            present = None if again is None else _present(self.replica, again)
            if again is None or present is None or present.deleted:
                self.deleted += 1
                return None
            record = again
            self.gone.is_here(record)
        if present is None:
            self.gone.is_new(row.line, self.keys.name_in(row), record)
        decided, problems = self._decide(row, present)
        if present is None:
            self._look_for_known(row, decided)
        if problems and (self.refuse or not decided):
            return problems[0]  # nothing of the row is left
        while True:
            try:
                after = self._bring(record, decided)
                break
            except UsageError as error:
                problem = RowError(row.line, self._header_of(error), error.code, _message(error))
                target = next((each for each in decided if _is_about(error, each)), None)
                if target is None or self.refuse:
                    return problem
                problems.append(problem)
                del decided[target]
        for problem in problems:
            self.cells_failed += 1
            self._tell(problem)
        self._count(row, record, present, decided, after)
        return None

    def _look_for_known(self, row: Row, decided: Mapping[Target, Decision]) -> None:
        """Count a row of a new customer who looks like one that was here before."""
        if self.look_alikes is None:
            fields, records = self.reading.schema.fields, self.keys.records()
            self.look_alikes = LookAlikes(fields, records)
        wanted = {target.field: each.wanted for target, each in decided.items() if each.outcome == "written"}
        known = [sources for _, sources in self.keys.known_like(row)]
        if known or self.look_alikes.has_one_like(wanted):
            self.alike += 1
        self.agreed.update({name for names in known for name in names if name != self.source})

    def _decide(self, row: Row, present: ReadableRecord | None) -> tuple[dict[Target, Decision], list[RowError]]:
        """What to do for each field, and the cells that do not fit theirs."""
        memory = self._memory(present, row)
        raw = present.raw if present is not None else {}
        found, problems = self.reading.read(row, raw)
        decided = {}
        for target in self.reading.targets:
            if (cells := found.get(target.field)) is None:
                continue
            now = raw.get(target.field, MISSING)
            try:
                decision = decide(
                    target.field,
                    target.spec,
                    cells,
                    now,
                    self._unless_guarded(memory, target, cells, now, present),
                    typed=self.typed,
                    clear_empty=self.clear_empty,
                )
            except InvalidValue as error:
                problems.append(RowError(row.line, target.header, error.code, _message(error)))
                continue
            written = decision is not None and decision.outcome in ("written", "both_changed")
            if decision is not None and written and only_lost_digits(target.field, target.spec, now, decision.wanted):
                why = f"{decision.wanted!r} is {now!r}, which is here, without its first characters"
                hint = "format the column as text in the spreadsheet, or change it here"
                problems.append(RowError(row.line, target.header, "digits_lost", f"{why}; {hint}"))
                continue
            if decision is not None:
                decided[target] = self._unless_older(target.field, decision, present)
        return decided, problems

    def _unless_guarded(
        self, memory: Memory, target: Target, cells: Sequence[Cell], now: object, present: ReadableRecord | None
    ) -> Memory:
        """The memory; of the table alone that brought the field a cell with the guard's apostrophe, where one did."""
        cell = cells[0] if len(cells) == 1 else MISSING
        if present is None or not isinstance(cell, str) or not cell != guard(cell) == now:
            return memory
        shown = said_of(target.spec, now)
        for source in newest(present.sources).values():
            if target.field in source.said and same(text_mark(source.said[target.field]), shown):
                return replace(memory, own=(source.said,), others=())
        return memory

    def _unless_older(self, field: str, decision: Decision, present: ReadableRecord | None) -> Decision:
        """The decision, or none where the table is an old version and a newer one said something else of the field."""
        if self.first_import is None or present is None:
            return decision
        since = said_since(field, decision, self.source, present.sources, self.first_import)
        if since is None:
            return decision
        self.newer = max(since, self.newer or 0)
        return Decision("older", wanted=decision.wanted)

    def _base(self, row: Row) -> Mapping[str, object] | None:
        return None if self.bases is None else self.bases.said(row)

    def _memory(self, present: ReadableRecord | None, row: Row) -> Memory:
        if present is None:
            return Memory()
        last = newest(present.sources).get(self.source)
        if (base := self._base(row)) is not None:
            own = [*(memory.said for memory in present.sources if memory.name == self.source), base]
            return Memory(own, share=None if last is None else last.said, edited=True)
        mine = [(source.stamp, source.name, source.said) for source in present.sources if source.name == self.source]
        others = [source for source in present.sources if source.name != self.source]
        heard = [source.said for source in others if is_edits(source.name)]
        for stamp, name, said in self.exports.said(present.record):
            if self.own.as_export and name == self.own.export:
                mine.append((stamp, name, said))
            else:
                heard.append(said)
        mine.sort(key=lambda memory: memory[:2], reverse=True)
        formerly = cache(partial(self.replica.formerly, present.record))
        natural = frozenset(name for name, _ in self.keys.natural.values())
        exported = (self.keys.record_column is not None or self.own.elsewhere) and is_made(present.record)
        return Memory(
            [said for _, _, said in mine],
            [source.said for source in others if not is_edits(source.name)],
            heard,
            None if last is None else last.said,
            formerly,
            natural,
            exported,
        )

    def _bring(self, record: str, decided: Mapping[Target, Decision]) -> Mapping[str, object]:
        """Write it; what the record would show, of a dry run."""
        changes = [change for target in sorted(decided, key=_by_field) for change in decided[target].changes]
        said = {target.field: decision.said for target, decision in decided.items() if decision.said is not MISSING}
        if not (changes or said):
            return {}
        if collection_of(record) not in self.replica.schemas:
            if self.dry_run:
                return {}
            self.replica.add_schema(self.reading.schema)
        if said and record not in self.keys.whole and (columns := self.columns.said()):
            said[COLUMNS] = columns
        return self.replica.bring(record, self.source, changes, said or None, dry_run=self.dry_run)

    def _count(
        self,
        row: Row,
        record: str,
        present: ReadableRecord | None,
        decided: Mapping[Target, Decision],
        after: Mapping[str, object],
    ) -> None:
        outcomes = {decision.outcome for decision in decided.values()}
        if present is None:
            self.last = row
            self.created += "written" in outcomes
            self.empty += "written" not in outcomes
        else:
            self.rows_older += "older" in outcomes
            changed = bool(outcomes - {"unchanged", "older"})
            self.updated += changed
            self.unchanged += not changed
        disputed = differing([source for source in present.sources if source.name == self.source]) if present else set()
        if present and all(memory.name != self.source for memory in present.sources):
            names = {memory.name for memory in present.sources}
            if "both_changed" in outcomes:
                self.told_before.update(names)
            if 2 * sum(decision.outcome == "unchanged" for decision in decided.values()) > len(decided):
                self.agreed.update(names)
        for target, decision in decided.items():
            self.cells[decision.outcome] += 1
            if decision.outcome == "written":
                self._note_odd(row.line, target, decision.wanted)
            if present is None:
                continue
            here = present.raw.get(target.field)
            kept = self._kept(target, decision) if decision.outcome == "both_changed" else ""
            settles = target.field in disputed and decision.said is not MISSING and decision.outcome != "both_changed"
            both = decision.outcome == "both_changed"
            told = (settles or decision.outcome == "written") and len(self.changes) < TABLE_CHANGES_KEPT_MAX
            if not after and (both or told):
                after = self.replica.get(record).raw  # what people counted and typed here is there, too
            result = after.get(target.field) if both or told else None
            stays = not both or same(result, here)
            self.cells_overruled += not stays
            change = CellChange(
                row.line, target.header, record, target.field, here, decision.wanted, result, kept, stays
            )
            if settles:
                self.cells_settled += 1
                _keep(self.settled, change)
            if decision.outcome == "older":
                _keep(self.older, change)
            elif decision.outcome == "both_changed":
                _keep(self.conflicts, change)
            elif decision.outcome == "written":
                _keep(self.changes, change)

    def _kept(self, target: Target, decision: Decision) -> Literal["open", "beside", ""]:
        """Where the table's value of a cell that both changed is kept, see `CellChange`."""
        if not decision.changes:
            return ""
        key = {name for name, _ in self.keys.natural.values()}
        rules = target.spec.rules
        beside = rules.layout is Layout.ENTRIES and not rules.asks and target.field not in key
        return "beside" if beside else "open"

    def _note_odd(self, line: int, target: Target, wanted: object) -> None:
        contact = contact_of(target.field, target.spec)
        for text in texts_of(wanted) if contact is not None else ():
            if contact is not None and cannot_be(contact, text):
                self.cells_odd += 1
                if len(self.odd) < TABLE_CHANGES_KEPT_MAX:
                    why = f"{text[:60]!r} is no {contact}"
                    self.odd.append(RowError(line, target.header, "odd_contact", why))
                return

    def _header_of(self, error: UsageError) -> str:
        name = error.field if isinstance(error, InvalidValue) else None
        return next((target.header for target in self.reading.targets if target.field == name), "")

    def _fail(self, problem: RowError) -> None:
        self.failures += 1
        self._tell(problem)

    def _tell(self, problem: RowError) -> None:
        if len(self.failed) < TABLE_FAILURES_KEPT_MAX:
            self.failed.append(problem)
        if self.on_error is not None:
            self.on_error(problem)

    def _renamed(self) -> str | None:
        """The source that the table may be of: most of whose cells contradict, or that said most of its rows alike."""
        agreed = Counter({name: count for name, count in self.agreed.items() if count > 1 and 2 * count > self.rows})
        told = Counter[str]() if self.own.export is not None or self.bases else self.told_before or agreed
        return min(told, key=lambda name: (-told[name], name), default=None)

    def _doubts(self) -> tuple[RowError, ...]:
        total = None if self.last is None else doubt_of_total(self.last, self.reading.headers, dry_run=self.dry_run)
        return (*self.reading.doubts(), *([] if total is None else [total]))

    def _missing(self) -> tuple[str, ...]:
        """The required fields that no column goes to, where no row could be taken."""
        if not self.failures or self.failures < self.rows - self.empty:
            return ()
        found = {target.field for target in self.reading.targets}
        return tuple(name for name, spec in self.reading.schema.fields.items() if spec.required and name not in found)

    def report(self, collection: str, unmapped: tuple[str, ...], inferred: bool, form: TableForm) -> ImportReport:
        perhaps_edited = self.gone.perhaps_edited()
        return ImportReport(
            collection=collection,
            source=self.source,
            dry_run=self.dry_run,
            rows=self.rows,
            created=self.created,
            updated=self.updated,
            unchanged=self.unchanged,
            empty=self.empty,
            deleted=self.deleted,
            alike=self.alike,
            failures=self.failures,
            failed=tuple(self.failed),
            cells_failed=self.cells_failed,
            cells_written=self.cells["written"],
            cells_unchanged=self.cells["unchanged"],
            cells_both_changed=self.cells["both_changed"],
            cells_overruled=self.cells_overruled,
            cells_settled=self.cells_settled,
            cells_older=self.cells["older"],
            rows_older=self.rows_older,
            newer_said=self.newer,
            older=tuple(self.older),
            cells_odd=self.cells_odd,
            odd=tuple(self.odd),
            doubts=self._doubts(),
            conflicts=tuple(self.conflicts),
            settled=tuple(self.settled),
            changes=tuple(self.changes),
            unmapped=unmapped,
            missing=self._missing(),
            remembered=dict(self.remembered),
            inferred=inferred,
            key=self.keys.key,
            key_found=self.keys.found,
            passed_over=self.keys.passed_over,
            record_column=BASE_HEADER if self.bases else self.keys.record_column,
            recognised=self.keys.recognised,
            matched=self.keys.matched,
            keys_shared=len(self.keys.shared),
            shared=tuple(self.keys.shared[:TABLE_CHANGES_KEPT_MAX]),
            without_key=self.keys.without_key,
            rows_gone=len(perhaps_edited) if self.keys.key else self.gone.count(),
            perhaps_edited=tuple(perhaps_edited[:TABLE_CHANGES_KEPT_MAX]),
            renamed=self._renamed(),
            looks_exported=self.exported,
            form=form,
            columns=self.reading.column_forms(),
        )


def _present(replica: WritableReplica, record: str) -> ReadableRecord | None:
    with suppress(UnknownRecord):
        return replica.get(record)
    return None


def _told(replica: WritableReplica, source: str, record: str) -> Mapping[str, object]:
    """What a source said of a record last."""
    present = _present(replica, record)
    last = None if present is None else newest(present.sources).get(source)
    return {} if last is None else last.said


def _keep(kept: list[CellChange], change: CellChange) -> None:
    if len(kept) < TABLE_CHANGES_KEPT_MAX:
        kept.append(change)


def _tells_deletion(header: str, matched: ColumnMapping) -> bool:
    """Whether this is Salesforce's column of deleted rows, and neither goes to a field nor was left out on purpose."""
    return loose(header) == "isdeleted" and header in matched.unmapped


def _is_about(error: UsageError, target: Target) -> bool:
    return isinstance(error, InvalidValue) and error.field == target.field


def _by_field(target: Target) -> str:
    return target.field


def _with_record(mapping: Mapping[str, str | None] | None, record_column: str | None) -> dict[str, str | None]:
    taken = {record_column: None} if record_column is not None else {}
    return {**(mapping or {}), **taken}


def _message(error: UsageError) -> str:
    return f"{error.message}. {error.hint}" if error.hint else error.message
