"""Local edits: a private copy of the document is edited, and its difference is committed when the block ends.

A copy needs no rollback: when the block raises, it is dropped. Inside a batch, edited copies are kept, so that a
second edit of a record sees the first.

The replica's lock keeps other threads out, but not other tasks of one event loop, which share their thread: while a
block of one task waits, `_alone` refuses the edits of all others. What a session integrates meanwhile is not refused:
a copy whose record has moved on in the store is brought up to it before it is committed.
"""

import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from crdt_sync import ids, limits
from crdt_sync.errors import (
    EditInProgress,
    RecordTooLarge,
    StoreFailed,
    UnknownCollection,
    UnknownRecord,
    UsageError,
)
from crdt_sync.nearest import suggestion
from crdt_sync.records import Document, Editor, Schema
from crdt_sync.records import state_vector as vectors
from crdt_sync.records.first_content import as_first_content
from crdt_sync.records.halves import mended
from crdt_sync.records.imported import ImportedChange, bring
from crdt_sync.records.memories import remember
from crdt_sync.records.natural_key import required_key
from crdt_sync.records.replay import replay
from crdt_sync.records.restamp import restamp
from crdt_sync.replica.keys import Duplicate, KeyIndex, KeyStanding, Pending, check_left, natural_values
from crdt_sync.replica.views import encode_view
from crdt_sync.storage.port import Batch, Change, OutboxEntry

if TYPE_CHECKING:
    from crdt_sync.replica.replica import Replica


class EditedRecord(Editor):
    """An `Editor` that knows the id of the record it edits.

    Where the schema has a natural key, a new record gets its final id when the block ends: that of the record that
    shows the key already, which takes what was written as an edit of its own, or a new one.
    """

    record: str
    merged: Editor | None = None  # of the record that has the natural key already, which got what was written here

    @property
    def changed(self) -> bool:
        """Whether anything was written that was not there already."""
        return super().changed if self.merged is None else self.merged.changed


@dataclass(slots=True)
class _Copy:
    """A document being edited: what it was, and what the store will be told."""

    document: Document
    before: bytes  # state vector in the store
    seq: int  # of the record in the store, 0 where it is not there
    tail: int
    new: bool
    deletions: bytes = b""  # in the store; empty where the edit is to say again what was deleted earlier
    whole: bool = False  # its snapshot is made anew


class Edits:
    """The edits of one replica; its lock is held around every call."""

    def __init__(self, replica: "Replica") -> None:
        self._replica = replica
        self._open: set[str] = set()
        self._batch: dict[str, _Copy] | None = None
        self._caller: tuple[int, object] | None = None  # who has blocks open, and how many
        self._blocks = 0
        self._keys = KeyIndex(replica.store)
        self._pending = Pending()

    @contextmanager
    def edit(self, target: str, create: bool) -> Iterator[EditedRecord]:
        """See `Replica.edit`."""
        with self._alone(), self._edit(target, create) as editor:
            yield editor

    @contextmanager
    def _edit(self, target: str, create: bool) -> Iterator[EditedRecord]:
        record, schema, fresh = self._resolve(target)
        if record in self._open:
            raise UsageError(f"{record} is being edited already", "Finish the first 'with' block before the second.")
        copy = self._unnamed() if fresh and schema.natural_key else self._copy(record, create or fresh)
        editor = EditedRecord(copy.document, schema, self._replica.clock, self._replica.name, ids.collection_of(record))
        editor.record = record
        self._open.add(record)
        try:
            yield editor
            editor.end()
            if not editor.changed:
                return
            editor.check_not_emptied()
            if fresh and schema.natural_key:
                editor.record, copy = self._by_natural_key(schema, editor, copy)
                if editor.merged is not None and not editor.merged.changed:
                    return
            elif copy.new:
                self._replica.check_required(editor, record)
        finally:
            editor.end()
            self._open.discard(record)
        self._finish(editor.record, copy, may_add=editor.resolved)

    def bring(
        self,
        record: str,
        source: str,
        changes: Sequence[ImportedChange],
        said: Mapping[str, object] | None,
        dry_run: bool,
    ) -> Mapping[str, object]:
        """See `Replica.bring`."""
        with self._alone():
            record, schema, _ = self._resolve(record)
            if record in self._open:
                raise UsageError(f"{record} is being edited already", "Finish the 'with' block before the import.")
            copy = self._copy(record, create=True)
            if schema.natural_key:
                present = natural_values(schema, copy.document)
                named = {change.field: change.value for change in changes if change.field in present}
                check_left(record, schema, present, {**present, **named})
            bring(copy.document, schema, source, changes)
            if copy.new:
                editor = Editor(copy.document, schema, self._replica.clock, self._replica.name, schema.collection)
                self._replica.check_required(editor, record)
            if said is not None:
                remember(copy.document, self._replica.clock, self._replica.name, source, said)
            if dry_run:
                self._check(record, copy, may_add=False)
                return copy.document.values(schema)
            self._finish(record, copy, may_add=False)
            return {}

    def restamp(self, record: str) -> bool:
        """See `Replica.restamp`."""
        apart = self._blocks > 0 and self._caller != _caller()  # a session, while a block of somebody else waits
        # The block's copies have our writer id: two documents that go on under one id are not to be.
        copy = self._stored(record, self._replica.new_writer()) if apart else self._copy(record, create=False)
        clock = self._replica.clock
        clock.correct(clock.offset)  # or the fresh stamps would follow those that were refused
        if not restamp(copy.document, clock.now(), clock, self._replica.name):
            return False
        copy.whole = True  # who reads us by its bytes would find the stamps that were refused among them
        if apart:
            self._commit({record: copy})
        else:
            self._finish(record, copy, may_add=True)
        return True

    def pending(self, record: str) -> Document | None:
        """The record as an open batch has it, if it edited it; for whoever opened the batch alone."""
        batch = self._batch
        copy = batch.get(record) if batch is not None and self._caller == _caller() else None
        return copy.document if copy else None

    @contextmanager
    def batch(self) -> Iterator[None]:
        """See `Replica.batch`."""
        with self._alone():
            if self._batch is not None:
                raise UsageError("a batch is open already", "Finish it before the next.")
            self._batch = {}
            try:
                yield
                copies = self._batch
            finally:
                self._batch = None
                self._pending = Pending()
            if copies:
                self._commit(copies)

    def is_suspended(self) -> bool:
        """Whether a block is open in an asyncio task that waits; to be asked from another thread, without the lock."""
        task = self._caller[1] if self._blocks and self._caller is not None else None
        asyncio = sys.modules.get("asyncio")
        if asyncio is None or not isinstance(task, asyncio.Task):
            return False
        return asyncio.current_task(task.get_loop()) is not task

    @contextmanager
    def _alone(self) -> Iterator[None]:
        caller = _caller()
        if self._blocks and self._caller != caller:
            raise EditInProgress(
                "another task has an edit or a batch of this replica open across an 'await'",
                "Do not await inside 'with replica.edit' or 'with replica.batch'; fetch first, then write.",
            )
        self._caller = caller
        self._blocks += 1
        try:
            yield
        finally:
            self._blocks -= 1

    def _resolve(self, target: str) -> tuple[str, Schema, bool]:
        fresh = "/" not in target
        record = self._replica.new_record(target) if fresh else ids.check_record(target)
        collection = ids.collection_of(record)
        schema = self._replica.schemas.get(collection)
        if schema is None:
            raise UnknownCollection(
                f"no schema for collection {collection!r} here",
                f"{suggestion(collection, self._replica.schemas, 'collections')} "
                "A new one is added with 'crdt-sync schema add'.",
            )
        return record, schema, fresh

    def _copy(self, record: str, create: bool) -> _Copy:
        """The record's document as the batch, or the store, has it."""
        if self._batch is not None and record in self._batch:
            kept = self._batch[record]
            # A second copy: when this block raises, the batch keeps the first edit.
            document = Document.load([kept.document.diff()], self._replica.writer())
            return _Copy(document, kept.before, kept.seq, kept.tail, kept.new, kept.deletions, kept.whole)
        copy = self._stored(record, self._replica.writer())
        if copy.new and not create:
            raise UnknownRecord(record)
        return copy

    def _stored(self, record: str, writer: int) -> _Copy:
        stored = self._replica.store.load(record)
        whole = mended(stored.updates)
        document = Document.load_whole(whole, writer)
        if stored.head is None:
            return _Copy(document, vectors.EMPTY, 0, 0, new=True)
        deletions = document.deletions() if whole is stored.updates else b""
        return _Copy(document, stored.head.state_vector, stored.head.seq, stored.head.tail, False, deletions)

    def _unnamed(self) -> _Copy:
        """A new record whose id follows from what is entered.

        It gets a writer id of its own: ours may have written in a record of that id before damage took it.
        """
        return _Copy(Document.load((), self._replica.new_writer()), vectors.EMPTY, 0, 0, new=True)

    def _finish(self, record: str, copy: _Copy, *, may_add: bool) -> None:
        self._check(record, copy, may_add=may_add)
        if self._batch is None:
            self._commit({record: copy})
            return
        self._batch[record] = copy
        schema = self._replica.schema_of(record)
        if schema is not None and schema.natural_key:
            self._pending.put(record, schema, copy.document)

    def _check(self, record: str, copy: _Copy, *, may_add: bool) -> None:
        """Raise where a partner would not take it, or somebody has its key. `may_add`: decisions and new stamps."""
        self._check_size(record, copy.document, may_add=may_add)
        schema = self._replica.schema_of(record)
        if schema is not None and schema.natural_key:
            self._keys.check(record, schema, copy.document, self._pending)

    def _check_size(self, record: str, document: Document, *, may_add: bool) -> None:
        """Raise `RecordTooLarge` where a large record would hold more than it does in the store.

        What takes content away goes through, although it leaves traces itself, and so does a decision: partners have
        room for it. Where that room is used up too, only what makes the whole smaller helps.
        """
        size = document.size
        if size <= limits.RECORD_GROWN_BYTES_MAX:
            return
        before = Document.load(self._replica.store.load(record).updates)
        if not may_add and document.content_bytes() > before.content_bytes():
            raise RecordTooLarge(
                f"{record} is full: with this it would have {size} bytes, and beyond {limits.RECORD_GROWN_BYTES_MAX} "
                "nothing can be added",
                "Shorten its texts or remove something first, which goes through; or continue in a new record.",
            )
        if size > max(limits.RECORD_BYTES_MAX, before.size):
            raise RecordTooLarge(
                f"{record} would have {size} bytes, more than the {limits.RECORD_BYTES_MAX} that a partner takes: what "
                "was deleted in many small pieces leaves traces",
                "Delete longer passages at once, or continue in a new record.",
            )

    def standing(self, schema: Schema, values: Mapping[str, object]) -> KeyStanding:
        """See `Replica.key_standing`; `values` are carriers."""
        pending = self._pending if self._caller == _caller() else Pending()
        return self._keys.standing(schema, required_key(schema, values), pending)

    def duplicates(self, schema: Schema) -> Sequence[Duplicate]:
        """See `Replica.duplicates`."""
        return tuple(self._keys.duplicates(schema))

    def _by_natural_key(self, schema: Schema, editor: EditedRecord, copy: _Copy) -> tuple[str, _Copy]:
        """The record that shows the natural key already, edited by what was entered; or else the new one and its id.

        Raises `KeyTaken` where a record came to the key by a change: whoever enters the key may mean somebody else.
        """
        standing = self.standing(schema, copy.document.values(schema))
        if not standing.own:
            if not standing.shown_by:
                self._replica.check_required(editor, standing.fresh)
            copy.document = as_first_content(copy.document)
            return standing.fresh, copy  # `_finish` refuses it where the key is taken
        record = standing.shown_by[0]
        if record in self._open:
            raise UsageError(f"{record} is being edited already", "Finish the first 'with' block before the second.")
        existing = self._copy(record, create=False)
        editor.merged = Editor(existing.document, schema, self._replica.clock, self._replica.name, schema.collection)
        replay(copy.document, schema, editor.merged)
        editor.merged.check_not_emptied()
        return record, existing

    def _commit(self, copies: dict[str, _Copy]) -> None:
        """Store the differences, and note them in every partner's outbox, in one commit."""
        replica = self._replica
        now = replica.wall_clock()
        copies = {record: self._current(record, copy) for record, copy in copies.items()}
        changes = []
        outbox = []
        lacking: list[tuple[bytes, str, int | None, int, bytes, bytes]] = []
        for record, copy in copies.items():
            change = self._change(record, copy, now)
            changes.append(change)
            edit = replica.next_edit()
            for peer in replica.peers_except(None):
                known = replica.store.outbox_entry(peer, record)
                acknowledged = known.acknowledged if known else copy.before
                outbox.append((peer, OutboxEntry(record, acknowledged, edit)))
                before = known.edit if known else None
                lacking.append((peer, record, before, edit, change.updates[0], change.state_vector))
        clock = replica.clock.last.to_bytes(8, "big")
        try:
            replica.store.commit([Batch(changes=tuple(changes), outbox=tuple(outbox), meta={"clock": clock})])
        except StoreFailed:
            replica.announce("edited", list(copies))  # it may be found whole, and then a session has to push it
            raise
        for edited in lacking:
            replica.recent.edited(*edited)
        replica.announce("edited", list(copies))

    def _current(self, record: str, copy: _Copy) -> _Copy:
        """The copy, brought up to what the store holds by now: a session may have integrated while a block waited."""
        head = self._replica.store.record_head(record)
        if head is None or head.seq == copy.seq:
            return copy
        assert copy.document.writer is not None
        current = self._stored(record, copy.document.writer)
        current.document.apply(copy.document.diff(copy.before))
        current.whole = copy.whole
        return current

    def _change(self, record: str, copy: _Copy, now: int) -> Change:
        document = copy.document
        update = document.diff_of_edit(copy.before, copy.deletions)
        snapshot = None
        if copy.new:
            snapshot = update
        elif copy.whole or copy.tail >= limits.TAIL_UPDATES_MAX:
            snapshot = document.diff()
        return Change(
            record,
            (update,),
            self._replica.id,
            self._replica.name,
            now,
            document.state_vector(),
            snapshot,
            encode_view(document, self._replica.schema_of(record)),
        )


def _caller() -> tuple[int, object]:
    """The thread, and the asyncio task in it, that runs this; tasks count only where asyncio is in use at all."""
    asyncio = sys.modules.get("asyncio")
    try:
        task = asyncio.current_task() if asyncio is not None else None
    except (RuntimeError, AttributeError):  # no loop runs in this thread; asyncio is just being imported
        task = None
    return threading.get_ident(), task
