"""Making room in a record that somebody has filled with what nobody can use."""

import json
from collections.abc import Callable, Container, Sequence

from crdt_sync.records.document import Document
from crdt_sync.records.roots import ARRAY_PREFIXES, DELETED_ROOT, MAP_PREFIXES, TEXT_PREFIX

Kept = Callable[[str, Sequence[object]], Container[int]]
"""Which values of a root are to stay, by their places: entries of an array, or values of a map."""


def live_bytes(document: Document) -> int:
    """Bytes of all that a record holds now, as JSON; what was deleted leaves traces, which nobody can take out."""
    contents = {root: held for root, held in document.contents().items() if root != DELETED_ROOT}
    held = json.dumps(contents, ensure_ascii=False)
    return len(held.encode("utf-8", "surrogatepass"))


def clear(document: Document, kept: Kept) -> None:
    """Take out everything but what is `kept`, and deletions of the record."""
    with document.transaction() as transaction:
        for root in document.root_names(transaction):
            if root[:2] in ARRAY_PREFIXES and root != DELETED_ROOT:
                array = document.array(transaction, root)
                values = json.loads(array.to_json(transaction)) if array.len(transaction) else []
                staying = kept(root, values)
                for index in reversed(range(len(values))):
                    if index not in staying:
                        array.remove_range(transaction, index, 1)
            elif root[:2] in MAP_PREFIXES:
                held = document.map(transaction, root)
                members = sorted(json.loads(held.to_json(transaction)).items())
                staying = kept(root, [value for _, value in members])
                for index, (key, _) in enumerate(members):
                    if index not in staying:
                        held.remove(transaction, key)
            elif root.startswith(TEXT_PREFIX):
                text = document.text(transaction, root)
                if text.len(transaction):
                    text.remove_range(transaction, 0, text.len(transaction))
