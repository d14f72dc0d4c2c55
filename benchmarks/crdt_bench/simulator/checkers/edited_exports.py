"""Edited exports: what was edited is shown or listed, and nothing is counted or written twice."""

import re
from collections import Counter

from crdt_bench.simulator.edited_exports import CLIENTS, VERSIONS, VISITS, EditedExports, File
from crdt_bench.simulator.failure import Failure
from crdt_bench.simulator.lineages import dots
from crdt_sync.records import Document, conflicts_of
from crdt_sync.replica import RecordView

_WORD = re.compile(r"e([0-9]+v[0-9]+)")


def check(record: str, document: Document, view: RecordView, exports: EditedExports) -> None:
    """Compare the final state of a record with the versions of files that were imported."""
    vector = dots(document.state_vector())
    files = [file for file in exports.files if file.record == record]
    for file in files:
        for each in exports.brought.get(file.number, ()):
            if not each.held_by(vector) and not each.at_risk:
                raise Failure("lost", f"what version {each.version} of file {file.number} brought is nowhere: {each}")
    if record in exports.rewritten:
        return  # a repair wrote again, as edits of its own, what was shown
    listed: dict[str, list[object]] = {}
    for conflict in conflicts_of(document, CLIENTS, all_kinds=True):
        listed.setdefault(conflict.field, []).extend(entry.value for entry in conflict.entries)
    _check_visits(record, view, files, exports, vector, listed)
    words = Counter(_WORD.findall(str(view.get("notes", ""))))
    if words and max(words.values()) > 1:
        raise Failure("doubled", f"{record} has a word of an edited export twice in its notes: {view['notes']!r}")
    for file in files:
        for name in sorted({"notes", "tags", "city"} & {*file.fields}):
            standing = str([view.get(name), listed.get(name)])
            told = [file.word(version) for version in sorted(exports.tried.get(file.number, ()))]
            there = any(word in standing for word in told) or _is_edited_over(file, name, told, files, exports)
            if _is_sure(file, exports, vector) and not there:
                raise Failure("lost", f"{record} {name} neither shows nor lists one of {told}: {standing}")


def _check_visits(
    record: str,
    view: RecordView,
    files: list[File],
    exports: EditedExports,
    vector: dict[int, int],
    listed: dict[str, list[object]],
) -> None:
    """Each file has a digit in the count, which says the version of it that counts."""
    visits = view.get("visits")
    left = int(visits or 0) - VISITS
    for file in files:
        if "visits" not in file.fields:
            continue
        digit = left // 10**file.number % 10
        left -= digit * 10**file.number
        tried = {VERSIONS[version] for version in exports.tried.get(file.number, ())}
        if not all(each.sure for each in exports.brought.get(file.number, ())):
            tried.add(VERSIONS[2] - VERSIONS[1])  # who did not know what the first was edited from counts on from it
        if digit not in {0} | tried:
            raise Failure("doubled", f"{record} shows {visits} visits: file {file.number} counts as {digit}")
        if digit == 0 and _is_sure(file, exports, vector) and "visits" not in listed:
            raise Failure("lost", f"{record} shows {visits} visits: file {file.number} does not count")
    if left:
        raise Failure("doubled", f"{record} shows {visits} visits, {left} of which are of no file")


def _is_sure(file: File, exports: EditedExports, vector: dict[int, int]) -> bool:
    """Whether an import is held that knew what was edited."""
    return any(each.sure and each.held_by(vector) for each in exports.brought.get(file.number, ()))


def _is_edited_over(file: File, name: str, told: list[str], files: list[File], exports: EditedExports) -> bool:
    """Whether a file that was exported with the value of this one was edited there, and imported."""
    others = [other for other in files if other is not file and name in other.fields and other.number in exports.tried]
    return any(word in str(_shown(other, name)) for other in others for word in told)


def _shown(file: File, name: str) -> object:
    shown = file.shown[file.record]
    return shown.get(name) if isinstance(shown, dict) else None
