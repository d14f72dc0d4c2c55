"""Exports that are edited and imported on any device, plain ones and those for editing.

A plain file has some columns less, in another order, and its rows sorted: who did not write it takes it for a table.
Each file is edited a few times. What must become of it is told by `checkers.edited_exports`.
"""

import csv
import io
import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from crdt_bench import people
from crdt_bench.simulator.contents import NOTHING, State, state_of
from crdt_bench.simulator.devices import Device
from crdt_bench.simulator.disk import Disk
from crdt_bench.simulator.failure import Failure
from crdt_bench.simulator.lineages import dots
from crdt_sync.errors import UsageError
from crdt_sync.exchange import ExportOptions, Exports, Row, Table, export_table, import_table
from crdt_sync.exchange.exports import Remembered
from crdt_sync.exchange.row_memory import said_of
from crdt_sync.exchange.table import BASE_HEADER, MISSING
from crdt_sync.records import Document, parse_schema
from crdt_sync.records.updates import state_vector as vectors

CLIENTS = parse_schema(
    f'collection = "clients"\nversion = 1\nnatural_key = ["email"]\n[fields.email]\n{people.FIELDS}', "clients"
)
COLLECTION = CLIENTS.collection
EDITED = ("visits", "notes", "tags", "city")
VISITS = 3
VERSIONS = {1: 1, 2: 4}
"""What each version of a file adds to a count, in its own digit: no sum of these is one of them."""

_ROWS = 4  # of which most are as they were exported
_EDITED_ROWS = 2
_FILES_MAX = 6
_NEW = 0.3  # how often somebody exports, instead of importing
_FOR_EDITING = 0.4
_EDIT = 0.6  # how often a file is edited before it is imported
_COLUMNS = ("email", "name", "city", "visits", "notes", "tags")


class _Lines(Table):
    typed = False
    bytes_total = bytes_read = 0

    def __init__(self, name: str, rows: Sequence[Sequence[str]]) -> None:
        self.name, self.columns, self._rows = name, tuple(rows[0]), rows[1:]

    def rows(self) -> Iterator[Row]:
        for line, cells in enumerate(self._rows, 2):
            yield Row(line, [cell or MISSING for cell in cells])


class _Kept(Exports):
    """What a device remembers of its exports, in memory."""

    def __init__(self, files: Sequence["File"]) -> None:
        super().__init__(Path())
        self._files_kept = files

    def of_collection(self, collection: str, source: str) -> Remembered:
        remembered = Remembered()
        for file in sorted(self._files_kept, key=lambda file: (file.name != source, -file.number)):
            remembered.add(file.name, file.stamp, file.said)
        return remembered


@dataclass(slots=True)
class File:
    """One export and what was edited in it: of one row, the same fields in each version."""

    number: int
    device: str
    for_editing: bool
    stamp: int
    said: Mapping[str, str]  # record to what was exported of it, as a device remembers it
    shown: Mapping[str, object]  # the same as it was shown
    rows: list[list[str]]
    record: str
    fields: tuple[str, ...]
    version: int = 0

    @property
    def name(self) -> str:
        """Under which it was exported, and is imported."""
        return f"export-{self.number}"

    def word(self, version: int) -> str:
        """What a version says that no other does."""
        return f"e{self.number}v{version}"

    def edit(self) -> None:
        """Write the next version."""
        self.version += 1
        row = next(row for row in self.rows[1:] if row[self.rows[0].index("email")] == self._value("email"))
        for name in self.fields:
            row[self.rows[0].index(name)] = self._edited(name)

    def _edited(self, name: str) -> str:
        before, word = self._value(name), self.word(self.version)
        match name:
            case "visits":
                return str((before or 0) + VERSIONS[self.version] * 10**self.number)
            case "notes":
                return f"{before} {word}"
            case "tags":
                return json.dumps([*(before or []), word])
            case _:
                return word

    def _value(self, name: str) -> Any:
        shown: Any = self.shown[self.record]
        return shown.get(name)


@dataclass(slots=True)
class Brought:
    """What an import of a version of a file wrote: the clock of each writer. `sure`: it knew what was edited."""

    device: str
    version: int
    sure: bool
    grown: Mapping[int, int]
    at_risk: bool = False

    def held_by(self, vector: Mapping[int, int]) -> bool:
        """Whether a state vector covers it."""
        return all(vector.get(writer, 0) >= clock for writer, clock in self.grown.items())


@dataclass(slots=True)
class EditedExports:
    """Draws and makes exports, edits of their files, and imports of these.

    `brought`: number of a file to what imports of it wrote; `tried`: to the versions that any may have brought.
    """

    rng: random.Random
    files: list[File] = field(default_factory=list)
    brought: dict[int, list[Brought]] = field(default_factory=dict)
    tried: dict[int, set[int]] = field(default_factory=dict)
    rewritten: set[str] = field(default_factory=set)

    def step(self, device: Device) -> str:
        """Raises `StoreError` when the disk refuses."""
        if device.collides:
            return "exports nothing"  # what two write under one writer id cannot be told apart
        here = device.disk.records("", 1 << 30, f"{COLLECTION}/")
        if len(here) < _ROWS:
            self._take(device, _Lines("list", _listed()), None)
            return "imports the list of clients"
        if len(self.files) < _FILES_MAX and (not self.files or self.rng.random() < _NEW):
            return self._export(device)
        file = self.rng.choice(self.files)
        if file.version == 0 or (file.version < len(VERSIONS) and self.rng.random() < _EDIT):
            file.edit()
        return self._import(device, file)

    def assess(self, stores: Sequence[Disk]) -> None:
        """After a loss: what no store holds any more is at risk."""
        for file in self.files:
            heads = [store.true_head(file.record) for store in stores]
            held = [dots(head.state_vector) for head in heads if head is not None]
            for each in self.brought.get(file.number, ()):
                each.at_risk = each.at_risk or not any(each.held_by(vector) for vector in held)

    def _export(self, device: Device) -> str:
        replica, for_editing = device.replica, self.rng.random() < _FOR_EDITING
        views = list(replica.list(COLLECTION))
        now, number = replica.wall_clock(), len(self.files) + 1
        with TemporaryDirectory() as folder:
            path = Path(folder) / f"export-{number}.csv"
            options = ExportOptions(for_editing=for_editing)
            export_table(replica, COLLECTION, path, options, now=now, rng=random.Random(number))
            rows = list(csv.reader(io.StringIO(path.read_bytes().decode(), newline="")))
        record = self.rng.choice(sorted(view.record for view in views)[:_EDITED_ROWS])
        fields = self._fields(record)
        if not for_editing:
            kept = ["email", "name", *fields, *self.rng.sample(("phone", "timeline"), self.rng.randint(0, 1))]
            order = [rows[0].index(name) for name in kept]
            self.rng.shuffle(order)
            rows = [[row[at] for at in order] for row in rows]
        self.rng.shuffle(body := rows[1:])
        said = {view.record: json.dumps(_said(view.raw)) for view in views}
        shown = {view.record: dict(view.raw) for view in views}
        self.files.append(File(number, device.name, for_editing, now, said, shown, [rows[0], *body], record, fields))
        assert (BASE_HEADER in rows[0]) == for_editing
        return f"exports file {number}{' for editing' if for_editing else ''}"

    def _fields(self, record: str) -> tuple[str, ...]:
        """What is edited: a text in one file of a record, as the versions of several may mix in it."""
        taken = {"notes"} if any("notes" in file.fields for file in self.files if file.record == record) else set()
        fields = sorted({*EDITED} - taken)
        return tuple(sorted(self.rng.sample(fields, self.rng.randint(1, len(fields)))))

    def _import(self, device: Device, file: File) -> str:
        same = device.name == file.device or file.for_editing
        if not same and any(each.device == device.name and not each.for_editing for each in self.files):
            return f"leaves file {file.number}, which may be taken for an export of its own"
        if not same and {view.record: dict(view.raw) for view in device.replica.list(COLLECTION)} != file.shown:
            return f"leaves file {file.number}, which was exported from other values than are here"
        self.tried.setdefault(file.number, set()).add(file.version)
        self._take(device, _Lines(file.name, file.rows), file)
        return f"imports version {file.version} of file {file.number}"

    def _take(self, device: Device, table: Table, file: File | None) -> None:
        before = NOTHING if file is None else _state(device.disk, file.record)
        exports = _Kept([each for each in self.files if each.device == device.name and not each.for_editing])
        try:
            report = import_table(device.replica, table, COLLECTION, exports=exports, infer=False)
        except UsageError:
            return  # asked about, and nothing is written
        finally:
            if file is not None:
                self._note(device, file, before, _state(device.disk, file.record))
        told = ("base_unknown", "store_corrupt") if device.disk.rot else ("base_unknown",)
        problems = [problem for problem in report.failed if problem.code not in told]
        if problems:
            raise Failure("import", f"{device.name}: {table.name}: {problems[0]}")

    def _note(self, device: Device, file: File, before: State, after: State) -> None:
        old, new = vectors.decode(before.vector), vectors.decode(after.vector)
        grown = {writer: clock for writer, clock in new.items() if clock > old.get(writer, 0)}
        if grown:
            sure = file.for_editing or device.name == file.device
            self.brought.setdefault(file.number, []).append(Brought(device.name, file.version, sure, grown))


def _said(raw: Mapping[str, object]) -> dict[str, object]:
    """What an export says of a record, as a device remembers it."""
    return {name: said_of(spec, raw.get(name)) for name, spec in CLIENTS.fields.items()}


def _listed() -> list[list[str]]:
    rows = [
        [f"client{row}@x.example", f"client {row}", "city", str(VISITS), "met before", "old"] for row in range(_ROWS)
    ]
    return [list(_COLUMNS), *rows]


def _state(disk: Disk, record: str) -> State:
    stored = disk.load(record)
    return NOTHING if stored.head is None else state_of(Document.load(stored.updates))
