"""Every accepted edit is there, or was superseded by one that is; nothing else is. Counters add up."""

import base64
from collections.abc import Mapping

from crdt_bench.simulator.contents import Contents, Name, state_of
from crdt_bench.simulator.failure import Failure
from crdt_bench.simulator.ledger import Edit, Ledger
from crdt_bench.simulator.lineages import dots
from crdt_sync.records import Document
from crdt_sync.records.updates import state_vector as vectors
from crdt_sync.replica import RecordView

COUNTERS = ("visits", "calls")
_APART = ("c.stage", "c._deleted", "s.tags")  # one value is written many times there


def check(record: str, document: Document, view: RecordView, ledger: Ledger) -> None:
    """Compare the final state of a record with what its surviving edits foretell."""
    edits = ledger.edits.get(record, [])
    state = state_of(document)
    vector = vectors.decode(state.vector)
    surviving = []
    for edit in edits:
        if edit.writer and edit.held_by(vector):
            surviving.append(edit)
        elif not edit.at_risk and edit.writer:
            raise Failure("lost", f"an accepted edit of {record} is nowhere: {edit}")
    removals = [edit for edit in edits if edit.writer == 0]
    _check_contents(record, state.contents, surviving, removals, record in ledger.restamped)
    if view.deleted != _deleted(state.contents, vector):
        raise Failure("deletion", f"{record} shows deleted={view.deleted}, its deletions say otherwise")
    _check_tags(record, view, surviving, removals)
    for field in COUNTERS:
        expected = sum(edit.intent.counted.get(field, 0) for edit in surviving)
        if (view.get(field) or 0) != expected:
            raise Failure("counter", f"{record} shows {field} {view.get(field)}, the increments make {expected}")


def _check_tags(record: str, view: RecordView, surviving: list[Edit], removals: list[Edit]) -> None:
    """A tag is there exactly when somebody added it whom nobody that removed it had seen."""
    shown = set(view.get("tags") or ())
    adds = [(tag, edit) for edit in surviving for tag in edit.intent.tagged]
    for tag in sorted(shown | {tag for tag, _ in adds}):
        removers = [edit for edit in (*surviving, *removals) if tag in edit.intent.untagged]
        sure = [edit for edit in removers if edit.writer or not edit.at_risk]
        standing = [edit for name, edit in adds if name == tag and not any(map(edit.held_by, _seen(sure)))]
        if tag in shown and not standing:
            raise Failure("stale", f"{record} still shows the tag {tag}")
        if tag not in shown and any(not any(map(edit.held_by, _seen(removers))) for edit in standing):
            raise Failure("lost", f"{record} lacks the tag {tag}: {standing}")


def _seen(edits: list[Edit]) -> list[Mapping[int, int]]:
    return [edit.seen for edit in edits]


def _deleted(contents: Contents, vector: dict[int, int]) -> bool:
    """Whether every operation was seen by somebody who deleted the record, and nobody took that back."""
    seen: dict[int, int] = {}
    for text in contents.get("c._deleted", ()):
        if isinstance(text, str):
            known = dots(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
            seen = {writer: max(seen.get(writer, 0), known.get(writer, 0)) for writer in seen.keys() | known.keys()}
    return bool(seen) and all(seen.get(writer, 0) >= clock for writer, clock in vector.items())


def _check_contents(record: str, found: Contents, surviving: list[Edit], removals: list[Edit], restamped: bool) -> None:
    roots = sorted({root for edit in surviving for root in edit.added} | found.keys())
    for root in roots:
        if root in _APART:
            continue
        additions: dict[Name, int] = {}
        for edit in surviving:
            for name in edit.added.get(root, ()):
                additions[name] = additions.get(name, 0) + 1
        removed = {name for edit in surviving for name in edit.removed.get(root, ())}
        sure = removed | {name for edit in removals if not edit.at_risk for name in edit.removed.get(root, ())}
        perhaps = {name for edit in removals if edit.at_risk for name in edit.removed.get(root, ())}
        shown = found.get(root, frozenset())
        phantoms = shown - additions.keys()
        if phantoms:
            raise Failure("phantom", f"{record} {root} shows what nobody wrote: {sorted(map(repr, phantoms))}")
        missing = additions.keys() - sure - perhaps - shown
        if missing:
            raise Failure("lost", f"{record} {root} lacks {sorted(map(repr, missing))}")
        stale = {name for name in shown & sure if additions[name] == 1}
        if stale and not restamped:
            raise Failure("stale", f"{record} {root} still shows {sorted(map(repr, stale))}")
