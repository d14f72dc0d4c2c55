"""Whether a record is deleted: a delete holds against all that its author had seen.

A delete carries the state vector that its author had seen. An edit that is not in it stands beside the delete, and the
record is shown, with a conflict. What the sources of imports said, and what they have seen, is a memory and no edit: a
table that brings nothing new does not bring back a record that was deleted elsewhere meanwhile.
"""

import base64
import binascii
from collections.abc import Callable, Mapping

from crdt_sync.errors import UpdateRefused
from crdt_sync.records.entries import Conflict, ConflictEntry, latest_first, well_formed
from crdt_sync.records.roots import DELETED, DELETED_ROOT, MEMORY_ROOTS, Contents, is_memory
from crdt_sync.records.updates import state_vector as vectors
from crdt_sync.records.updates.lists import Lists
from crdt_sync.records.updates.update import scan


def deletion_of(contents: Contents, state_vector: bytes, whole: Callable[[], bytes]) -> tuple[bool, Conflict | None]:
    """Whether the record is deleted, and the conflict that a delete beside an unseen edit makes.

    `whole` gives its whole state as one update; it is asked where anything is remembered.
    """
    raw = contents.get(DELETED_ROOT)
    entries = [entry for entry in well_formed(raw) if isinstance(entry[0], str)] if isinstance(raw, list) else []
    if not entries:
        return False, None
    seen = vectors.merged(*(seen_by(str(entry[0])) for entry in entries))
    if vectors.dominates(seen, vectors.decode(state_vector)):
        return True, None
    if any(contents.get(root) for root in MEMORY_ROOTS) and _only_remembered(whole(), seen):
        return True, None
    deleters = tuple(ConflictEntry(True, entry[1], entry[2], False) for entry in latest_first(entries))
    return False, Conflict(DELETED, "deleted", deleters)


def deletion_text(state_vector: bytes) -> str:
    """What a delete entry carries: the state vector that the deleter had seen, its own delete included."""
    return base64.urlsafe_b64encode(state_vector).decode("ascii").rstrip("=")


def seen_by(text: str) -> dict[int, int]:
    """The state vector that a delete entry carries; nothing where this program did not write it."""
    try:
        return vectors.decode(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (ValueError, binascii.Error, UpdateRefused):
        return {}  # not written by this program: it deletes nothing


def _only_remembered(whole: bytes, seen: Mapping[int, int]) -> bool:
    """Whether all operations that are not in `seen` are of memories."""
    try:
        items = scan(whole).items
    except UpdateRefused:
        return False  # an item that an earlier release let pass
    lists = Lists(items)
    unseen = [(item.writer, item.clock) for item in items if item.clock + item.length > seen.get(item.writer, 0)]
    return all(is_memory(lists.name(operation).root) for operation in unseen)
