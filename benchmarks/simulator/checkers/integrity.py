"""What a store holds fits together: no record waits for a missing update, and what is derived is right."""

from benchmarks.simulator.disk import Disk
from benchmarks.simulator.failure import Failure
from crdt_sync.records import Document, bundled_schema
from crdt_sync.replica.views import encode_view

_SCHEMA = bundled_schema("customers")


def check(name: str, disk: Disk, *, views: bool) -> None:
    """Load every record of a disk and compare it with what stands beside it."""
    for record in disk.records("", 1 << 30):
        stored = disk.load(record)
        assert stored.head is not None
        document = Document.load(stored.updates)
        if document.state_vector() != stored.head.state_vector:
            raise Failure("integrity", f"{name}: the stored updates of {record} do not lead to its state vector")
        if disk.digest(record) != document.digest():
            raise Failure("integrity", f"{name}: the digest of {record} is of another state")
        if views and disk.view(record) != encode_view(document, _SCHEMA):
            raise Failure("integrity", f"{name}: the view of {record} is of another state")
