"""Merging a text that two sides have edited, as it merges between devices."""

from collections.abc import Sequence

from crdt_sync.records.text_diff import Comparing, Replacement, differences


def merged_text(base: str, ours: str, theirs: str, comparing: Comparing | None = None) -> str:
    """`ours` with what changed from `base` to `theirs`; what both changed alike is changed once.

    `comparing` bounds the work, see `differences`: the result is coarse where it was used up.
    """
    return with_changes(base, differences(base, ours, comparing), differences(base, theirs, comparing))


def with_changes(base: str, ours: Sequence[Replacement], theirs: Sequence[Replacement]) -> str:
    """`base` with the changes of both; see `merged_text`."""
    wanted = [change for change in theirs if change not in ours]
    kept = bytearray(b"\x01") * len(base)
    inserted: dict[int, str] = {}
    for start, stop, text in (*ours, *wanted):  # of two insertions at one place ours comes first
        kept[start:stop] = bytes(stop - start)
        inserted[start] = inserted.get(start, "") + text
    parts = []
    for index in range(len(base) + 1):
        parts.append(inserted.get(index, ""))
        parts.append(base[index : index + 1] if index < len(base) and kept[index] else "")
    return "".join(parts)
