"""What a record holds of what anybody wrote, be it in the lineage that it was written in or in a later one.

The state vector of a renewed document has its first writer and what was written since. What it was made of is in the
cover alone, so state vectors of two lineages cannot be compared with each other. Whoever asks whether something is here
asks in this module.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress

from crdt_sync.errors import UpdateRefused
from crdt_sync.records.document import Document
from crdt_sync.records.lineages.lineage import lineage_of
from crdt_sync.records.updates import state_vector as vectors
from crdt_sync.records.updates.update import scan


def known_to(document: Document) -> Mapping[int, int]:
    """Writer to clock, of the operations that are in the document and of those that its lineage covers.

    Raises `UpdateRefused` where what it was made of cannot be read.
    """
    return vectors.merged(vectors.decode(document.state_vector()), lineage_of(document).cover)


def holds(
    document: Document,
    state_vector: bytes,
    lineage: int = 0,
    *,
    updates: Sequence[bytes] = (),
    besides: bytes = vectors.EMPTY,
) -> bool | None:
    """Whether the document holds everything that a record in `lineage` of this state vector did, deletions aside.

    So do, together with it, `updates`, as far as one goes on from what is known before it, and who holds the state
    vector `besides`. An update that was carried over is in the document, but for its first writer.

    None where that cannot be told: the document was renewed too, and what `lineage` was made of is not known here.
    """
    known, wanted = vectors.merged(_readable(document), vectors.decode(besides)), vectors.decode(state_vector)
    for update in updates:
        with suppress(UpdateRefused):  # nobody can read it: what it holds is lost
            for writer, (first, end) in scan(update).clients.items():
                if first <= known.get(writer, 0):
                    known[writer] = max(known.get(writer, 0), end)
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


def _readable(document: Document) -> Mapping[int, int]:
    """`known_to`; who cannot read what a document was made of knows of nothing more."""
    with suppress(UpdateRefused):
        return known_to(document)
    return vectors.decode(document.state_vector())
