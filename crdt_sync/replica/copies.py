"""A private copy of a record that is edited, and how it is brought up to what the store holds by now.

A copy needs no rollback: when an edit raises, it is dropped.
"""

from dataclasses import dataclass

from crdt_sync.errors import EditOvertaken
from crdt_sync.records import Document
from crdt_sync.records.lineages.lineage import is_foreign, lineage_of
from crdt_sync.records.lineages.renewal import carried
from crdt_sync.records.updates import state_vector as vectors
from crdt_sync.replica.loading import loaded_whole, whole
from crdt_sync.storage.port import Records


@dataclass(slots=True)
class Copy:
    """A document being edited: what it was, and what the store will be told."""

    document: Document
    before: bytes  # state vector in the store
    seq: int  # of the record in the store, 0 where it is not there
    tail: int
    new: bool
    deletions: bytes = b""  # in the store; empty where the edit is to say again what was deleted earlier
    whole: bool = False  # its snapshot is made anew
    may_add: bool = False  # decisions and new stamps go through where a record is full
    lineage: int = 0  # in the store

    @property
    def renewed(self) -> bool:
        """Whether the document is of another lineage than what is stored, whose place it takes."""
        return self.document.lineage_writer() != self.lineage

    def again(self) -> "Copy":
        """A copy of the copy: when the next edit of a batch raises, the batch keeps the one before."""
        document = Document.load([self.document.diff()], self.document.writer)
        copy = Copy(document, self.before, self.seq, self.tail, self.new, self.deletions, self.whole, self.may_add)
        copy.lineage = self.lineage
        return copy


def stored(store: Records, record: str, writer: int) -> Copy:
    """The record as the store has it, to be edited by `writer`, see `Lineage.following`; empty and `new` where it has
    none.
    """
    found = store.load(record)
    updates = whole(record, found.updates)
    document = loaded_whole(record, updates, writer)
    if found.head is None:
        return Copy(document, vectors.EMPTY, 0, 0, new=True)
    if found.head.lineage and (other := lineage_of(document).following(writer)) != writer:
        document = loaded_whole(record, updates, other)
    deletions = document.deletions() if updates is found.updates else b""
    head = found.head
    return Copy(document, head.state_vector, head.seq, head.tail, False, deletions, lineage=head.lineage)


def moved(store: Records, record: str, copy: Copy) -> bool:
    """Whether the store holds another state of the record than the one that `copy` was made of."""
    head = store.record_head(record)
    return (head.seq if head is not None else 0) != copy.seq


def current(store: Records, record: str, copy: Copy) -> Copy:
    """The edits of `copy` over what the store holds by now. Raises `EditOvertaken`."""
    writer = copy.document.writer
    assert writer is not None
    renewed = stored(store, record, writer)
    if renewed.document.lineage_writer() != copy.document.lineage_writer():
        renewed.document = carried(renewed.document, copy.document)
    else:
        renewed = written_over(store, record, writer, copy.before, copy.document.diff(copy.before))
        renewed.whole = copy.whole
    renewed.may_add = copy.may_add
    return renewed


def written_over(store: Records, record: str, writer: int, before: bytes, update: bytes) -> Copy:
    """What the store holds by now, with the `update` that `writer` made of the state `before`.

    An update of another lineage than that of the record must build on nothing that it has not. Raises `EditOvertaken`.
    """
    renewed = stored(store, record, writer)
    if is_foreign(renewed.document.lineage_writer(), update):
        other = Document.load((update,))
        if other.is_missing(update):
            raise EditOvertaken(f"while {record} was edited here, it was renewed", "Make the edit again.")
        renewed.document = carried(renewed.document, other)
        whole = True
    else:
        whole = vectors.decode(renewed.before).get(writer, 0) == vectors.decode(before).get(writer, 0)
        if whole:
            renewed.document.join(update)
            whole = not renewed.document.is_missing(update)
    if not whole:
        raise EditOvertaken(
            f"while {record} was edited here, a repair lost what was here of it, or another copy of this store wrote "
            "into it",
            "Make the edit again.",
        )
    return renewed
