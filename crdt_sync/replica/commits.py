"""What was edited here is checked, brought up to what the store holds by now, and stored; the lock is held for it.

Where another program owns the store, it does that with what it is sent.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from crdt_sync import ids, limits
from crdt_sync.errors import (
    CrdtSyncError,
    EditForbidden,
    EditOvertaken,
    OwnerGone,
    OwnerSilent,
    RecordTooLarge,
    StoreFailed,
    UsageError,
)
from crdt_sync.records import Document, Schema
from crdt_sync.records.text_bringing import shown_beyond
from crdt_sync.replica import copies, renewing
from crdt_sync.replica.allowed import check_allowed
from crdt_sync.replica.context import Context
from crdt_sync.replica.copies import Copy
from crdt_sync.replica.keys import KeyIndex, Pending
from crdt_sync.replica.loading import stored_document
from crdt_sync.replica.owner.sent import SentEdit
from crdt_sync.replica.views import encode_view
from crdt_sync.storage.port import Records
from crdt_sync.storage.values import Batch, Change, OutboxEntry

if TYPE_CHECKING:
    from crdt_sync.replica.owner.asking import Owner

_NO_COPIES: Mapping[str, Copy] = {}
_NOTHING = b"\x00\x00"  # an update without operations and deletions


class Commits:
    """The commits of one replica's edits. Only `store_sent` takes the lock by itself."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self.keys = KeyIndex(context.store)

    def renew_grown(self, record: str, copy: Copy) -> None:
        """Write an edited record anew if it has grown; where another program owns the store, that one does.

        What is full is looked at when its size is checked.
        """
        context = self._context
        if context.renews and context.known_owner is None and copy.tail >= limits.TAIL_UPDATES_MAX:
            self._renew(record, copy)

    def _renew(self, record: str, copy: Copy) -> None:
        """Not where a policy is in force and a partner would take it for hiding what it has not seen."""
        context, document = self._context, copy.document
        is_ruled = context.in_force() is not None
        if is_ruled and any(context.store.outbox_entry(peer, record) for peer in self._partners):
            return
        renewing.renew_grown(copy, context.store, self._partners)
        if is_ruled and copy.document is not document:
            try:
                self._check_allowed(record, copy, _NO_COPIES)
            except EditForbidden:  # for that, or for the edit, which is told of later
                copy.document = document

    @property
    def _partners(self) -> Sequence[bytes]:
        return self._context.peers_except(None)

    def check(self, edited: Mapping[str, Copy], pending: Pending, beside: Mapping[str, Copy] = _NO_COPIES) -> None:
        """Raise where a partner would not take it, the policy does not allow it, or somebody has its key.

        `beside` is what a batch has edited before.
        """
        for record, copy in edited.items():
            self._check_size(record, copy)
            self._check_allowed(record, copy, {**beside, **edited})
            if (schema := self._keyed(record)) is not None:
                self.keys.check(record, schema, copy.document, pending)

    def note_key(self, record: str, copy: Copy, pending: Pending) -> None:
        """What a batch has edited shows its natural key from now on, if it has one."""
        if (schema := self._keyed(record)) is not None:
            pending.put(record, schema, copy.document)

    def commit_together(self, edited: Mapping[str, Copy]) -> None:
        """Check the copies as they are to be stored, and store them."""
        if self._context.known_owner is None:  # else the owner brings them up
            edited = {record: self._current(record, copy) for record, copy in edited.items()}
        self.check(edited, Pending())
        self.commit(edited)

    def commit_batch(self, edited: Mapping[str, Copy], pending: Pending, head: int) -> None:
        """Store the copies of a batch, checked again where the store has moved on from `head`."""
        if self._context.known_owner is None:
            current = {record: self._current(record, copy) for record, copy in edited.items()}
            if self._context.store.head() != head:
                for record, copy in current.items():
                    self._check_again(record, copy, pending, current, resized=copy is not edited[record])
            edited = current
        self.commit(edited)

    def store_sent(self, edits: Sequence[SentEdit]) -> None:
        """Store what another program wrote into copies of its own, in one commit.

        Raises what `Replica.edit` raises at the end of a block, and `UsageError` for what is no edit.
        """
        edited, pending = dict[str, Copy](), Pending()
        with self._context.lock:
            for edit in edits:
                copy = edited[edit.record] = _joined(self._context.store, edit)
                copy.may_add = edit.may_add
                self.note_key(edit.record, copy, pending)
            for record, copy in edited.items():
                self.renew_grown(record, copy)
                self._check_again(record, copy, pending, edited, resized=True)
            self.commit(edited)

    def commit(self, edited: Mapping[str, Copy]) -> None:
        """Store the differences, and note them in every partner's outbox, in one commit."""
        context = self._context
        if context.known_owner is not None:
            self._send(edited)
            return
        now = context.wall_clock()
        changes = []
        outbox = []
        lacking: list[tuple[bytes, str, int | None, int, bytes, bytes]] = []
        for record, copy in edited.items():
            change = self._change(record, copy, now)
            if change.updates[0] == _NOTHING and not copy.whole:
                continue  # an import said meanwhile what this one says
            changes.append(change)
            edit = context.next_edit()
            for peer in context.peers_except(None):
                known = context.store.outbox_entry(peer, record)
                acknowledged = known.acknowledged if known else copy.before
                outbox.append((peer, OutboxEntry(record, acknowledged, edit)))
                if change.renewed:  # what was edited in the lineage before is never sent together with it
                    context.recent.forget(peer, record)
                    continue
                before = known.edit if known else None
                lacking.append((peer, record, before, edit, change.updates[0], change.state_vector))
        records = [change.record for change in changes]
        clock = context.clock.last.to_bytes(8, "big")
        try:
            context.store.commit([Batch(changes=tuple(changes), outbox=tuple(outbox), meta={"clock": clock})])
        except StoreFailed:
            context.announce("edited", records)  # it may be found whole, and then a session has to push it
            raise
        for edited_by in lacking:
            context.recent.edited(*edited_by)
        context.announce("edited", records)

    def _sent(self, edited: Mapping[str, Copy]) -> list[SentEdit]:
        """The edits as what the store holds by now takes them: whole, of records that were renewed since they began."""
        heads = {record: self._context.store.record_head(record) for record in edited}
        return [
            SentEdit.of(record, copy, whole=(head := heads[record]) is not None and head.lineage != copy.lineage)
            for record, copy in edited.items()
        ]

    def _send(self, edited: Mapping[str, Copy]) -> None:
        """Have the owner of the store commit. Where it ends without having done so, we do, or who owns the store then.

        Nothing is written twice: the operations of an edit have ids of their own, whoever stores them.
        """
        context = self._context
        edits = self._sent(edited)
        while (owner := context.known_owner) is not None:
            try:
                stored = owner.commit(edits, context.clock.last) or self._found(owner, edits)
            except OwnerSilent:
                raise
            except OwnerGone:
                context.succeed(owner)
                edits = self._sent(edited)
            except EditOvertaken:  # a record may have been renewed since we looked; nothing is stored
                before, edits = edits, self._sent(edited)
                if edits == before:
                    raise
            else:
                if stored:
                    context.announce("edited", [edit.record for edit in edits])
                    return
                edits = self._sent(edited)
        self.store_sent(edits)

    def _found(self, gone: "Owner", edits: Sequence[SentEdit]) -> bool:
        """Whether an owner that ended amid the commit of these edits has stored them. Raises `OwnerSilent`."""
        try:
            self._context.succeed(gone)
            return gone.found(self._context.store, edits)
        except OwnerSilent:
            raise
        except CrdtSyncError as error:
            raise gone.uncertain(f"the store cannot be read now ({error.message})") from error

    def _keyed(self, record: str) -> Schema | None:
        """The schema of the record, where that has a natural key."""
        schema = self._context.schema_of(record)
        return schema if schema is not None and schema.natural_key else None

    def _check_again(
        self, record: str, copy: Copy, pending: Pending, together: Mapping[str, Copy], *, resized: bool
    ) -> None:
        """`check` for what others may have written beside: into the record, or into one that shows its key now."""
        if resized:
            self._check_size(record, copy)
        self._check_allowed(record, copy, together)
        if (schema := self._keyed(record)) is not None:
            self.keys.check_again(record, schema, copy.document, pending)

    def _check_allowed(self, record: str, copy: Copy, together: Mapping[str, Copy]) -> None:
        if self._context.in_force() is not None:
            new = together.get(ids.whole_record(record))
            update = _update(copy, is_renewed=copy.renewed)
            check_allowed(self._context, record, update, new.document if new is not None and new.new else None)

    def _check_size(self, record: str, copy: Copy) -> None:
        """Raise `RecordTooLarge` where a large record, renewed if it may be, would hold more than it does in the store.

        What takes content away goes through, although it leaves traces itself, and so does a decision: partners have
        room for it. Where that room is used up too, only what makes the whole smaller helps.
        """
        context = self._context
        if copy.document.size > limits.RECORD_GROWN_BYTES_MAX and context.renews:
            if context.known_owner is None:
                self._renew(record, copy)
            elif renewing.is_due(copy, context.store, self._partners):
                return  # the owner renews it, and checks what it is then
        document = copy.document
        size = document.size
        if size <= limits.RECORD_GROWN_BYTES_MAX:
            return
        before = stored_document(context.store, record)
        if not copy.may_add and _content_bytes(document) > _content_bytes(before):
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

    def _current(self, record: str, copy: Copy) -> Copy:
        store = self._context.store
        if not copies.moved(store, record, copy):
            return copy
        return copies.current(store, record, copy)

    def _change(self, record: str, copy: Copy, now: int) -> Change:
        document = copy.document
        is_renewed = copy.renewed
        update = _update(copy, is_renewed=is_renewed)
        snapshot = None
        if copy.new or is_renewed:
            snapshot = update
        elif copy.whole or copy.tail >= limits.TAIL_UPDATES_MAX:
            snapshot = document.diff()
        change = Change(
            record,
            (update,),
            self._context.id,
            self._context.author,
            now,
            document.state_vector(),
            snapshot,
            encode_view(document, self._context.schema_of(record)),
            renewed=is_renewed,
            lineage=document.lineage_writer() if is_renewed else None,
        )
        return self._context.placed(change, document)


def _update(copy: Copy, *, is_renewed: bool) -> bytes:
    """What was edited, beyond what is stored; all, where that is another lineage."""
    document = copy.document
    return document.diff() if is_renewed else document.diff_of_edit(copy.before, copy.deletions)


def _joined(store: Records, edit: SentEdit) -> Copy:
    try:
        return copies.written_over(store, edit.record, edit.writer, edit.before, edit.update)
    except CrdtSyncError:
        raise
    except (KeyboardInterrupt, SystemExit, MemoryError):
        raise
    except BaseException as error:  # pycrdt's PanicException is no Exception
        raise UsageError(
            f"what was written into {edit.record} is no edit: {str(error)[:100]}", "Write it again."
        ) from None


def _content_bytes(document: Document) -> int:
    """Of what is shown, whatever it takes to store that."""
    return document.content_bytes() + shown_beyond(document)
