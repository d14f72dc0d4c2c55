"""What import and export need of a replica; `crdt_sync.Replica` has it all."""

from collections.abc import Iterable, Mapping, Sequence, Set
from contextlib import AbstractContextManager, suppress
from typing import Protocol

from crdt_sync.errors import StoreCorrupt, UnknownRecord
from crdt_sync.records.imported import ImportedChange
from crdt_sync.records.memory.sources import Source
from crdt_sync.records.schema import Schema
from crdt_sync.replica.former import Former
from crdt_sync.replica.keys import KeyStanding
from crdt_sync.replica.views import Part


class ReadableRecord(Protocol):
    """One record as it is now."""

    @property
    def record(self) -> str:
        """Its id, `collection/key`."""

    @property
    def deleted(self) -> bool:
        """Whether it was deleted."""

    @property
    def raw(self) -> Mapping[str, object]:
        """Field to carrier, as `values_of` of a record gives it; fields never written are absent."""

    @property
    def masked(self) -> Mapping[str, Part]:
        """The fields that are seen in part, which are not in `raw`."""

    @property
    def sources(self) -> Sequence[Source]:
        """What the sources of earlier imports said last."""

    @property
    def conflicts(self) -> Sequence[str]:
        """The fields about which people are asked."""


class ReadableReplica(Protocol):
    """The part of a replica that an export needs."""

    @property
    def schemas(self) -> Mapping[str, Schema]:
        """Collection to schema."""

    def list(self, collection: str, /) -> Iterable[ReadableRecord]:
        """All records of a collection that are not deleted."""

    def report(self, kind: str, about: str, records: int, /) -> None:
        """The relay's audit log is to have that something was done with so many records here. See `Replica.report`."""


class WritableReplica(Protocol):
    """The part of a replica that an import needs."""

    @property
    def schemas(self) -> Mapping[str, Schema]:
        """Collection to schema."""

    @property
    def unshown(self) -> Set[str]:
        """Records that are damaged beyond being shown, as far as anybody came by them."""

    def check_import(self, collection: str, /) -> object:
        """Raise where nobody with these rights imports anything. See `Replica.check_import`."""

    def add_schema(self, schema: Schema, /) -> object:
        """Keep the schema of a new collection."""

    def list(self, collection: str, /, *, deleted: bool = ...) -> Iterable[ReadableRecord]:
        """All records of a collection, with `deleted` those that were deleted too."""

    def get(self, record: str, /) -> ReadableRecord:
        """One record. Raises `UnknownRecord`."""

    def formerly(self, record: str, /) -> Former:
        """What the fields of a record held before. See `Replica.formerly`."""

    def bring(
        self,
        record: str,
        source: str,
        changes: Sequence[ImportedChange],
        said: Mapping[str, object] | None,
        /,
        *,
        dry_run: bool = ...,
    ) -> Mapping[str, object]:
        """Write what a source says of a record and remember it; nothing is kept when it raises. See `Replica.bring`."""

    def key_standing(self, collection: str, values: Mapping[str, object], /) -> KeyStanding:
        """Which records show a natural key. See `Replica.key_standing`."""

    def batch(self) -> AbstractContextManager[object]:
        """Everything edited inside becomes durable together at the end."""


def find_record(replica: WritableReplica, record: str) -> ReadableRecord | None:
    """One record, None where it is not here."""
    with suppress(UnknownRecord):
        return replica.get(record)
    return None


def shown_record(replica: WritableReplica, record: str) -> ReadableRecord | None:
    """One record, None where it is not here, or damaged beyond being shown: the row that is its own tells."""
    with suppress(StoreCorrupt):
        return find_record(replica, record)
    return None
