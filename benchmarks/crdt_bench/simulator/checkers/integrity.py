"""What a store holds fits together: no record waits for a missing update, and what is derived is right."""

from collections.abc import Mapping

from crdt_bench.simulator.disk import Disk
from crdt_bench.simulator.failure import Failure
from crdt_sync.ids import collection_of, defined_by
from crdt_sync.records import Document, Schema
from crdt_sync.records.definition import DEFINITIONS
from crdt_sync.replica.views import encode_view


def check(name: str, disk: Disk, schemas: Mapping[str, Schema]) -> None:
    """Load every record of a disk and compare it with what stands beside it. `schemas`: by which views are made."""
    for record in disk.records("", 1 << 30):
        stored = disk.load(record)
        assert stored.head is not None
        document = Document.load(stored.updates)
        if document.state_vector() != stored.head.state_vector:
            raise Failure("integrity", f"{name}: the stored updates of {record} do not lead to its state vector")
        if disk.digest(record) != document.digest():
            raise Failure("integrity", f"{name}: the digest of {record} is of another state")
        schema = DEFINITIONS if defined_by(record) is not None and schemas else schemas.get(collection_of(record))
        if schema is not None and disk.view(record) != encode_view(document, schema):
            raise Failure("integrity", f"{name}: the view of {record} is of another state")
