"""Merging a text that two sides have edited, by the same machinery that merges it between devices."""

from crdt_sync.records.document import Document
from crdt_sync.records.text_field import differences, splice

_FIELD = "merged"


def merged_text(base: str, ours: str, theirs: str) -> str:
    """`ours` with what changed from `base` to `theirs`; what both changed alike is changed once."""
    done = differences(base, ours)
    wanted = [change for change in differences(base, theirs) if change not in done]
    first = _edited(Document(1), "", [(0, 0, base)] if base else [])
    one = _edited(Document.load((first.diff(),), 2), base, done)
    other = _edited(Document.load((first.diff(),), 3), base, wanted)
    one.apply(other.diff())
    with one.transaction() as transaction:
        return one.text(transaction, f"t.{_FIELD}").get_string(transaction)


def _edited(document: Document, current: str, changes: list[tuple[int, int, str]]) -> Document:
    splice(document, f"t.{_FIELD}", current, changes)
    return document
