"""An edited copy on its way to the owner of the store."""

from collections.abc import Sequence
from dataclasses import dataclass

from crdt_sync import ids
from crdt_sync.errors import UpdateRefused
from crdt_sync.records import Document
from crdt_sync.records.lineages.holding import known_to
from crdt_sync.records.lineages.lineage import is_foreign
from crdt_sync.records.updates import state_vector as vectors
from crdt_sync.replica.copies import Copy
from crdt_sync.replica.loading import loaded
from crdt_sync.replica.owner.message import BadFrame, Message
from crdt_sync.storage.port import Records


@dataclass(frozen=True, slots=True)
class SentEdit:
    """What was written into one record. `before` is the state vector of what was edited, `writer` wrote `update`."""

    record: str
    update: bytes
    before: bytes
    writer: int
    may_add: bool
    after: int = 0  # the clock of `writer` with the update; 0 where it made no operation of its own

    @classmethod
    def of(cls, record: str, copy: Copy, *, whole: bool = False) -> "SentEdit":
        """The difference that a copy makes; all of the copy where the record was renewed since."""
        document: Document = copy.document
        assert document.writer is not None
        after = vectors.decode(document.state_vector()).get(document.writer, 0)
        grown = after > vectors.decode(copy.before).get(document.writer, 0)
        update = document.diff() if whole else document.diff_of_edit(copy.before, copy.deletions)
        return cls(record, update, copy.before, document.writer, copy.may_add, after if grown else 0)

    @classmethod
    def read(cls, message: object) -> "SentEdit":
        """An edit that was `packed`. Raises `BadFrame`, `InvalidRecordId`."""
        match message:
            case (str(record), bytes(update), bytes(before), int(writer), bool(may_add)):
                return cls(ids.check_record(record), update, before, writer, may_add)
        raise BadFrame("an edit was not understood")

    @property
    def size(self) -> int:
        """Bytes on the way, but for a few."""
        return len(self.update) + len(self.before) + len(self.record)

    def packed(self) -> Message:
        """The edit as a message."""
        return (self.record, self.update, self.before, self.writer, self.may_add)

    def is_in(self, store: Records) -> bool | None:
        """Whether the store holds the edit; None where that cannot be told, as once a renewal took in what it deletes.

        Without an operation of its own, others may have made the same.
        """
        found = store.load(self.record)
        if found.head is None:
            return False
        document = loaded(self.record, found.updates)
        if self.after:
            try:
                return known_to(document).get(self.writer, 0) >= self.after
            except UpdateRefused:
                return None
        return None if is_foreign(document.lineage_writer(), self.update) else not document.lacks(self.update)


def committed(store: Records, edits: Sequence[SentEdit]) -> bool | None:
    """Whether the store holds edits that were sent for one commit; None where that cannot be told.

    A commit is one transaction, so one operation that nobody else can have made proves all of it. Where there is none,
    as in edits that only delete, each has to be there: then it does not matter who stored it.
    """
    own = [edit for edit in edits if edit.after]
    found = [edit.is_in(store) for edit in own or edits]
    if own and True in found:
        return True
    if False in found:
        return False
    return None if None in found else True
