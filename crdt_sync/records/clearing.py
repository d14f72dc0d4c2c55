"""Making room in a record that somebody has filled with what nobody can use."""

import json
from collections.abc import Callable

from crdt_sync.records.document import Document
from crdt_sync.records.roots import ARRAY_PREFIXES, DELETED_ROOT, MAP_PREFIXES, TEXT_PREFIX

Kept = Callable[[str, object], bool]
"""Whether a value of a root is to stay: an entry of an array, or a value of a map."""


def clear(document: Document, kept: Kept) -> None:
    """Take out everything but what is `kept`, and deletions of the record."""
    with document.transaction() as transaction:
        for root in document.root_names(transaction):
            if root[:2] in ARRAY_PREFIXES and root != DELETED_ROOT:
                array = document.array(transaction, root)
                values = json.loads(array.to_json(transaction)) if array.len(transaction) else []
                for index in reversed(range(len(values))):
                    if not kept(root, values[index]):
                        array.remove_range(transaction, index, 1)
            elif root[:2] in MAP_PREFIXES:
                held = document.map(transaction, root)
                for key, value in sorted(json.loads(held.to_json(transaction)).items()):
                    if not kept(root, value):
                        held.remove(transaction, key)
            elif root.startswith(TEXT_PREFIX):
                text = document.text(transaction, root)
                if text.len(transaction):
                    text.remove_range(transaction, 0, text.len(transaction))
