"""Whether a record is deleted: a delete holds against all that its author had seen.

A delete carries the state vector that its author had seen. An edit that is not in it stands beside the delete, and the
record is shown, with a conflict. What the sources of imports said, and what they have seen, is a memory and no edit: a
table that brings nothing new does not bring back a record that was deleted elsewhere meanwhile. News of a text are
in the memory alone, see `source_texts`: these are edits, unless the delete names them.
"""

from collections.abc import Mapping

from crdt_sync.errors import UpdateRefused
from crdt_sync.records.deletion import seen_by, texts_seen
from crdt_sync.records.document import Document
from crdt_sync.records.entries import Conflict, ConflictEntry, latest_first, well_formed
from crdt_sync.records.memory.source_texts import pending_texts
from crdt_sync.records.roots import DELETED, DELETED_ROOT, MEMORY_ROOTS, TEXT_PREFIX, Contents, is_memory
from crdt_sync.records.updates import state_vector as vectors
from crdt_sync.records.updates.lists import Lists
from crdt_sync.records.updates.update import scan


def is_deleted(document: Document) -> bool:
    """Whether the record is deleted: no edit lies outside what its deleters had seen."""
    with document.transaction() as transaction:
        if not document.array(transaction, DELETED_ROOT).len(transaction):
            return False
        texts = [root for root in document.root_names(transaction) if root.startswith(TEXT_PREFIX)]
        contents = {root: document.content(transaction, root) for root in (DELETED_ROOT, *MEMORY_ROOTS, *texts)}
    return deletion_of(contents, document.raw_state_vector(), document)[0]


def deletion_of(contents: Contents, state_vector: bytes, document: Document) -> tuple[bool, Conflict | None]:
    """Whether the record is deleted, and the conflict that a delete beside an unseen edit makes.

    `document` is asked where anything is remembered.
    """
    raw = contents.get(DELETED_ROOT)
    entries = [entry for entry in well_formed(raw) if isinstance(entry[0], str)] if isinstance(raw, list) else []
    if not entries:
        return False, None
    seen = vectors.merged(*(seen_by(str(entry[0])) for entry in entries))
    if vectors.dominates(seen, vectors.decode(state_vector)):
        return True, None
    remembers = any(contents.get(root) for root in MEMORY_ROOTS)
    if remembers and not brings_news(contents) and _only_remembered(document, seen):
        return True, None
    deleters = tuple(ConflictEntry(True, entry[1], entry[2], False) for entry in latest_first(entries))
    return False, Conflict(DELETED, "deleted", deleters)


def _only_remembered(document: Document, seen: Mapping[int, int]) -> bool:
    """Whether all operations that are not in `seen` are of memories."""
    try:
        items = scan(document.diff()).items
    except UpdateRefused:
        return False  # an item that an earlier release let pass
    lists = Lists(items)
    unseen = [(item.writer, item.clock) for item in items if item.clock + item.length > seen.get(item.writer, 0)]
    return all(is_memory(lists.name(operation).root) for operation in unseen)


def brings_news(contents: Contents) -> bool:
    """Whether a source says something of a text that is not in its field, and that no delete has seen."""
    raw = contents.get(DELETED_ROOT)
    return not pending_texts(contents) <= texts_seen(well_formed(raw) if isinstance(raw, list) else ())
