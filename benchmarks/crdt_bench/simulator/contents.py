"""What a record holds, as sets of things with a name: the form in which the ledger compares replicas.

An entry is named by its value (the workload never writes one twice into a field), a set member by its key, a
counter by its writer, a text by the words `w<number>` in it.
"""

import json
import re
from dataclasses import dataclass, field

from crdt_bench.simulator.lineages import dots
from crdt_sync.records import Document
from crdt_sync.records.updates import state_vector as vectors

_WORD = re.compile(r"w[0-9]+")
_parsed = json.JSONDecoder().raw_decode
Name = str | int | float | bool | None
Contents = dict[str, frozenset[Name]]


@dataclass(frozen=True, slots=True)
class State:
    """One record at one moment. `vector` counts dots; `stamps`: root name to the highest stamp in it."""

    vector: bytes = vectors.EMPTY
    contents: Contents = field(default_factory=dict)
    stamps: dict[str, int] = field(default_factory=dict)

    def same_as(self, other: "State") -> bool:
        """Whether nothing was added or removed between the two."""
        return (self.vector, self.contents) == (other.vector, other.contents)


NOTHING = State()


def state_of(document: Document) -> State:
    """Counters are left out of the contents: they are checked as sums."""
    contents: Contents = {}
    stamps: dict[str, int] = {}
    with document.transaction() as transaction:
        for root in document.root_names(transaction):
            prefix = root[:2]
            if prefix in ("c.", "l."):
                entries = _parsed(document.array(transaction, root).to_json(transaction))[0]
                contents[root] = frozenset([entry[0] for entry in entries])
                if entries:
                    stamps[root] = max([entry[1] for entry in entries])
            elif prefix == "s.":
                contents[root] = frozenset(_parsed(document.map(transaction, root).to_json(transaction))[0])
            elif prefix == "t.":
                contents[root] = frozenset(_WORD.findall(document.text(transaction, root).get_string(transaction)))
    return State(vectors.encode(dots(document.state_vector())), contents, stamps)
