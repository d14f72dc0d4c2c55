"""State vectors as dots, which are the same in every lineage of a record: what the checkers compare."""

from collections.abc import Mapping, Sequence

from crdt_sync.records import Document
from crdt_sync.records.lineages.lineage import lineage_of
from crdt_sync.records.updates import state_vector as vectors
from crdt_sync.storage.values import Batch

_COVERS: dict[int, Mapping[int, int]] = {}  # of a run, by who wrote the first update: a hash of it


def forget() -> None:
    """A new run begins."""
    _COVERS.clear()


def note(batches: Sequence[Batch]) -> None:
    """What is about to be stored may begin lineages."""
    for batch in batches:
        for change in batch.changes:
            if change.lineage and change.lineage not in _COVERS:
                whole = change.updates if change.snapshot is None else (change.snapshot,)
                _COVERS[change.lineage] = lineage_of(Document.load(whole)).cover


def dots(vector: bytes | Mapping[int, int]) -> dict[int, int]:
    """The state vector, with the cover of a lineage in the place of who wrote it."""
    found = dict(vectors.decode(vector) if isinstance(vector, bytes) else vector)
    for writer in sorted(_COVERS.keys() & found.keys()):
        del found[writer]
        found = vectors.merged(found, _COVERS[writer])
    return found


def covers(held: bytes, wanted: bytes) -> bool:
    """Whether whoever has the one state vector has all dots of the other."""
    return vectors.dominates(dots(held), dots(wanted)) if _COVERS else vectors.covers(held, wanted)
