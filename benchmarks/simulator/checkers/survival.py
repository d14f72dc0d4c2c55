"""Every accepted edit is there, or was superseded by one that is; nothing else is. Counters add up."""

import base64
import json

from benchmarks.simulator.contents import contents_of
from benchmarks.simulator.failure import Failure
from benchmarks.simulator.ledger import Edit, Ledger
from crdt_sync.records import Document
from crdt_sync.records import state_vector as vectors
from crdt_sync.replica import RecordView

_COUNTERS = ("visits", "calls")
_REPEATED = ("c.stage", "c._deleted")  # roots in which one value is written many times


def check(record: str, document: Document, view: RecordView, ledger: Ledger) -> None:
    """Compare the final state of a record with what its surviving edits foretell."""
    edits = ledger.edits.get(record, [])
    vector = vectors.decode(document.state_vector())
    surviving = []
    for edit in edits:
        if edit.writer and edit.held_by(vector):
            surviving.append(edit)
        elif not edit.at_risk and edit.writer:
            raise Failure("lost", f"an accepted edit of {record} is nowhere: {edit}")
    removals = [edit for edit in edits if edit.writer == 0]
    _check_contents(record, document, surviving, removals, record in ledger.restamped)
    if view.deleted != _deleted(document, vector):
        raise Failure("deletion", f"{record} shows deleted={view.deleted}, its deletions say otherwise")
    for field in _COUNTERS:
        expected = sum(edit.counted.get(field, 0) for edit in surviving)
        if (view.get(field) or 0) != expected:
            raise Failure("counter", f"{record} shows {field} {view.get(field)}, the increments make {expected}")


def _deleted(document: Document, vector: dict[int, int]) -> bool:
    """Whether every operation was seen by somebody who deleted the record, and nobody took that back."""
    seen: dict[int, int] = {}
    texts = [json.loads(name) for name in contents_of(document).get("c._deleted", ())]
    for text in texts:
        if text is not None:
            known = vectors.decode(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
            seen = {writer: max(seen.get(writer, 0), known.get(writer, 0)) for writer in seen.keys() | known.keys()}
    return bool(seen) and all(seen.get(writer, 0) >= clock for writer, clock in vector.items())


def _check_contents(
    record: str, document: Document, surviving: list[Edit], removals: list[Edit], restamped: bool
) -> None:
    found = contents_of(document)
    roots = sorted({root for edit in surviving for root in edit.added} | found.keys())
    for root in roots:
        if root in _REPEATED:
            continue
        additions: dict[str, int] = {}
        for edit in surviving:
            for name in edit.added.get(root, ()):
                additions[name] = additions.get(name, 0) + 1
        removed = {name for edit in surviving for name in edit.removed.get(root, ())}
        sure = removed | {name for edit in removals if not edit.at_risk for name in edit.removed.get(root, ())}
        perhaps = {name for edit in removals if edit.at_risk for name in edit.removed.get(root, ())}
        shown = found.get(root, frozenset())
        phantoms = shown - additions.keys()
        if phantoms:
            raise Failure("phantom", f"{record} {root} shows what nobody wrote: {sorted(phantoms)}")
        missing = additions.keys() - sure - perhaps - shown
        if missing:
            raise Failure("lost", f"{record} {root} lacks {sorted(missing)}")
        # Adding a tag that is there writes it anew, unseen by a removal made at the same time: it rightly stays.
        stale = {name for name in shown & sure if additions[name] == 1 and (root != "s.tags" or '"tag-' in name)}
        if stale and not restamped:
            raise Failure("stale", f"{record} {root} still shows {sorted(stale)}")
