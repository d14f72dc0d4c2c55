"""Writing entries of one's own again: with new stamps, where a partner refused them as ahead of its clock, or under
another name.
"""

import json

from crdt_sync.clock import HybridClock
from crdt_sync.records.deleted import is_deleted
from crdt_sync.records.document import Document
from crdt_sync.records.editor import write_deletion
from crdt_sync.records.entries import Entry, is_entry, precedence
from crdt_sync.records.roots import ARRAY_PREFIXES, is_reserved
from crdt_sync.records.signature_text import bare
from crdt_sync.records.signatures import Signing


def restamp(
    document: Document, limit: int, clock: HybridClock, actor: str, name: str = "", signing: Signing | None = None
) -> bool:
    """Write the entries by `actor` that are stamped after `limit` again, with fresh stamps in the same order.

    Correct `clock` first. Deleted content takes its stamp along, so later diffs hold no stamp of the future. Where a
    `name` is given, they are by that from then on; `signing` signs them anew. A record that is deleted stays deleted.
    Returns whether anything was written.
    """
    deleted = is_deleted(document)
    late: list[tuple[Entry, str, int]] = []
    with document.transaction() as transaction:
        for root in sorted(document.root_names(transaction)):
            if root[:2] in ARRAY_PREFIXES:
                raw = json.loads(document.array(transaction, root).to_json(transaction))
                late += [
                    (entry, root, index)
                    for index, entry in enumerate(raw)
                    if is_entry(entry) and entry[2] == actor and entry[1] > limit
                ]
        for _, root, index in sorted(late, key=lambda found: (found[1], -found[2])):
            document.array(transaction, root).remove_range(transaction, index, 1)
        for entry, root, _ in sorted(late, key=lambda found: (precedence(found[0]), found[1])):
            array = document.array(transaction, root)
            again = [entry[0], clock.tick(), name or actor, *bare(entry)[3:]]
            if signing is not None and not is_reserved(root):
                again = signing.signed(root, again)
            array.insert(transaction, array.len(transaction), again)
    if late and signing is not None:
        signing.leave_token(document)
    if late and deleted:
        write_deletion(document, clock.tick(), name or actor)
    return bool(late)
