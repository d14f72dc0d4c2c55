"""A collection whose records are instances of a class of the program, see `crdt_sync.records.classes`."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Generic, Protocol, TypeVar

from crdt_sync import ids
from crdt_sync.errors import UnknownCollection, UsageError
from crdt_sync.records import Schema
from crdt_sync.records.classes import Shape
from crdt_sync.replica.blocks import Block
from crdt_sync.replica.edits import EditedRecord
from crdt_sync.replica.results import Results
from crdt_sync.replica.views import RecordView

T = TypeVar("T")


class Untyped(Protocol):
    """What is used of a `Replica`, see there."""

    @property
    def schemas(self) -> Mapping[str, Schema]:
        """The schemas, by collection."""

    def edit(self, target: str) -> Block[EditedRecord]:
        """A block that edits a record."""

    def get(self, record: str) -> RecordView:
        """A record."""

    def find(self, collection: str | None = None, text: str = "", **equals: Any) -> Results[RecordView]:
        """Records that hold something."""

    def list(self, collection: str | None = None, *, deleted: bool = False) -> Results[RecordView]:
        """All records."""


@dataclass(frozen=True)
class TypedRecord(Generic[T]):
    """A record as it was when it was read. `view` has all of it, also what the class does not name."""

    view: RecordView = field(repr=False)
    schema: Schema = field(repr=False)
    shape: Shape[T] = field(repr=False)

    @property
    def record(self) -> str:
        """Its id."""
        return self.view.record

    @property
    def conflicts(self) -> tuple[str, ...]:
        """The fields whose concurrent values wait for a decision; `Replica.conflicts_of` has the values."""
        return self.view.conflicts

    @property
    def deleted(self) -> bool:
        """Whether it is deleted."""
        return self.view.deleted

    @property
    def others(self) -> dict[str, Any]:
        """The fields that the class does not name, as of newer schemas. They are kept whatever is edited."""
        return {name: value for name, value in self.view.items() if name not in self.shape.attributes}

    @cached_property
    def value(self) -> T:
        """The instance. Raises `InvalidValue` where what the record holds does not fit the class."""
        return self.shape.read(self.schema, self._whole)

    def _whole(self, field: str, default: object = None) -> Any:
        """A value, or `default` where only a part of it is seen."""
        return default if field in self.view.masked else self.view.get(field, default)


class TypedCollection(Generic[T]):
    """The records of one collection as instances of a class. Make it by `Replica.typed`.

    Reading and editing are those of `Replica`, and usable from where those are; only values that differ are written.
    """

    def __init__(self, replica: Untyped, of: type[T], name: str) -> None:
        self._replica = replica
        self._shape = Shape(of)
        self.name = name
        self._shape.check(self._schema())

    def get(self, record: str) -> TypedRecord[T]:
        """One record, a deleted one too. Raises what `Replica.get` does, `UsageError` for one of another collection."""
        return self._typed(self._replica.get(self._own(record)))

    def find(self, text: str = "", **equals: Any) -> Results[TypedRecord[T]]:
        """Records as `Replica.find` finds them, for a `for` or an `async for`. Raises `UnknownField` at once."""
        return Results(map(self._typed, self._replica.find(self.name, text, **equals)))

    def list(self, *, deleted: bool = False) -> Results[TypedRecord[T]]:
        """All records, see `Replica.list`, for a `for` or an `async for`."""
        return Results(map(self._typed, self._replica.list(self.name, deleted=deleted)))

    def edit(self, record: str) -> Block[T]:
        """An instance to be changed in a `with` or an `async with`; what was changed is on disk when the block ends.

        A counter is counted on by what it was changed by, of a set members are added and removed, a text is merged with
        what others write. Raises what `Replica.edit` and its editor raise, at the end of the block; `InvalidValue` at
        its beginning where what the record holds does not fit the class.
        """
        block = self._replica.edit(self._own(record))
        return Block(lambda who: self._edited(block.opened_by(who)))

    def new(self, instance: T) -> Block[EditedRecord]:
        """A block that makes a record of an instance, and whatever else is written in it, at its end.

        What it yields has the id of the record in `record`; see `Replica.edit` for natural keys.
        """
        block = self._replica.edit(self.name)
        return Block(lambda who: self._made(block.opened_by(who), instance))

    def add(self, instance: T) -> str:
        """Make a record of an instance; returns its id. Raises what `Replica.edit` and its editor raise."""
        with self.new(instance) as editor:
            pass
        return editor.record

    @contextmanager
    def _edited(self, block: AbstractContextManager[EditedRecord]) -> Iterator[T]:
        with block as editor:
            instance = self._shape.read(self._schema(), editor.__getitem__)
            before = self._shape.values(instance)
            yield instance
            self._shape.write(editor, before, instance)

    @contextmanager
    def _made(self, block: AbstractContextManager[EditedRecord], instance: T) -> Iterator[EditedRecord]:
        with block as editor:
            self._shape.write(editor, self._shape.nothing(), instance)
            yield editor

    def _typed(self, view: RecordView) -> TypedRecord[T]:
        return TypedRecord(view, self._schema(), self._shape)

    def _schema(self) -> Schema:
        found = self._replica.schemas.get(self.name)
        if found is None:
            raise UnknownCollection(
                f"no schema for collection {self.name[:60]!r} here",
                "Give it to Replica.open_or_create, say schema_for(CLASS, COLLECTION).",
            )
        return found

    def _own(self, record: str) -> str:
        if ids.collection_of(ids.check_record(record)) != self.name:
            raise UsageError(f"{record} is no record of {self.name!r}", "Ask its own collection for it.")
        return record
