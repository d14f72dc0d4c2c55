"""An edited copy on its way to the owner of the store."""

from dataclasses import dataclass

from crdt_sync import ids
from crdt_sync.records import Document
from crdt_sync.records import state_vector as vectors
from crdt_sync.replica.copies import Copy
from crdt_sync.replica.owner.message import BadFrame, Message
from crdt_sync.storage.port import Store


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
    def of(cls, record: str, copy: Copy) -> "SentEdit":
        """The difference that a copy makes."""
        document: Document = copy.document
        assert document.writer is not None
        after = vectors.decode(document.state_vector()).get(document.writer, 0)
        grown = after > vectors.decode(copy.before).get(document.writer, 0)
        update = document.diff_of_edit(copy.before, copy.deletions)
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

    def is_in(self, store: Store) -> bool:
        """Whether the store holds the edit. What only deletes cannot be told, and counts as not there."""
        head = store.record_head(self.record)
        return head is not None and bool(self.after) and _clock(head.state_vector, self.writer) >= self.after


def _clock(vector: bytes, writer: int) -> int:
    return vectors.decode(vector).get(writer, 0)
