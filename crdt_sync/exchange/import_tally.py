"""What an import did, counted row by row and cell by cell, for its report."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from crdt_sync.exchange.contacts import cannot_be, contact_of, texts_of
from crdt_sync.exchange.import_report import CellChange, ImportReport
from crdt_sync.exchange.interpretation import Interpretation, Target
from crdt_sync.exchange.port import ReadableRecord
from crdt_sync.exchange.record_key import RecordKeys
from crdt_sync.exchange.rows_gone import RowsGone
from crdt_sync.exchange.table import BASE_HEADER, MISSING, Row, RowError, TableForm
from crdt_sync.exchange.three_way import Decision
from crdt_sync.exchange.total_row import doubt_of_total
from crdt_sync.limits import TABLE_CHANGES_KEPT_MAX, TABLE_FAILURES_KEPT_MAX
from crdt_sync.records.memory.sources import account_of, same, standing_in_accounts
from crdt_sync.records.memory.versions import differing
from crdt_sync.records.roots import Layout


@dataclass(slots=True)
class ImportTally:
    """The counts of one import of `source`, and the first rows and cells of each sort, see `ImportReport`."""

    source: str
    keys: RecordKeys
    reading: Interpretation
    dry_run: bool
    on_error: Callable[[RowError], object] | None
    gone: RowsGone  # of the records of this source, those that no row was yet
    remembered: Mapping[str, str | None]  # columns that are read as last time
    exported: bool  # the headers are those of an export
    based: bool  # rows say themselves what they were exported from
    key_lasts: bool  # the key is remembered
    of_export: bool  # the table is an export: no other source is looked for whose it may be
    newer: int | None = None  # the stamp of the newest that a newer version said
    last: Row | None = None  # of a new record, if it is the last so far that has any cell
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    empty: int = 0
    deleted: int = 0
    alike: int = 0
    failures: int = 0
    rows_older: int = 0
    cells_failed: int = 0
    cells_overruled: int = 0
    cells_not_counted: int = 0
    cells_settled: int = 0
    cells_clearable: int = 0
    cells_odd: int = 0
    cells: Counter[str] = field(default_factory=Counter)
    told_before: Counter[str] = field(default_factory=Counter)  # by other sources, of rows in which both changed a cell
    agreed: Counter[str] = field(default_factory=Counter)  # likewise, of rows that say what is here already
    failed: list[RowError] = field(default_factory=list)
    odd: list[RowError] = field(default_factory=list)
    older: list[CellChange] = field(default_factory=list)
    emptied: list[CellChange] = field(default_factory=list)
    conflicts: list[CellChange] = field(default_factory=list)
    settled: list[CellChange] = field(default_factory=list)
    changes: list[CellChange] = field(default_factory=list)

    @property
    def rows(self) -> int:
        """The rows so far."""
        return self.created + self.updated + self.unchanged + self.empty + self.deleted + self.failures

    @property
    def taken(self) -> int:
        """Rows whose record is here as they say, or was deleted here."""
        return self.created + self.updated + self.unchanged + self.deleted

    def fail(self, problem: RowError) -> None:
        """Count a row that changed nothing."""
        self.failures += 1
        self._tell(problem)

    def fail_cell(self, problem: RowError) -> None:
        """Count a cell that was left out."""
        self.cells_failed += 1
        self._tell(problem)

    def look_alike(self, known: list[frozenset[str]], *, alike: bool) -> None:
        """Count a new customer; `known` has the sources of each record with the name and an address or phone of it."""
        self.alike += alike
        self.agreed.update({name for names in known for name in names if name != self.source})

    def count(
        self,
        row: Row,
        present: ReadableRecord | None,
        decided: Mapping[Target, Decision],
        shown: Callable[[], Mapping[str, object]],
    ) -> None:
        """Count a row that was taken: `present` is its record as it was before, and `shown` reads what it shows now."""
        if present is not None and present.conflicts:
            decided = {target: _as_shown(target, each, present, shown) for target, each in decided.items()}
        for target, decision in decided.items():
            self.cells[decision.outcome] += 1
            self.cells_clearable += decision.clearable
            if decision.outcome == "emptied" and present is not None:
                _keep(self.emptied, _emptied(row.line, target, present, decision))
        decided = {target: decision for target, decision in decided.items() if decision.outcome != "emptied"}
        outcomes = {decision.outcome for decision in decided.values()}
        for target, decision in decided.items():
            if decision.outcome == "written":
                self._note_odd(row.line, target, decision.wanted)
        if present is None:
            if "written" in outcomes:
                self.last = row
                self.created += 1
            else:
                self.empty += 1
            return
        self.rows_older += "older" in outcomes
        kept = any(each.outcome == "both_changed" and each.changes for each in decided.values())
        changed = kept or "written" in outcomes
        self.updated += changed
        self.unchanged += not changed
        if all(memory.account != account_of(self.source) for memory in present.sources):
            names = {memory.name for memory in present.sources}
            if "both_changed" in outcomes:
                self.told_before.update(names)
            if 2 * sum(decision.outcome == "unchanged" for decision in decided.values()) > len(decided):
                self.agreed.update(names)
        self._list_changes(row.line, present, decided, shown)

    def _list_changes(
        self,
        line: int,
        present: ReadableRecord,
        decided: Mapping[Target, Decision],
        shown: Callable[[], Mapping[str, object]],
    ) -> None:
        account = account_of(self.source)
        disputed = differing([each for each in standing_in_accounts(present.sources) if each.account == account])
        for target, decision in decided.items():
            outcome = decision.outcome
            both = outcome == "both_changed"
            settles = target.field in disputed and decision.said is not MISSING and not both
            if outcome == "unchanged" and not settles:
                continue
            told = (settles or outcome == "written") and len(self.changes) < TABLE_CHANGES_KEPT_MAX
            here = present.raw.get(target.field)
            result = shown().get(target.field) if both or told else None
            stays = not both or same(result, here)
            kept = self._kept(target, decision) if both else ""
            change = CellChange(
                line, target.header, present.record, target.field, here, decision.wanted, result, kept, stays
            )
            self.cells_overruled += not stays
            self.cells_not_counted += kept == "later"
            if settles:
                self.cells_settled += 1
                _keep(self.settled, change)
            if outcome == "older":
                _keep(self.older, change)
            elif both:
                _keep(self.conflicts, change)
            elif outcome == "written":
                _keep(self.changes, change)

    def _kept(self, target: Target, decision: Decision) -> Literal["open", "beside", "later", ""]:
        """Where the table's value of a cell that both changed is kept, see `CellChange`."""
        if not decision.changes:
            return "" if decision.said is MISSING else "later"
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

    def _tell(self, problem: RowError) -> None:
        if len(self.failed) < TABLE_FAILURES_KEPT_MAX:
            self.failed.append(problem)
        if self.on_error is not None:
            self.on_error(problem)

    def _renamed(self) -> str | None:
        """The source that the table may be of: most of whose cells contradict, or that said most of its rows alike."""
        agreed = Counter({name: count for name, count in self.agreed.items() if count > 1 and 2 * count > self.rows})
        told = Counter[str]() if self.of_export else self.told_before or agreed
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

    def report(
        self,
        collection: str,
        unmapped: tuple[str, ...],
        inferred: bool,
        form: TableForm,
        other_key: tuple[str, ...] = (),
    ) -> ImportReport:
        """After the last row."""
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
            cells_not_counted=self.cells_not_counted,
            cells_settled=self.cells_settled,
            cells_older=self.cells["older"],
            rows_older=self.rows_older,
            newer_said=self.newer,
            older=tuple(self.older),
            cells_emptied=self.cells["emptied"],
            cells_clearable=self.cells_clearable,
            emptied=tuple(self.emptied),
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
            key_lasts=self.key_lasts and not other_key,
            other_key=other_key,
            passed_over=self.keys.passed_over,
            record_column=BASE_HEADER if self.based else self.keys.record_column,
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


def _as_shown(
    target: Target, decision: Decision, present: ReadableRecord, shown: Callable[[], Mapping[str, object]]
) -> Decision:
    """The decision; of a text of which something waits beside what people wrote: that both changed it, where it still
    waits, else that it is written."""
    waits = target.spec.rules.layout is Layout.TEXT and target.field in present.conflicts and decision.changes
    if not waits or decision.outcome not in ("written", "both_changed"):
        return decision
    now = shown().get(target.field)
    if decision.outcome == "both_changed":
        return decision if same(now, present.raw.get(target.field)) else replace(decision, outcome="written")
    (change,) = decision.changes
    return decision if same(now, change.value or None) else replace(decision, outcome="both_changed")


def _emptied(line: int, target: Target, present: ReadableRecord, decision: Decision) -> CellChange:
    here = present.raw.get(target.field)
    by_hand = target.spec.rules.layout in (Layout.TEXT, Layout.MEMBERS, Layout.COUNTS) and not target.spec.required
    clears: Literal["import", "set", ""] = "import" if decision.clearable else "set" if by_hand else ""
    return CellChange(line, target.header, present.record, target.field, here, None, here, clears=clears)


def _keep(kept: list[CellChange], change: CellChange) -> None:
    if len(kept) < TABLE_CHANGES_KEPT_MAX:
        kept.append(change)
