"""Every accepted edit is there, or was superseded by one that is; nothing else is. Counters add up."""

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
    for field in _COUNTERS:
        expected = sum(edit.counted.get(field, 0) for edit in surviving)
        if (view.get(field) or 0) != expected:
            raise Failure("counter", f"{record} shows {field} {view.get(field)}, the increments make {expected}")


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
        stale = {name for name in shown & sure if additions[name] == 1}
        if stale and not restamped:
            raise Failure("stale", f"{record} {root} still shows {sorted(stale)}")
