"""Whether a document holds everything that a state vector tells of, be they of one lineage or of two.

The state vector of a renewed document has its first writer and what was written since. What it was made of is in the
cover alone, so state vectors of two lineages cannot be compared with each other.
"""

from collections.abc import Mapping
from contextlib import suppress

from crdt_sync.errors import UpdateRefused
from crdt_sync.records.document import Document
from crdt_sync.records.lineages.lineage import lineage_of
from crdt_sync.records.updates import state_vector as vectors


def known_to(document: Document) -> Mapping[int, int]:
    """Writer to clock, of the operations that are in the document and of those that its lineage covers."""
    own = vectors.decode(document.state_vector())
    with suppress(UpdateRefused):  # who cannot read what it was made of knows of nothing more
        return vectors.merged(own, lineage_of(document).cover)
    return own


def holds(document: Document, state_vector: bytes, lineage: int = 0) -> bool | None:
    """Whether the document holds everything that a record in `lineage` of this state vector did, deletions aside.

    None where that cannot be told: the document was renewed too, and what `lineage` was made of is not known here.
    """
    known, wanted = known_to(document), vectors.decode(state_vector)
    if vectors.dominates(known, wanted):
        return True
    wanted.pop(lineage, None)
    elsewhere = lineage and document.lineage_writer() not in (0, lineage)
    return None if elsewhere and vectors.dominates(known, wanted) else False


def in_dots(state_vector: bytes, lineage: int, document: Document) -> tuple[bytes, int]:
    """The state vector, and 0, with what `lineage` was made of in the place of its first writer, if the document is of
    that lineage, and so tells it; else both as they are.
    """
    if not lineage or document.lineage_writer() != lineage:
        return state_vector, lineage
    with suppress(UpdateRefused):
        return vectors.encode(lineage_of(document).known(vectors.decode(state_vector))), 0
    return state_vector, lineage
