"""A replica in memory, and helpers around it."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from crdt_sync import Replica
from crdt_sync.exchange import ExportOptions, Row, RowError, Table, TableOptions, export_table, open_table
from crdt_sync.records.schema import Schema
from crdt_sync.replica.blocks import Block
from crdt_sync.replica.views import RecordView
from crdt_sync.storage.memory import MemoryStore
from crdt_sync.storage.values import Batch


class CountingReplica(Replica):
    """A replica in memory that counts `edits` of imports and `batches`, so that a test sees what was written."""

    edits = 0
    batches = 0

    @property
    def records(self) -> dict[str, RecordView]:
        """All records, deleted ones too."""
        return {view.record: view for view in self.list(deleted=True)}

    def bring(self, *arguments: Any, dry_run: bool = False) -> Any:
        said = super().bring(*arguments, dry_run=dry_run)
        self.edits += not dry_run
        return said

    def batch(self) -> Block[None]:
        self.batches += 1
        return super().batch()


def replica_with(*schemas: Schema, name: str = "fake", seed: int = 1) -> CountingReplica:
    """A replica whose clock starts in 1970 and stands still."""
    rng = random.Random(seed)
    store = MemoryStore(rng=rng)
    store.commit([Batch(meta={"name": name.encode()})])
    made = CountingReplica.over(store, lambda: 0, rng)
    for schema in schemas:
        made.add_schema(schema)
    return made


@pytest.fixture
def replica() -> CountingReplica:
    """An empty replica without schemas."""
    return replica_with()


@pytest.fixture(scope="session")
def make_replica() -> Callable[..., CountingReplica]:
    """A replica with the schemas given."""
    return replica_with


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

    def _exported(source: CountingReplica, name: str, **options: object) -> Path:
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
