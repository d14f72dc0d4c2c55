"""Imported records: what people wrote stands, nothing that an import brings is there twice, and nobody is mixed up."""

import re
from collections import Counter

from crdt_bench.simulator.contents import state_of
from crdt_bench.simulator.failure import Failure
from crdt_bench.simulator.imports import Imports, visits_of
from crdt_bench.simulator.ledger import Edit
from crdt_bench.simulator.lineages import dots
from crdt_sync.records import Document
from crdt_sync.replica import RecordView

_JOINED = re.compile(r"\w*i[0-9]+z\w+|\w+i[0-9]+z\w*")  # that word and letters beside it
_TYPED = re.compile(r"w[0-9]|anew")
_TOKEN = re.compile(r"i([0-9]+)z")  # the word of a version in the notes of an import


def check(record: str, document: Document, view: RecordView, imports: Imports) -> None:
    """Compare the final state of a record with what was imported, and with what people wrote."""
    vector = dots(document.state_vector())
    surviving = []
    for edit in imports.ledger.edits.get(record, []):
        if edit.writer and edit.held_by(vector):
            surviving.append(edit)
        elif not edit.at_risk and edit.writer:
            raise Failure("lost", f"an edit of {record}, which was imported, is nowhere: {edit}")
    _check_written(record, document, surviving)
    contents = document.contents()
    names = {str(entry[0]) for entry in _entries(contents["c.name"])}
    if len(names) != 1:
        raise Failure("mixed", f"{record} is of {sorted(names)}")
    if not view.deleted:
        versions = imports.said[names.pop()]
        mended = record in imports.rewritten
        _check_once(record, view, surviving, versions, mended=mended)
        if len(versions) == 1 and not mended:  # a repair writes a value again that was shown here
            _check_superseded(record, document, surviving)


def _entries(root: object) -> list[list[object]]:
    assert isinstance(root, list)
    return root


def check_people(views: list[RecordView]) -> None:
    """A row of a source is one record, wherever it was imported."""
    counts = Counter(view.get("name") for view in views)
    twice = sorted(str(name) for name, count in counts.items() if count > 1)
    if twice:
        raise Failure("mixed", f"{twice[0]} was imported as {counts[twice[0]]} records")


def _check_written(record: str, document: Document, surviving: list[Edit]) -> None:
    """No import takes away what a person wrote; another person may."""
    state = state_of(document)
    for edit in surviving:
        for root, names in edit.added.items():
            if root == "c._deleted":
                continue
            removed = {name for other in surviving for name in other.removed.get(root, ())}
            missing = names - removed - state.contents.get(root, frozenset())
            if missing:
                raise Failure("overwritten", f"{record} {root} lacks what a person wrote: {sorted(map(repr, missing))}")


def _check_superseded(record: str, document: Document, surviving: list[Edit]) -> None:
    """What a person wrote over is gone, also where another device imported it: of one version there is one copy."""
    contents = state_of(document).contents
    for root in ("c.city", "c.phone"):
        over = {name for edit in surviving for name in edit.removed.get(root, ())}
        if found := over & contents.get(root, frozenset()):
            raise Failure("doubled", f"{record} {root} still holds {sorted(map(repr, found))}, which was written over")


def _check_once(record: str, view: RecordView, surviving: list[Edit], versions: set[int], *, mended: bool) -> None:
    """What the versions of a table say of a counter, a text or a timeline is there once, not once for each device.

    After a repair some of it may be gone, which was named. Of a text only where all devices imported one version:
    different first texts stand beside each other.
    """
    row = int(str(view["name"]).rpartition("-")[2])
    counted = sum(edit.intent.counted.get("visits", 0) for edit in surviving)
    allowed = {counted + visits_of(row, version) for version in versions}
    visits = view.get("visits")
    if visits not in allowed and not (mended and (visits or 0) <= max(allowed)):
        raise Failure("doubled", f"{record} shows {view.get('visits')} visits, not one of {sorted(allowed)}")
    if not mended and (lacking := {"timeline", "notes"} - view.keys()):
        raise Failure("lost", f"{record} shows no {sorted(lacking)}")
    entries = Counter(str(entry["value"]) for entry in view.get("timeline", ()))
    words = Counter(_TOKEN.findall(str(view.get("notes", ""))) if len(versions) == 1 else ())
    typists = {edit.device for edit in surviving if "t.notes" in edit.added or "t.notes" in edit.removed}
    joined = [word for word in _JOINED.findall(str(view.get("notes", ""))) if _TYPED.search(word)]
    if joined and len(typists) < 2:  # two who typed at once write down different versions at one place
        raise Failure("joined", f"{record} has what an import says within what somebody typed: {joined[0]!r}")
    for what, counts in (("timeline", entries), ("notes", words)):
        if counts and max(counts.values()) > 1:
            raise Failure("doubled", f"{record} shows {what} twice: {counts.most_common(1)}, {view[what]!r}")
