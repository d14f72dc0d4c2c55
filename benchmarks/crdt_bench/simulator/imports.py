"""Imports and what people write beside them: versions of a few small tables, the same ones on several devices.

The records are in collections of their own: who imports makes operations that no single device owns, so what must
become of them is told by `checkers.imports`, not foretold from a ledger of edits. What people write is in a ledger.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from crdt_bench.people import GUESTS, PEOPLE
from crdt_bench.simulator.contents import NOTHING, State, state_of
from crdt_bench.simulator.devices import Device
from crdt_bench.simulator.disk import Disk
from crdt_bench.simulator.failure import Failure
from crdt_bench.simulator.ledger import Intent, Ledger
from crdt_sync.errors import UsageError
from crdt_sync.exchange import ImportReport, Row, Table, import_table
from crdt_sync.ids import collection_of
from crdt_sync.records import Document, Schema
from crdt_sync.replica import EditedRecord

SCHEMAS: tuple[Schema, ...] = (PEOPLE, GUESTS)
COLLECTIONS = frozenset(schema.collection for schema in SCHEMAS)
SOURCES = {"crm": PEOPLE, "shop": PEOPLE, "list": GUESTS}  # two of them number their people alike

_COLUMNS = ("Customer No", "Email", "Name", "City", "Phone", "Tags", "Visits", "Notes", "Timeline")
_ROWS = 3
_VERSIONS = 3
_BATCH_ROWS = 2  # so that a crash comes between two commits of one import
_HAND = 0.5  # how often somebody edits what was imported, instead of importing
_AGAIN = 0.2
_DELETED = 0.08


def name_of(source: str, row: int) -> str:
    """The name in a row, the same in all versions of the table."""
    return f"{source}-{row}"


def visits_of(row: int, version: int) -> int:
    """The number in a row of a version."""
    return 1 + row + 10 * version


class _Version(Table):
    """A table of which each row is as in some version of the file."""

    typed = False
    columns = _COLUMNS
    bytes_total = bytes_read = 0

    def __init__(self, source: str, versions: Sequence[int]) -> None:
        self.name = source
        self._versions = versions

    def rows(self) -> Iterator[Row]:
        for row, version in enumerate(self._versions):
            calls = ", ".join(f'"called-{number}"' for number in range(version + 1))
            cells = (
                f"{row + 1}",
                f"{self.name}{row}@x.example",
                name_of(self.name, row),
                f"city-{version}",
                f"{self.name}/{row}{version}",
                f"imported; tag-{version}",
                str(visits_of(row, version)),
                f"note i{version}z",
                f"[{calls}]",
            )
            yield Row(row + 2, list(cells))


@dataclass(slots=True)
class Imports:
    """Draws and makes imports and edits.

    `said`: name in a row to the versions that any import may have brought; `rewritten`: records that a repair wrote
    again, as edits of its own.
    """

    rng: random.Random
    ledger: Ledger = field(default_factory=Ledger)
    said: dict[str, set[int]] = field(default_factory=dict)
    rewritten: set[str] = field(default_factory=set)
    _number: int = 0

    def step(self, device: Device) -> str:
        """An import, or an edit of what was imported. Raises `StoreError` when the disk refuses."""
        if device.collides:
            return "imports nothing"  # what two write under one writer id cannot be told apart
        here = [record for record in device.disk.records("", 1 << 30) if collection_of(record) in COLLECTIONS]
        if here and self.rng.random() < _HAND:
            return self._edit(device, self.rng.choice(here))
        return self._import(device)

    def _import(self, device: Device) -> str:
        source = self.rng.choice(sorted(SOURCES))
        versions = [self.rng.randrange(_VERSIONS) for _ in range(_ROWS)]
        again = self.rng.random() < _AGAIN
        for row, version in enumerate(versions):
            self.said.setdefault(name_of(source, row), set()).add(version)
        self._bring(device, source, versions)
        if again:
            head = device.disk.head()
            self._bring(device, source, versions)
            if device.disk.head() != head:
                raise Failure("import", f"{device.name}: the same table, imported twice from {source}, writes twice")
        return f"imports {source} {versions}"

    def _bring(self, device: Device, source: str, versions: Sequence[int]) -> ImportReport:
        schema = SOURCES[source]
        table = _Version(source, versions)
        report = import_table(device.replica, table, schema.collection, batch_rows=_BATCH_ROWS)
        told = ("record_deleted", "store_corrupt") if device.disk.rot else ("record_deleted",)
        problems = [problem for problem in report.failed if problem.code not in told]
        if problems:
            raise Failure("import", f"{device.name}: {source} {versions}: {problems[0]}")
        return report

    def _edit(self, device: Device, record: str) -> str:
        before = _state(device.disk, record)
        intent = Intent()
        self._number += 1
        try:
            with device.replica.edit(record) as editor:
                if editor.deleted:
                    editor.restore()
                elif self.rng.random() < _DELETED:
                    editor.delete()
                else:
                    self._write(editor, intent)
        except UsageError as error:
            raise Failure("usage", f"{device.name} {record} after an import: {error}") from error
        finally:
            after = _state(device.disk, record)
            if not after.same_as(before):
                self.ledger.add(device.name, record, before, after, intent, device.replica.context.writers.is_ours)
        return f"edits {record}, which was imported"

    def _write(self, editor: EditedRecord, intent: Intent) -> None:
        value = f"mine-{self._number}"
        match self.rng.randrange(6):
            case 0:
                amount = self.rng.choice((1, 100, 1000))
                editor.increment("visits", amount)
                intent.counted["visits"] = amount
            case 1:
                editor.add("tags", value)
            case 2:
                editor.append("timeline", value)
            case 3:
                text = editor.text("notes")
                match self.rng.randrange(3):
                    case 0:
                        text.replace(f"w{self._number} {text}")
                    case 1:
                        text.replace(f"{text} w{self._number}")
                    case _:
                        text.replace(f"anew, w{self._number}.")
            case 4 if editor.conflict("phone") is not None:
                editor.resolve("phone", value)
            case 4:
                editor["phone"] = value
            case _:
                editor["city"] = value


def _state(disk: Disk, record: str) -> State:
    stored = disk.load(record)
    return NOTHING if stored.head is None else state_of(Document.load(stored.updates))
