"""What an import says that it did."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from crdt_sync.exchange.interpretation import ColumnForm
from crdt_sync.exchange.record_key import SharedKey
from crdt_sync.exchange.rows_gone import PerhapsEdited
from crdt_sync.exchange.table import RowError, TableForm


@dataclass(frozen=True, slots=True)
class ImportProgress:
    """Where an import stands after a batch; bytes are those of the source, which is read ahead a little."""

    rows: int
    bytes_read: int
    bytes_total: int


@dataclass(frozen=True, slots=True)
class CellChange:
    """A cell that is news: what its field held here, and what the table says, as carriers.

    `result` is what the field shows after the import, or would, of a dry run; None also where nobody looked, as of
    cells that were left. `kept` tells where both changed whether the table's value is kept here: "open" in an open
    conflict, "beside" another one, with no question asked, "later" as a count of which nothing is counted, but the
    difference to what the next version says, or "" not at all. `stays` tells of these whether what was
    here is still shown; else the table's is, as where what was here came from another table. `clears` tells of a cell
    that was emptied what empties its field: an import with `clear_empty`, to "set" it by hand, or "" nothing.
    """

    line: int
    column: str
    record: str
    field: str
    here: object
    table: object
    result: object = None
    kept: Literal["open", "beside", "later", ""] = ""
    stays: bool = True
    clears: Literal["import", "set", ""] = ""


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import did, or with `dry_run` would do. `rows` = created + updated + unchanged + empty + deleted +
    failures.

    `updated` rows changed what their record shows or keeps; one of which nothing was written is `unchanged`, also where
    a cell says something else. `deleted` rows are of records that were deleted here, and left out; `alike` rows are new
    records that may be one that was here before, as `suspects` says it. An empty row is one without a value in any
    column that has a field. `source` is the name under which the table is remembered. `cells_failed` did not fit
    their field and were left out. Of the others with a value, `cells_written` changed their field,
    `cells_unchanged` were no news, and in `cells_both_changed` the table and somebody here, or another table, changed
    the same: what people wrote stands, and in `cells_overruled` of them, where nobody did, the table's is shown and
    what was here is kept. Of `cells_not_counted` of them nothing is counted, as nothing says how much of it is here
    already. `cells_settled` of the others say something new where earlier imports disagreed, and close
    their conflict. `cells_older`, in `rows_older` rows, were left: this version of the table was imported here before,
    and a newer one, or one that was imported later elsewhere, said something else, last at the stamp `newer_said`
    (microseconds). `cells_emptied` have no value, where their source said one before: their fields stay, and
    `cells_clearable` of them are cleared with
    `clear_empty`. `older`, `emptied`, `conflicts` and `settled` list the first of these, and `changes` the first cells
    that changed, or would change, records which were here already, each up to `TABLE_CHANGES_KEPT_MAX`. `cells_odd`
    were written although they cannot be the e-mail address or phone that their field is for; `odd` lists as many.
    `failed` lists the first `TABLE_FAILURES_KEPT_MAX` failures; `failures` counts all. `unmapped` names the columns
    that no field took, and `missing` the required fields that no column goes to, where all rows failed.
    `remembered` has the columns that went where they were mapped last time.
    `inferred` tells that the collection had no schema and got one made from the table. `key` names the columns that
    identified the rows, `key_found` tells that nobody gave them, `key_lasts` that the next import goes by them unasked,
    as they tell all rows apart, `other_key` the columns by which it goes instead where most records are known by those,
    and `passed_over` has a row for each of those that would do rather, in which a value is
    `repeated`, or none as in too many (`incomplete`); `record_column` holds record ids, given or found, and
    `recognised` rows were known as those of an export of this device; `matched` rows found a record of the same key
    that was made otherwise,
    `keys_shared` rows are new records beside one of another name with the same address or phone, the first of them in
    `shared`, and `without_key` rows went by their whole content. `rows_gone` records that this source told of are in no
    row, as when it was edited: all of them where no column identifies rows, else those with the name of a new row;
    `perhaps_edited` lists the first pairs of one name. `renamed` names another source that the table may be
    of, under another name: the one that knew most of the rows in which both changed a cell, or said what most rows say,
    and which this source did not know.
    `looks_exported` tells that its headers are exactly those of an export of the collection.
    `doubts` has a cell of each set whose members are separated otherwise than in most of its column, and the first part
    of a name that is left out beside another whole name, and a last row that looks like one of sums.
    `form` is what was found out about the file, and `columns` how each of its columns was read.
    """

    collection: str
    source: str
    dry_run: bool
    rows: int
    created: int
    updated: int
    unchanged: int
    empty: int
    deleted: int
    alike: int
    failures: int
    failed: tuple[RowError, ...]
    cells_failed: int
    cells_written: int
    cells_unchanged: int
    cells_both_changed: int
    cells_overruled: int
    cells_not_counted: int
    cells_settled: int
    cells_older: int
    rows_older: int
    newer_said: int | None
    older: tuple[CellChange, ...]
    cells_emptied: int
    cells_clearable: int
    emptied: tuple[CellChange, ...]
    cells_odd: int
    odd: tuple[RowError, ...]
    doubts: tuple[RowError, ...]
    conflicts: tuple[CellChange, ...]
    settled: tuple[CellChange, ...]
    changes: tuple[CellChange, ...]
    unmapped: tuple[str, ...]
    missing: tuple[str, ...]
    remembered: Mapping[str, str | None]
    inferred: bool
    key: tuple[str, ...]
    key_found: bool
    key_lasts: bool
    other_key: tuple[str, ...]
    passed_over: tuple[RowError, ...]
    record_column: str | None
    recognised: int
    matched: int
    keys_shared: int
    shared: tuple[SharedKey, ...]
    without_key: int
    rows_gone: int
    perhaps_edited: tuple[PerhapsEdited, ...]
    renamed: str | None
    looks_exported: bool
    form: TableForm
    columns: tuple[ColumnForm, ...]
