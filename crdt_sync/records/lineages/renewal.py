"""Renewing a record: what it shows, written into a fresh document, and what others still write into the old one."""

from crdt_sync import limits
from crdt_sync.errors import UpdateRefused
from crdt_sync.limits import GENERATIONS_MAX, RENEWED_WRITER_BYTES
from crdt_sync.records.document import Document
from crdt_sync.records.lineages.document_dots import dots_of
from crdt_sync.records.lineages.dots import joined
from crdt_sync.records.lineages.first_update import first_update
from crdt_sync.records.lineages.lineage import lineage_of
from crdt_sync.records.roots import LINEAGE_ROOT
from crdt_sync.records.updates import state_vector as vectors

_KEY_BYTES = 7  # of a key in a map with its text, beside the names of root and key and the text


def is_grown(document: Document) -> bool:
    """Whether a record takes so much more than what it shows, or is so full, that a renewal is worth it.

    It is where a fresh document, as far as can be told without writing it, is smaller by an eighth.
    """
    size = document.size
    if size < limits.RENEWED_BYTES_MIN:
        return False
    content = document.content_bytes()
    if size < limits.RENEWED_CONTENT_FACTOR * content and size <= limits.RECORD_GROWN_BYTES_MAX:
        return False
    with document.transaction() as transaction:
        if LINEAGE_ROOT in document.root_names(transaction):
            told = len(document.array(transaction, LINEAGE_ROOT).to_json(transaction))
        else:
            told = RENEWED_WRITER_BYTES * len(vectors.decode(document.raw_state_vector(transaction)))
    told += _apart(document)
    return 7 * size > 8 * (content + told)  # a fresh document has both again


def _apart(document: Document) -> int:
    """Bytes of the totals that a fresh document keeps apart: decimal ones, which are text, one for each life."""
    found = 0
    for root, raw in document.contents().items():
        if root.startswith("n.") and isinstance(raw, dict):
            totals = {key: each for key, each in raw.items() if isinstance(each, str)}
            found += sum(len(root) + len(key) + len(each) + _KEY_BYTES for key, each in totals.items())
    return found


def renewed(document: Document, writer: int | None = None) -> Document:
    """A fresh document that shows the same, of the next generation; `writer` goes on with edits of it.

    Raises `UpdateRefused` where the document holds what cannot be written again as it is: of a layout to come, or what
    earlier versions let pass, or where no later lineage can be. It is to be left as it is then.
    """
    generation = lineage_of(document).generation
    if generation >= GENERATIONS_MAX:
        raise UpdateRefused("malformed", f"the record was renewed {generation} times, as somebody wrote")
    fresh = Document.load_whole((first_update(dots_of(document), generation + 1),))
    return fresh if writer is None else Document.load_whole((fresh.diff(),), lineage_of(fresh).following(writer))


def carried(one: Document, other: Document, writer: int | None = None) -> Document:
    """What two documents of different lineages know together: one of them, where it lacks nothing, else a fresh one.

    The one of the later lineage is left as it is where it has all of the other. It does not matter which is `one`. The
    other may be a part of a document, so long as everything that it builds on is in it. Raises what `renewed` raises.
    """
    ranks = lineage_of(one).rank, lineage_of(other).rank
    if ranks[0] == ranks[1]:
        raise ValueError("documents of one lineage are merged")
    later, earlier = (one, other) if ranks[0] > ranks[1] else (other, one)
    known = dots_of(later)
    together = joined(known, dots_of(earlier))
    if known.holds(together):
        return later
    generation = min(max(ranks)[0] + 1, GENERATIONS_MAX)  # of equal ones the writers' ids decide
    return Document.load_whole((first_update(together, generation),), writer)
