"""Lineages: which fresh document of a record an update was made in.

A document that was written fresh begins a *lineage*. Its first update is of one writer, whose id is the hash of that
update, so that equal states make equal bytes. By clock it holds

| what | root |
|---|---|
| the *mark*: an operation that is deleted | `g.lineage` |
| one deleted operation for each thing that was there once, see `Dots.gone` | its own, under its key |
| the *provenance*: text, see `provenance` | `g.lineage` |
| everything that is live, by root, in order | its own |

What many writers put into a map is written once: a member of a set that several added, and the sum of the whole numbers
that writers counted, under the key `0`.

Each update of a lineage deletes the mark again, so bytes tell their own lineage. Documents of different lineages must
never be merged by Yjs; `renewal.carried` makes one document of two. A writer that the cover names writes nothing
natively.
"""

import json
from collections.abc import Sequence

from crdt_sync.errors import UpdateRefused
from crdt_sync.records.document import Document
from crdt_sync.records.lineages.provenance import FIRST, Lineage, parsed, unreadable
from crdt_sync.records.roots import LINEAGE_ROOT
from crdt_sync.records.updates.update import Scan, scan

_ROOT_BYTES = LINEAGE_ROOT.encode()


def lineage_of(document: Document) -> Lineage:
    """The lineage of a document. Raises `UpdateRefused` where its provenance cannot be read."""
    with document.transaction() as transaction:
        if LINEAGE_ROOT not in document.root_names(transaction):
            return FIRST
        array = document.array(transaction, LINEAGE_ROOT)
        written = json.loads(array.to_json(transaction))
        if len(written) != 1 or not isinstance(written[0], str):
            raise unreadable()
        writer, clock = document.first_of_item(array, transaction, 0)
    return parsed(written[0], writer, clock + 1)


def is_of(lineage: int, update: Scan) -> bool:
    """Whether an update was made in the lineage of this writer, 0 for the first.

    One of another must not be integrated into its documents.
    """
    if not lineage:
        return LINEAGE_ROOT not in update.roots
    if lineage in update.clients and LINEAGE_ROOT not in update.roots:
        return False  # an earlier document of somebody whose id the lineage was given
    return any(clock == 0 and length > 0 for clock, length in update.deletes.get(lineage, ()))


def current(updates: Sequence[bytes]) -> Sequence[bytes]:
    """Those of a record's updates, in order, that it is made of: where it was renewed, what came before is in it.

    What of another lineage was accepted meanwhile, and is not stored yet, is carried over once it is.
    """
    writers = [begun(update) for update in updates]
    last = next((writer for writer in reversed(writers) if writer), 0)
    if not last:
        return updates
    first, *later = updates[writers.index(last) :]
    return [first, *(update for update in later if not is_foreign(last, update))]


def begun(update: bytes) -> int:
    """The lineage whose first update is in this one; 0 where it has none."""
    if _ROOT_BYTES not in update:
        return 0
    try:
        return next((item.writer for item in scan(update).items if item.root == LINEAGE_ROOT), 0)
    except UpdateRefused:
        return 0


def is_foreign(lineage: int, update: bytes) -> bool:
    """`not is_of`, from the bytes, which most often tell at a glance; false where they cannot be read."""
    if not lineage and _ROOT_BYTES not in update:
        return False
    try:
        return not is_of(lineage, scan(update))
    except UpdateRefused:
        return False
