"""Local edits: a private copy of the document is edited, and its difference is committed when the block ends.

Rules:

1. No lock is held while a block is open: other tasks and threads edit, read and sync meanwhile. The lock is taken for
   the commit, in which a copy whose record has moved on in the store is brought up to it first.
2. A block belongs to the task (or the thread) that opened it. What one stores or drops never takes with it what another
   one wrote: blocks that edit one record at the same time have a writer id each, and merge like edits of two devices.
3. Inside a batch, edited copies are kept, so that a second edit of a record sees the first; only the batch's task does.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from crdt_sync import ids, limits
from crdt_sync.errors import (
    EditForbidden,
    UnknownCollection,
    UnknownRecord,
    UpdateRefused,
    UsageError,
)
from crdt_sync.nearest import suggestion
from crdt_sync.records import Document, Editor, Schema, definition, import_book, values_of
from crdt_sync.records.clearing import Kept, clear, live_bytes
from crdt_sync.records.field_values import normalise
from crdt_sync.records.first_content import as_first_content
from crdt_sync.records.imported import ImportedChange, bring, check_not_deleted, meet_beginnings
from crdt_sync.records.lineages.renewal import renewed
from crdt_sync.records.memory.memories import remember
from crdt_sync.records.memory.sources import EDITED, REMOVED
from crdt_sync.records.natural_key import required_key
from crdt_sync.records.replay import replay
from crdt_sync.records.restamp import restamp
from crdt_sync.records.updates import state_vector as vectors
from crdt_sync.replica import copies
from crdt_sync.replica.blocks import Block, Caller, caller
from crdt_sync.replica.commits import Commits
from crdt_sync.replica.companions import Companions, edited
from crdt_sync.replica.context import Context
from crdt_sync.replica.copies import Copy
from crdt_sync.replica.keys import Duplicate, KeyStanding, Pending, check_left, natural_values
from crdt_sync.replica.owner.sent import SentEdit
from crdt_sync.replica.reading import check_collection

T = TypeVar("T")
_KEPT: Mapping[str, Kept] = {ids.SCHEMAS: definition.kept, ids.IMPORTS: import_book.kept}


class EditedRecord(Editor):
    """An `Editor` that knows the id of the record it edits.

    Where the schema has a natural key, a new record gets its final id when the block ends: that of the record that
    shows the key already, which takes what was written as an edit of its own, or a new one.
    """

    record: str
    merged: Editor | None = None  # of the record that has the natural key already, which got what was written here

    def make_room(self, kept: Kept) -> None:
        """In a record that nobody edits by hand: who deletes it, or fills it up, keeps nobody from writing there."""
        self.restore()
        if self._document.size > limits.RECORD_GROWN_BYTES_MAX // 2:
            self._pen.resolved = True  # what was taken out leaves traces, and must keep nobody from adding
            if live_bytes(self._document) > limits.RECORD_GROWN_BYTES_MAX // 2:
                clear(self._document, kept)

    @property
    def changed(self) -> bool:
        """Whether anything was written that was not there already."""
        return super().changed if self.merged is None else self.merged.changed


@dataclass(slots=True)
class _Batch:
    """What an open batch has edited."""

    head: int  # of the store when the natural keys of its records were first checked
    leases: ExitStack  # of its writer ids
    copies: dict[str, Copy] = field(default_factory=dict)
    writers: dict[str, int] = field(default_factory=dict)
    pending: Pending = field(default_factory=Pending)


class Edits:
    """The edits of one replica. Calls may come from any thread; `who` opened the block, see `blocks`."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._open: set[tuple[Caller, str]] = set()
        self._batches: dict[Caller, _Batch] = {}
        self._commits = Commits(context)

    def reserved(self, record: str) -> Block[EditedRecord]:
        """See `Replica.edit_reserved`."""
        return Block(lambda who: self._edit_reserved(who, record))

    @contextmanager
    def _edit_reserved(self, who: Caller, record: str) -> Iterator[EditedRecord]:
        with self.edit(who, record, create=True) as editor:
            editor.make_room(_KEPT[ids.collection_of(record)])
            yield editor

    @contextmanager
    def edit(self, who: Caller, target: str, create: bool) -> Iterator[EditedRecord]:
        """See `Replica.edit`."""
        record, schema, fresh = self._resolve(target)
        unnamed = bool(fresh and schema.natural_key)
        with ExitStack() as block:
            block.enter_context(self._alone(who, record))
            copy = self._unnamed() if unnamed else self._copy(who, record, create or fresh, block)
            companions = self._companions(who, None if unnamed else record, block)
            context = self._context
            signing = context.signing(record) if schema.signed and not unnamed else None
            opened = companions.opened if schema.sections else None
            editor = EditedRecord(
                copy.document, schema, context.clock, context.author, schema.collection, signing, opened
            )
            editor.record = record
            block.callback(editor.end)
            yield editor
            editor.end()
            if not editor.changed:
                return
            editor.check_not_emptied()
            with context.lock:
                writer: Editor = editor
                if unnamed:
                    editor.record, copy, companions = self._by_natural_key(who, schema, editor, copy, companions, block)
                    if editor.merged is not None:
                        writer = editor.merged
                        if not writer.changed:
                            return
                elif copy.new:
                    context.check_required(editor, record)
                self._finish(who, edited(writer, editor.record, copy, companions))

    def bring(
        self,
        record: str,
        source: str,
        changes: Sequence[ImportedChange],
        said: Mapping[str, object] | None,
        dry_run: bool,
    ) -> Mapping[str, object]:
        """See `Replica.bring`."""
        who = caller()
        record, schema, _ = self._resolve(record)
        with ExitStack() as block:
            block.enter_context(self._alone(who, record))
            copy = self._copy(who, record, True, block)
            if schema.natural_key:
                present = natural_values(schema, copy.document)
                named = {change.field: change.value for change in changes if change.field in present}
                check_left(record, schema, present, {**present, **named})
            companions = self._companions(who, record, block)
            check_not_deleted(copy.document)
            for section, its_changes in _by_section(schema, changes, lambda change: change.field).items():
                bring(companions.document(section) if section else copy.document, schema, source, its_changes)
            if copy.new:
                editor = Editor(copy.document, schema, self._context.clock, self._context.author, schema.collection)
                self._context.check_required(editor, record)
            for section, its_said in _said_by_section(schema, said).items() if said is not None else ():
                document = companions.document(section) if section else copy.document
                meet_beginnings(document, its_said.keys())
                remember(document, self._context.clock, self._context.author, source, its_said)
            brought = {record: copy, **companions.by_record(record)}
            with self._context.lock:
                if not dry_run:
                    self._finish(who, brought)
                    return {}
                self._commits.check(brought, self._pending(who))
            return _shown(schema, copy, companions)

    def restamp(self, record: str) -> bool:
        """See `Replica.restamp`."""
        context = self._context
        clock = context.clock
        with context.lock, context.writer(record) as writer:
            copy = copies.stored(context.store, record, writer)
            clock.correct(clock.offset)  # or the fresh stamps would follow those that were refused
            if not restamp(copy.document, clock.now(), clock, context.author, signing=context.signing(record)):
                return False
            copy.whole = True  # who reads us by its bytes would find the stamps that were refused among them
            copy.may_add = True
            try:
                self._commits.check({record: copy}, Pending())
            except EditForbidden:  # the policy is another one by now: whoever refuses it says so
                return False
            self._commits.commit({record: copy})
        return True

    def sign(self, record: str, before: str) -> bool:
        """Write what is signed `before` in a record again, under the name that counts now; whether that was anything.

        Where the policy does not allow it, it stays as it is: whoever refuses it says so.
        """
        context = self._context
        with context.lock, context.writer(record) as writer:
            copy = copies.stored(context.store, record, writer)
            if not restamp(copy.document, 0, context.clock, before, context.author, context.signing(record)):
                return False
            copy.whole = copy.may_add = True
            try:
                self._commits.check({record: copy}, Pending())
            except EditForbidden:
                return False
            self._commits.commit({record: copy})
        return True

    def renew(self, record: str) -> bool:
        """See `Replica.renew`; the lock is held."""
        context = self._context
        copy = copies.stored(context.store, record, context.new_writer())
        if copy.new:
            raise UnknownRecord(record)
        try:
            copy.document = renewed(copy.document)
        except UpdateRefused:
            return False
        self._commits.commit({record: copy})
        return True

    def pending(self, record: str) -> Document | None:
        """The record as the open batch of who asks has it, if that edited it."""
        batch = self._batches.get(caller())
        copy = batch.copies.get(record) if batch is not None else None
        return copy.document if copy else None

    def store(self, edits: Sequence[SentEdit]) -> None:
        """See `Replica.store_edits`."""
        self._commits.store_sent(edits)

    @contextmanager
    def batch(self, who: Caller) -> Iterator[None]:
        """See `Replica.batch`."""
        if who in self._batches:
            raise UsageError("a batch is open already", "Finish it before the next.")
        with ExitStack() as leases:
            batch = self._batches[who] = _Batch(self._context.store.head(), leases)
            try:
                yield
            finally:
                del self._batches[who]
            if batch.copies:
                with self._context.lock:
                    self._commits.commit_batch(batch.copies, batch.pending, batch.head)

    @contextmanager
    def _alone(self, who: Caller, record: str) -> Iterator[None]:
        """No second block of the same record in the same task: it would not see what the first has written."""
        if (who, record) in self._open:
            raise UsageError(f"{record} is being edited already", "Finish the first 'with' block before the second.")
        self._open.add((who, record))
        try:
            yield
        finally:
            self._open.discard((who, record))

    def _resolve(self, target: str) -> tuple[str, Schema, bool]:
        fresh = "/" not in target
        if ids.section_of(target):
            raise UsageError(
                f"{target} holds the section {ids.section_of(target)!r} of a record",
                f"Edit the record: {target if fresh else ids.whole_record(target)}.",
            )
        record = self._context.new_record(target) if fresh else ids.check_record(target)
        collection = ids.collection_of(record)
        schema = self._context.schema_of(record)
        if schema is None:
            raise UnknownCollection(
                f"no schema for collection {collection!r} here",
                f"{suggestion(collection, self._context.schemas, 'collections')} "
                "A new one is added with 'crdt-sync schema add'.",
            )
        return record, schema, fresh

    def _copy(self, who: Caller, record: str, create: bool, block: ExitStack) -> Copy:
        """The record's document as the batch, or the store, has it; its writer id is given back at the block's end."""
        batch = self._batches.get(who)
        if batch is not None and record in batch.copies:
            return batch.copies[record].again()
        if batch is None:
            writer = block.enter_context(self._context.writer(record))
        elif record in batch.writers:
            writer = batch.writers[record]
        else:
            writer = batch.writers[record] = batch.leases.enter_context(self._context.writer(record))
        copy = copies.stored(self._context.store, record, writer)
        if copy.new and not create:
            raise UnknownRecord(record)
        return copy

    def _unnamed(self) -> Copy:
        """A new record whose id follows from what is entered.

        It gets a writer id of its own: ours may have written in a record of that id before damage took it.
        """
        return Copy(Document.load((), self._context.new_writer()), vectors.EMPTY, 0, 0, new=True)

    def _pending(self, who: Caller) -> Pending:
        batch = self._batches.get(who)
        return Pending() if batch is None else batch.pending

    def _companions(self, who: Caller, record: str | None, block: ExitStack) -> Companions:
        """The companions of a record, as the batch or the store has them; of none yet, they are new."""
        if record is None:
            return Companions(lambda _section: self._unnamed(), lambda _section: None)
        return Companions(
            lambda section: self._copy(who, ids.in_section(record, section), True, block),
            lambda section: self._context.signing(ids.in_section(record, section)),
        )

    def _finish(self, who: Caller, edited: Mapping[str, Copy]) -> None:
        """The copies are edited; the lock is held."""
        batch = self._batches.get(who)
        for record, copy in edited.items():
            self._commits.renew_grown(record, copy)
        if batch is None:
            self._commits.commit_together(edited)
            return
        self._commits.check(edited, batch.pending, batch.copies)
        batch.copies.update(edited)
        for record, copy in edited.items():
            self._commits.note_key(record, copy, batch.pending)

    def standing(self, collection: str, values: Mapping[str, object]) -> KeyStanding:
        """See `Replica.key_standing`."""
        schema = self._context.schemas.get(collection)
        if schema is None or not schema.natural_key:
            raise UnknownCollection(f"no collection {collection[:60]!r} with a natural key here", "See its schema.")
        carriers = {field: normalise(field, schema.fields[field], values.get(field)) for field in schema.natural_key}
        with self._context.lock:
            return self._standing(caller(), schema, carriers)

    def _standing(self, who: Caller, schema: Schema, values: Mapping[str, object]) -> KeyStanding:
        return self._commits.keys.standing(schema, required_key(schema, values), self._pending(who))

    def duplicates(self, collection: str | None) -> tuple[Duplicate, ...]:
        """See `Replica.duplicates`."""
        check_collection(self._context, collection)
        chosen = [schema for name, schema in sorted(self._context.schemas.items()) if collection in (None, name)]
        with self._context.lock:
            return tuple(
                found for schema in chosen if schema.natural_key for found in self._commits.keys.duplicates(schema)
            )

    def _by_natural_key(
        self,
        who: Caller,
        schema: Schema,
        editor: EditedRecord,
        copy: Copy,
        companions: Companions,
        block: ExitStack,
    ) -> tuple[str, Copy, Companions]:
        """The record that shows the natural key already, edited by what was entered; or else the new one and its id.

        Raises `KeyTaken` where a record came to the key by a change: whoever enters the key may mean somebody else.
        """
        standing = self._standing(who, schema, values_of(copy.document, schema))
        if not standing.own:
            if not standing.shown_by:
                self._context.check_required(editor, standing.fresh)
            context = self._context
            for name, each in {standing.fresh: copy, **companions.by_record(standing.fresh)}.items():
                signing = context.signing(name)
                each.document = as_first_content(each.document, context.clock.tick(), context.author, signing)
            return standing.fresh, copy, companions  # `_finish` refuses it where the key is taken
        record = standing.shown_by[0]
        block.enter_context(self._alone(who, record))
        existing = self._copy(who, record, False, block)
        others = self._companions(who, record, block)
        context = self._context
        signing = context.signing(record)
        merged = editor.merged = Editor(
            existing.document, schema, context.clock, context.author, schema.collection, signing, others.opened
        )
        replay(copy.document, schema, merged)
        for section, companion in sorted(companions.copies.items()):
            replay(companion.document, schema.sections[section], merged)
        merged.check_not_emptied()
        return record, existing, others


def _shown(schema: Schema, copy: Copy, companions: Companions) -> Mapping[str, object]:
    """What a record shows as it is edited, its sections included."""
    shown = values_of(copy.document, schema)
    for section, its_schema in schema.sections.items():
        held = values_of(companions.document(section), its_schema)
        shown.update({field: held[field] for field in its_schema.fields if field in held})
    return shown


def _by_section(schema: Schema, named: Iterable[T], field: Callable[[T], str]) -> Mapping[str, Sequence[T]]:
    """What is said of fields, by the section that each is in, empty for what is in none, which comes first."""
    found: dict[str, list[T]] = {}
    for each in named:
        spec = schema.fields.get(field(each))
        found.setdefault((spec.section if spec is not None else "") or "", []).append(each)
    return dict(sorted(found.items()))


def _said_by_section(schema: Schema, said: Mapping[str, object]) -> Mapping[str, Mapping[str, object]]:
    """What a source says, by section; outside of all of them always something, and everywhere who edited it."""
    found = _by_section(schema, said.items(), lambda each: each[0].removeprefix(REMOVED))
    edited = {EDITED: said[EDITED]} if EDITED in said else {}
    return {section: {**dict(found.get(section, ())), **edited} for section in sorted({"", *found})}
