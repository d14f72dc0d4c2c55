"""What import and export need of a replica; `crdt_sync.Replica` has it all."""

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Protocol

from crdt_sync.records.schema import Schema


class TextEditor(Protocol):
    """A text field of a record that is being edited."""

    def replace(self, new: str, /) -> object:
        """Make the text equal to `new` by the smallest edits."""


class RecordEditor(Protocol):
    """One record inside `edit`."""

    def __setitem__(self, field: str, value: object, /) -> None:
        """Write a value; None clears it."""

    def add(self, field: str, member: object, /) -> object:
        """Add a member to a set."""

    def increment(self, field: str, amount: object, /) -> object:
        """Add `amount`, which may be negative, to a counter."""

    def append(self, field: str, value: object, /) -> object:
        """Add an entry to a log."""

    def text(self, field: str, /) -> TextEditor:
        """The text of a text field."""


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
        """Field to carrier, as `Document.values` gives it; fields never written are absent."""


class ReadableReplica(Protocol):
    """The part of a replica that an export needs."""

    @property
    def schemas(self) -> Mapping[str, Schema]:
        """Collection to schema."""

    def list(self, collection: str, /) -> Iterable[ReadableRecord]:
        """All records of a collection that are not deleted."""


class WritableReplica(Protocol):
    """The part of a replica that an import needs."""

    @property
    def schemas(self) -> Mapping[str, Schema]:
        """Collection to schema."""

    def add_schema(self, schema: Schema, /) -> object:
        """Keep the schema of a new collection."""

    def get(self, record: str, /) -> ReadableRecord:
        """One record. Raises `UnknownRecord`."""

    def edit(self, target: str, /, *, create: bool = ...) -> AbstractContextManager[RecordEditor]:
        """Edit one record; nothing of it is kept when the block raises."""

    def batch(self) -> AbstractContextManager[object]:
        """Everything edited inside becomes durable together at the end."""
