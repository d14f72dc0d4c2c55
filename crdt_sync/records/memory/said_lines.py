"""The lines of a log that imports said, as their versions remember them."""

from collections.abc import Sequence

from crdt_sync.records.entries import Entry
from crdt_sync.records.memory.sources import IMPORTED, Source, mark_entry, standing_in_accounts
from crdt_sync.records.values import canonical


def said_lines(said: object) -> set[str]:
    """The marks of what one version said of a set or a log, in canonical form."""
    return set(map(canonical, said)) if isinstance(said, list) else set()


def disputed_lines(field: str, lines: Sequence[Entry], sources: Sequence[Source]) -> list[Entry]:
    """The entries of a log that only older versions of a source say, of those that imports wrote."""
    newest_said: set[str] = set()
    older_said: set[str] = set()
    seen: set[str] = set()
    for source in standing_in_accounts(sources):  # the newest come first
        if field in source.said:
            (older_said if source.account in seen else newest_said).update(said_lines(source.said[field]))
            seen.add(source.account)
    disputed = older_said - newest_said
    return [line for line in lines if canonical(_own_mark(line)) in disputed]


def _own_mark(line: Entry) -> object:
    return mark_entry(line[0]) if line[1] == IMPORTED else mark_entry(*line[:3])
