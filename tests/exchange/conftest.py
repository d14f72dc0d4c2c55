"""A replica in memory that keeps what `crdt_sync.exchange.port` promises, and helpers around it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import pytest

from crdt_sync.errors import InvalidTransition, InvalidValue, RecordDeleted, UnknownRecord
from crdt_sync.exchange import ExportOptions, Row, RowError, Table, TableOptions, export_table, open_table
from crdt_sync.records.schema import Schema
from crdt_sync.records.values import canonical, normalise


@dataclass
class FakeRecord:
    record: str
    raw: dict[str, object] = field(default_factory=dict)
    deleted: bool = False


class FakeText:
    def __init__(self, raw: dict[str, object], name: str) -> None:
        self._raw, self._name = raw, name

    def replace(self, new: str, /) -> None:
        self._raw[self._name] = new


class FakeEditor:
    def __init__(self, schema: Schema, raw: dict[str, object]) -> None:
        self.schema, self.raw = schema, raw

    def __setitem__(self, name: str, value: object, /) -> None:
        spec = self.schema.fields[name]
        carrier = normalise(name, spec, value)
        before = self.raw.get(name)
        if spec.kind == "stage" and isinstance(before, str) and carrier not in spec.transitions[before]:
            raise InvalidTransition(name, f"{carrier} cannot follow {before}")
        self.raw[name] = carrier

    def add(self, name: str, member: object, /) -> None:
        carrier = normalise(name, self.schema.fields[name], member)
        members = self.raw.setdefault(name, [])
        assert isinstance(members, list)
        self.raw[name] = sorted({canonical(m): m for m in [*members, carrier]}.values(), key=canonical)

    def increment(self, name: str, amount: object, /) -> None:
        spec = self.schema.fields[name]
        total = Decimal(str(self.raw.get(name, 0))) + Decimal(str(normalise(name, spec, amount)))
        self.raw[name] = int(total) if spec.type == "integer" else str(total)

    def append(self, name: str, value: object, /) -> None:
        entries = self.raw.setdefault(name, [])
        assert isinstance(entries, list)
        carrier = normalise(name, self.schema.fields[name], value)
        entries.append({"value": carrier, "at": len(entries) + 1, "by": "fake"})

    def text(self, name: str, /) -> FakeText:
        return FakeText(self.raw, name)


class FakeReplica:
    """Counts `edits` and `batches`, so that a test sees what was written."""

    def __init__(self, *schemas: Schema) -> None:
        self.schemas = {schema.collection: schema for schema in schemas}
        self.records: dict[str, FakeRecord] = {}
        self.edits = 0
        self.batches = 0

    def add_schema(self, schema: Schema, /) -> None:
        self.schemas[schema.collection] = schema

    def get(self, record: str, /) -> FakeRecord:
        if record not in self.records:
            raise UnknownRecord(record)
        return self.records[record]

    def list(self, collection: str, /) -> Iterator[FakeRecord]:
        prefix = f"{collection}/"
        return (self.records[record] for record in sorted(self.records) if record.startswith(prefix))

    @contextmanager
    def edit(self, target: str, /, *, create: bool = False) -> Iterator[FakeEditor]:
        found = self.records.get(target)
        if found is None and not create:
            raise UnknownRecord(target)
        if found is not None and found.deleted:
            raise RecordDeleted(target)
        schema = self.schemas[target.partition("/")[0]]
        raw = {} if found is None else dict(found.raw)
        yield FakeEditor(schema, raw)
        for name, spec in schema.fields.items():
            if spec.required and name not in raw:
                raise InvalidValue(name, "a value is needed here")
        self.edits += 1
        self.records[target] = FakeRecord(target, raw)

    @contextmanager
    def batch(self) -> Iterator[None]:
        self.batches += 1
        yield


@pytest.fixture
def replica() -> FakeReplica:
    """An empty replica without schemas."""
    return FakeReplica()


@pytest.fixture(scope="session")
def make_replica() -> Callable[..., FakeReplica]:
    """A replica with the schemas given."""
    return FakeReplica


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Table]:
    """Write a file and open it as a table: write("a.csv", text or bytes, **options)."""

    def _write(name: str, content: str | bytes, **options: object) -> Table:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return open_table(path, TableOptions(**options))  # type: ignore[arg-type]

    return _write


@pytest.fixture
def exported(tmp_path: Path) -> Callable[..., Path]:
    """Export a collection to a file: exported(replica, "a.csv", **options)."""

    def _exported(source: FakeReplica, name: str, **options: object) -> Path:
        path = tmp_path / name
        (collection,) = source.schemas
        export_table(source, collection, path, ExportOptions(**options))  # type: ignore[arg-type]
        return path

    return _exported


@pytest.fixture
def cells() -> Callable[[Table], list[list[object]]]:
    """The cells of all rows of a table that must have no errors."""

    def _cells(table: Table) -> list[list[object]]:
        rows = list(table.rows())
        assert not [row for row in rows if isinstance(row, RowError)]
        return [list(row.cells) for row in rows if isinstance(row, Row)]

    return _cells
