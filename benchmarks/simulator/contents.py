"""What a record holds, as sets of things with a name: the form in which the ledger compares replicas.

An entry is named by its value (the workload never writes one twice into a field), a set member by its key, a
counter by its writer, a text by the words `w<number>` in it.
"""

import json
import re

from crdt_sync.records import Document

_WORD = re.compile(r"w[0-9]+")
Contents = dict[str, frozenset[str]]


def contents_of(document: Document) -> Contents:
    """Root name to the names of what it holds. Counters are left out: they are checked as sums."""
    found: Contents = {}
    with document.transaction() as transaction:
        for root in document.root_names(transaction):
            if root[:2] in ("c.", "l."):
                entries = json.loads(document.array(transaction, root).to_json(transaction))
                found[root] = frozenset(json.dumps(entry[0]) for entry in entries)
            elif root[:2] == "s.":
                found[root] = frozenset(json.loads(document.map(transaction, root).to_json(transaction)))
            elif root[:2] == "t.":
                found[root] = frozenset(_WORD.findall(document.text(transaction, root).get_string(transaction)))
    return found


def stamps_of(document: Document) -> dict[str, int]:
    """Root name to the highest stamp in it."""
    found: dict[str, int] = {}
    with document.transaction() as transaction:
        for root in document.root_names(transaction):
            if root[:2] in ("c.", "l."):
                entries = json.loads(document.array(transaction, root).to_json(transaction))
                if entries:
                    found[root] = max(entry[1] for entry in entries)
    return found
