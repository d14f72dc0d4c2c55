"""Rows into records: whose each is, what each of its cells asks for, and the writing of it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial

from crdt_sync.errors import EditForbidden, InvalidValue, StoreCorrupt, UsageError
from crdt_sync.exchange.base import Bases
from crdt_sync.exchange.exports import Remembered
from crdt_sync.exchange.guard import guard
from crdt_sync.exchange.import_tally import ImportTally
from crdt_sync.exchange.interpretation import Interpretation, Target
from crdt_sync.exchange.known_records import LastColumns
from crdt_sync.exchange.lost_digits import only_lost_digits
from crdt_sync.exchange.own_rows import OwnRows
from crdt_sync.exchange.port import ReadableRecord, WritableReplica, find_record
from crdt_sync.exchange.record_key import RecordKeys
from crdt_sync.exchange.row_memory import Memory, said_of
from crdt_sync.exchange.suspects import LookAlikes
from crdt_sync.exchange.table import MISSING, Cell, Row, RowError
from crdt_sync.exchange.three_way import Decision, decide, said_since
from crdt_sync.ids import collection_of, is_made
from crdt_sync.policy.masks import MASKS, looks_masked, masked
from crdt_sync.records.memory.sources import (
    COLUMNS,
    EDITED,
    REMOVED,
    Edited,
    Source,
    account_of,
    accounts,
    earlier_edits_of,
    edits_of,
    is_edits,
    is_plain_edits,
    newest,
    same,
    text_mark,
)
from crdt_sync.records.text_input import TRUE_WORDS


@dataclass(slots=True)
class RowImport:
    """Takes the rows of one table, one after the other, and counts what became of them."""

    replica: WritableReplica
    keys: RecordKeys
    reading: Interpretation
    exports: Remembered  # what this device exported
    own: OwnRows  # of the export of this device that the table may be
    bases: Bases  # what the rows say that they were edited from
    columns: LastColumns  # how the table is read, to be remembered
    tally: ImportTally
    edited: Edited | None  # of what people edited in an export that does not say what it was edited from
    first_import: int | None  # of a version that was imported before, the stamp
    in_book: bool  # it is known whether it was
    deletion: int | None  # the column that tells which rows were deleted where the table comes from
    typed: bool  # the cells are values, see `Table`
    clear_empty: bool  # an empty cell empties the field
    dry_run: bool
    refuse: bool  # a row with a cell that does not fit its field, instead of leaving the cell out
    look_alikes: LookAlikes | None = None  # of before the first new row

    def take(self, rows: Iterable[Row | RowError]) -> None:
        """Write what is news in them; a row that cannot be taken is counted as failed, and stops no other."""
        for row in rows:
            problem = row if isinstance(row, RowError) else self._sound(row)
            if problem is not None:
                self.tally.fail(problem)

    def _sound(self, row: Row) -> RowError | None:
        """`_row`, where what is stored of its record is damaged as well: the others go on."""
        try:
            return self._row(row)
        except StoreCorrupt as corrupt:
            if corrupt.record is None:
                raise
            return RowError(row.line, "", corrupt.code, f"its record {corrupt.record} is damaged: {corrupt.message}")

    def _row(self, row: Row) -> RowError | None:
        if all(cell is MISSING for cell in row.cells):
            self.tally.empty += 1
            return None
        self.tally.last = None
        if self.deletion is not None and str(row.cells[self.deletion]).strip().casefold() in TRUE_WORDS:
            header = self.reading.column_forms()[self.deletion].header
            why = f"the table says that this row was deleted; --map '{header}=' imports such rows, too"
            return RowError(row.line, header, "deleted_in_source", why)
        record = self.keys.record_of(row)
        if isinstance(record, RowError):
            return record
        if record is None:
            self.tally.unchanged += 1
            return None
        self.tally.gone.is_here(record)
        present = find_record(self.replica, record)
        if present is not None and present.deleted:
            again = self.keys.entered_again(row) if self.bases.base_of(row) is None else None
            present = None if again is None else find_record(self.replica, again)
            if again is None or present is None or present.deleted:
                self.tally.deleted += 1
                return None
            record = again
            self.tally.gone.is_here(record)
        if present is None and (hidden := self._hidden(row)) is not None:
            why = f"it may be of {hidden}, which is damaged: nobody can tell. Repair first: 'crdt-sync verify --repair'"
            return RowError(row.line, "", StoreCorrupt.code, why)
        if present is None:
            self.tally.gone.is_new(row.line, self.keys.name_in(row), record)
        base = self.bases.base_of(row)
        source = self.tally.source if base is None else base.edits
        decided, problems = self._decide(row, present, source)
        if present is None:
            self._look_for_known(row, decided)
        if problems and (self.refuse or all(each.outcome == "emptied" for each in decided.values())):
            return problems[0]  # nothing of the row is left
        while True:
            try:
                after = self._bring(record, decided, source)
                break
            except UsageError as error:
                problem = RowError(row.line, self._header_of(error), error.code, _message(error))
                target = next((each for each in decided if _is_about(error, each)), None)
                if target is None or self.refuse:
                    about = (each for each in problems if each.column and each.column == problem.column)
                    return next(about, problem)
                problems.append(problem)
                del decided[target]
                if all(each.outcome == "emptied" for each in decided.values()):
                    return problems[0]
        for problem in problems:
            self.tally.fail_cell(problem)
        # What people counted and typed here is there, too: it is read back, where anybody asks.
        self.tally.count(row, present, decided, cache(lambda: after or self.replica.get(record).raw))
        return None

    def _hidden(self, row: Row) -> str | None:
        """A record that is damaged beyond being shown, of which a new row may be.

        Its id follows from what it was made of, not from what it shows since, and damaged bytes prove nothing of that:
        it may be of any row of the collection that does not name its own record.
        """
        if self.keys.is_named(row):
            return None
        prefix = f"{self.reading.schema.collection}/"
        return min((record for record in self.replica.unshown if record.startswith(prefix)), default=None)

    def _look_for_known(self, row: Row, decided: Mapping[Target, Decision]) -> None:
        """Count a row of a new customer who looks like one that was here before."""
        if self.look_alikes is None:
            fields, records = self.reading.schema.fields, self.keys.records()
            self.look_alikes = LookAlikes(fields, records)
        wanted = {target.field: each.wanted for target, each in decided.items() if each.outcome == "written"}
        known = [sources for _, sources in self.keys.known_like(row)]
        self.tally.look_alike(known, alike=bool(known) or self.look_alikes.has_one_like(wanted))

    def _decide(
        self, row: Row, present: ReadableRecord | None, said_by: str
    ) -> tuple[dict[Target, Decision], list[RowError]]:
        """What to do for each field, and the cells that do not fit theirs."""
        memory = self._memory(present, row, said_by)
        raw = present.raw if present is not None else {}
        found, problems = self.reading.read(row, raw)
        decided = {}
        for target in self.reading.targets:
            if (cells := found.get(target.field)) is None:
                continue
            now = raw.get(target.field, MISSING)
            if target.spec.section and any(isinstance(cell, str) and looks_masked(cell) for cell in cells):
                if present is None or not _is_part_of(present, target.field, cells):
                    problems.append(RowError(row.line, target.header, "masked", _MASKED))
                continue
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
                decided[target] = self._unless_older(target.field, decision, present, said_by)
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

    def _unless_older(self, field: str, decision: Decision, present: ReadableRecord | None, said_by: str) -> Decision:
        """The decision, or none where the table is an old version and a newer one said something else of the field."""
        if self.first_import is None or present is None:
            return decision
        since = said_since(field, decision, said_by, present.sources, self.first_import)
        if since is None:
            return decision
        self.tally.newer = max(since, self.tally.newer or 0)
        return Decision("older", wanted=decision.wanted)

    def _memory(self, present: ReadableRecord | None, row: Row, said_by: str) -> Memory:
        if present is None:
            return Memory()
        account = account_of(said_by)
        last = accounts(present.sources).get(account)
        if (base := self.bases.base_of(row)) is not None:
            own = [*(memory.said for memory in present.sources if memory.name == said_by), base.said]
            formerly = cache(partial(self.replica.formerly, present.record))
            share = None if last is None else last.said
            return Memory(own, share=share, formerly=formerly, edited=True, carried=base.stamp)
        own_sources = {said_by}
        edits = [source.edited for source in present.sources if source.account == account]
        if any(each is not None and each.alone for each in [self.edited, *edits]):
            own_sources |= {account, edits_of(account)}  # one file, whichever device took it for a table
        if said_by != account:
            own_sources.add(earlier_edits_of(account))
        said_by_own = [source for source in present.sources if source.name in own_sources]
        others = [source for source in present.sources if source.name not in own_sources]
        heard = [source.said for source in others if is_edits(source.name)]
        mine = [(source.stamp, source.name, source.said) for source in said_by_own]
        exported_here = list(self.exports.said(present.record))
        for stamp, name, said in exported_here:
            if self.own.as_export and name == self.own.export:
                mine.append((stamp, name, said))
            else:
                heard.append(said)
        if self.own.as_export:
            mine += self._edited_under_other_names(others, exported_here)
        mine.sort(key=lambda memory: memory[:2], reverse=True)
        rest = {account, edits_of(account), earlier_edits_of(account)} - own_sources
        beside, stamps = _said_last([source for source in others if source.name in rest])
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
            edited=self.own.as_export,
            unknown=is_edits(said_by) and not self.own.as_export,
            later=self.own.since,
            beside=beside,
            since={field: beside[field] for field, stamp in stamps.items() if stamp > _last(mine, field)},
            newest=self.in_book and own_sources == {account},
        )

    def _edited_under_other_names(
        self, others: Sequence[Source], exports: Sequence[tuple[int, str, Mapping[str, object]]]
    ) -> list[tuple[int, str, Mapping[str, object]]]:
        """What the file of the export said since under another name.

        In earlier releases it did not say of which export that was: here, of no other that is known.
        """
        made = min((stamp for stamp, name, _ in exports if name == self.own.export), default=None)
        apart = {earlier_edits_of(name) for _, name, _ in exports if name != self.own.export}

        def is_of_export(source: Source) -> bool:
            if self.edited is not None and source.edited is not None:
                return source.edited.export == self.edited.export
            earlier = source.edited is None and is_plain_edits(source.name)
            return earlier and made is not None and source.stamp > made and source.name not in apart

        return [(source.stamp, source.name, source.said) for source in others if is_of_export(source)]

    def _bring(self, record: str, decided: Mapping[Target, Decision], said_by: str) -> Mapping[str, object]:
        """Write it; what the record would show, of a dry run."""
        changes = [change for target in sorted(decided, key=_by_field) for change in decided[target].changes]
        said = {target.field: decision.said for target, decision in decided.items() if decision.said is not MISSING}
        said.update({REMOVED + target.field: [*each.removed] for target, each in decided.items() if each.removed})
        if not (changes or said):
            return {}
        if collection_of(record) not in self.replica.schemas:
            if self.dry_run:
                return {}
            self.replica.add_schema(self.reading.schema)
        if said and record not in self.keys.whole and (columns := self.columns.said()):
            said[COLUMNS] = columns
        if said and self.edited is not None:
            said[EDITED] = self.edited.said()
        return self.replica.bring(record, said_by, changes, said or None, dry_run=self.dry_run)

    def _header_of(self, error: UsageError) -> str:
        name = error.field if isinstance(error, InvalidValue | EditForbidden) else None
        return next((target.header for target in self.reading.targets if target.field == name), "")


_MASKED = "this is what a mask shows of a value, and not the value; whoever sees it whole can export that"


def _is_part_of(present: ReadableRecord, field: str, cells: Sequence[Cell]) -> bool:
    """Whether a table shows in part what the record holds, or shows in part as well: that is nothing new."""
    if field in present.masked:
        return all(cell == present.masked[field].text for cell in cells)
    held = present.raw.get(field)
    return held is not None and all(any(masked(mask, str(held)) == cell for mask in MASKS) for cell in cells)


def _said_last(sources: Sequence[Source]) -> tuple[dict[str, object], dict[str, int]]:
    """What was said last of each field, and when. `sources` have the newest first."""
    said: dict[str, object] = {}
    stamps: dict[str, int] = {}
    for source in reversed(sources):
        said.update(source.said)
        stamps.update(dict.fromkeys(source.said, source.stamp))
    return said, stamps


def _last(said: Sequence[tuple[int, str, Mapping[str, object]]], field: str) -> int:
    """When something was said of a field last. `said` has the newest first."""
    return next((stamp for stamp, _, each in said if field in each), -1)


def _is_about(error: UsageError, target: Target) -> bool:
    return isinstance(error, InvalidValue | EditForbidden) and error.field == target.field


def _by_field(target: Target) -> str:
    return target.field


def _message(error: UsageError) -> str:
    return f"{error.message}. {error.hint}" if error.hint else error.message
