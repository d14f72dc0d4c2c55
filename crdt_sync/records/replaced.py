"""What an edit of an export replaces that was not here when the export was imported.

An export for editing says what each cell was edited from. That need not have arrived where the edited file is imported,
so the entry that the import writes has a fourth element, `[[mark, stamp], ...]`: entries with the value of a mark that
were written, or said by their source, up to a stamp (microseconds since 1970) are superseded by it wherever they meet,
and no others. Whoever supersedes such an entry takes over what it replaces.
"""

from collections.abc import Iterable, Sequence

from crdt_sync.limits import REPLACED_MAX, STAMP_MAX
from crdt_sync.records.entries import Age, Entry
from crdt_sync.records.memory.sources import mark

Replaced = tuple[object, int]  # the mark of a value, and the stamp up to which it was written


def standing(entries: list[Entry], age: Age | None) -> list[Entry]:
    """The entries of a field that no other replaces; all of them where none would be left, which no import writes.

    `age` says when sources said what imports wrote.
    """
    until: dict[tuple[type, object], int] = {}
    for value, stamp in (each for entry in entries for each in replaced_by(entry)):
        until[_key(value)] = max(stamp, until.get(_key(value), 0))
    if not until:
        return entries
    left = [entry for entry in entries if _written(entry, age) > until.get(_key(mark(entry[0])), -2)]
    return left or entries


def replaced_by(entry: Entry) -> list[Replaced]:
    """What an entry replaces, the last written first; nothing where anybody wrote something else there."""
    raw = entry[3] if len(entry) > 3 else None
    pairs = [tuple(each) for each in raw if isinstance(each, list)] if isinstance(raw, list) else []
    found = [pair for pair in pairs if len(pair) == 2 and _is_mark(pair[0]) and type(pair[1]) is int]
    return sorted(
        ((value, stamp) for value, stamp in found if 0 <= stamp <= STAMP_MAX), key=lambda each: each[1], reverse=True
    )[:REPLACED_MAX]


def fourth(
    carrier: object, superseded: Sequence[Entry], replaced: Iterable[Replaced] = (), after: int = 0
) -> list[object]:
    """What an entry of `carrier` has after its author: what it replaces, and what those replace that it `superseded`;
    nothing where that is nothing. What of the latter has arrived, and what was written before `after`, is left out."""
    first: dict[tuple[type, object], int] = {}  # when the values that are superseded were written
    for entry in superseded:
        key = _key(mark(entry[0]))
        first[key] = min(entry[1], first.get(key, entry[1]))
    taken_over = [
        (value, stamp)
        for entry in superseded
        for value, stamp in replaced_by(entry)
        if stamp >= after and first.get(_key(value), stamp + 1) > stamp
    ]
    until: dict[tuple[type, object], Replaced] = {}
    for value, stamp in sorted([*replaced, *taken_over], key=lambda each: each[1]):
        if _key(value) != _key(mark(carrier)):
            until[_key(value)] = (value, stamp)
    last = sorted(until.values(), key=lambda each: each[1], reverse=True)[:REPLACED_MAX]
    return [[list(each) for each in last]] if last else []


def _written(entry: Entry, age: Age | None) -> int:
    """When an entry was written; of one that an import wrote, when its source said it, -1 where that is not known."""
    stamp: int = entry[1]
    return stamp if stamp or age is None else age(entry)[1]


def _key(value: object) -> tuple[type, object]:
    return value.__class__, value if _is_mark(value) else None  # True == 1 in Python


def _is_mark(value: object) -> bool:
    return isinstance(value, (str, int, float, bool, type(None)))
