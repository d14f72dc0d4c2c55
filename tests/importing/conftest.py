"""Devices in memory that import tables of a few lines, and what they show when they have met."""

import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from crdt_bench import people
from crdt_sync import Replica
from crdt_sync.exchange import ImportReport, Row, Table, import_table
from crdt_sync.exchange.table import MISSING, RowError
from crdt_sync.records import EMPTY_STATE_VECTOR, Integrator, Schema, conflicts_of, parse_schema
from crdt_sync.replica.views import encode_view
from crdt_sync.storage.memory import MemoryStore
from crdt_sync.storage.values import Batch, Change

STAGE = """
[fields.stage]
kind = "stage"
states = ["lead", "qualified", "won"]
[fields.stage.transitions]
lead = ["qualified", "won"]
qualified = ["won", "lead"]
won = ["lead", "qualified"]
"""
PEOPLE = parse_schema(f'collection = "people"\nversion = 1\n{people.FIELDS}{STAGE}', "test")
FIELDS = ("name", "city", "phone", "stage", "tags", "visits", "notes", "timeline")


class Lines(Table):
    """A table in memory; `name` is that of its file."""

    typed = False
    bytes_total = 0
    bytes_read = 0

    def __init__(self, columns: Sequence[str], rows: Sequence[Sequence[str]], name: str = "customers") -> None:
        self.name, self.columns, self._rows = name, tuple(columns), rows

    def rows(self) -> Iterator[Row | RowError]:
        for line, cells in enumerate(self._rows, 2):
            yield Row(line, [cell if cell != "" else MISSING for cell in cells])


class Device:
    """A replica and the time that it believes."""

    def __init__(self, name: str, now: list[int], schema: Schema = PEOPLE) -> None:
        rng = random.Random(name)
        self.name, self._now = name, now
        self.store = MemoryStore(rng=rng)
        self.store.commit([Batch(meta={"name": name.encode()})])
        self.replica = Replica.over(self.store, self._clock, rng)
        self.replica.add_schema(schema)
        self.schema = schema

    def _clock(self) -> int:
        self._now[0] += 1000
        return self._now[0]

    def restart(self) -> None:
        """Another life of the same store."""
        self.replica = Replica.over(self.store, self._clock, random.Random(f"{self.name} {self._now[0]}"))

    def take(
        self, columns: Sequence[str], *rows: Sequence[str], file: str = "customers", **options: Any
    ) -> ImportReport:
        """Import a table whose first column, `Nr`, identifies its rows."""
        return import_table(
            self.replica, Lines(("Nr", *columns), rows, file), self.schema.collection, key_columns=["Nr"], **options
        )

    @property
    def record(self) -> str:
        (only,) = self.replica.list(self.schema.collection, deleted=True)
        return only.record

    def shows(self, field: str) -> Any:
        return self.replica.get(self.record).raw.get(field)

    def values(self) -> dict[str, Any]:
        return {view.record: (view.raw, view.conflicts) for view in self.replica.list(deleted=True)}

    def conflict(self, field: str) -> list[Any]:
        """The concurrent values of a field, the shown one first."""
        conflicts = conflicts_of(self.replica.document(self.record), self.schema, all_kinds=True)
        return next(([entry.value for entry in each.entries] for each in conflicts if each.field == field), [])

    def log_length(self) -> int:
        return self.store.head()

    def give(self, record: str, update: bytes, origin: bytes = bytes(range(16))) -> None:
        """Store what another replica wrote, if a relay would."""
        gate = Integrator(1)
        judged = gate.integrate(record, self.store.load(record).updates, [update], None, True, False)
        assert [verdict.code for verdict in judged.verdicts] == ["accepted"], judged.verdicts
        if judged.changed:
            document = gate.document(record)
            view = encode_view(document, self.replica.schema_of(record))
            change = Change(record, (update,), origin, "", 0, judged.state_vector, document.diff(), view)
            self.store.commit([Batch(changes=(change,))])


def meet(*devices: Device) -> None:
    """All devices get everything that the others hold, each update judged as a relay judges it."""
    for source in devices:
        for record in list(source.store.records("", 1 << 30)):
            for target in devices:
                if target is not source:
                    _give(source, target, record)


def _give(source: Device, target: Device, record: str) -> None:
    head = target.store.load(record).head
    known = head.state_vector if head else EMPTY_STATE_VECTOR
    target.give(record, source.replica.document(record).diff(known), source.replica.id)


@pytest.fixture
def devices() -> Callable[..., list[Device]]:
    """devices("anna", "bert"): on one virtual time."""
    now = [1_700_000_000_000_000]

    def make(*names: str, schema: Schema = PEOPLE) -> list[Device]:
        return [Device(name, now, schema) for name in names]

    return make
