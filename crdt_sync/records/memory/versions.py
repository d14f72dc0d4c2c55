"""Versions of one source that were imported without knowing of each other, and what they say differently.

What the newest says of a field is shown; `memories` forgets the others, `version_conflicts` shows them.
"""

from collections.abc import Mapping, Sequence, Set

from crdt_sync.records.memory.sources import (
    COLUMNS,
    EDITED,
    SEEN,
    Source,
    counter_said,
    digests_in,
    encode_said,
    is_apart,
    is_memory,
    parse_entry,
    text_mark,
    text_said,
    whole_text,
)
from crdt_sync.records.values import canonical

NO_FIELDS = frozenset({COLUMNS, SEEN})


def differing(versions: Sequence[Source]) -> set[str]:
    """The fields of which the versions of one account say different things."""
    return set(disputed(versions))


def disputed(versions: Sequence[Source]) -> dict[str, list[Source]]:
    """Field to the versions of one account that say different things of it: of each thing the first that says it."""
    found: dict[str, dict[str, Source]] = {}
    for version in versions if len(versions) > 1 else ():
        for field, said in version.said.items():
            found.setdefault(field, {}).setdefault(_form(said), version)
    return {
        field: list(saying.values()) for field, saying in found.items() if field not in NO_FIELDS and len(saying) > 1
    }


def without(entry: object, fields: Set[str]) -> object:
    """An entry as it is without what it says of these fields: itself, or another, or None where nothing is left."""
    version = parse_entry(entry)
    if version is None or not version.said.keys() & fields:
        return entry
    left = {name: said for name, said in version.said.items() if name not in fields}
    return _again(entry, version, left) if left.keys() - NO_FIELDS else None


def only(entry: object, field: str) -> object:
    """An entry as it is without what it says of other fields."""
    version = parse_entry(entry)
    return entry if version is None else without(entry, version.said.keys() - {field, SEEN})


def joined(entry: object, field: str) -> object:
    """An entry as it is, without saying that its text of `field` is apart from what the field holds."""
    version = parse_entry(entry)
    if version is None or not is_apart(said := version.said.get(field)):
        return entry
    return _again(entry, version, {**version.said, field: text_said(str(whole_text(said)))})


def having_seen(entry: object, stamps: Set[int]) -> object:
    """An entry as it is, but that it has seen those with these stamps."""
    version = parse_entry(entry)
    if version is None:
        return entry
    before = seen_by(version)
    return (
        entry
        if stamps <= before
        else _again(
            entry, version, {**version.said, SEEN: [*sorted(stamps | before), *digests_in(version.said.get(SEEN))]}
        )
    )


def seen_by(version: Source) -> set[int]:
    """The stamps of the entries that a memory has seen."""
    seen = version.said.get(SEEN)
    return {each for each in seen if type(each) is int} if isinstance(seen, list) else set()


def _again(entry: object, version: Source, said: Mapping[str, object]) -> object:
    assert is_memory(entry)
    edited = {} if version.edited is None else {EDITED: version.edited.said()}
    return [encode_said({**said, **edited}), *entry[1:4]]


def says_same(one: object, other: object) -> bool:
    """Whether two memories of a field say the same of it, whatever is counted or kept for it here."""
    return _form(one) == _form(other)


def _form(said: object) -> str:
    number = counter_said(said)
    return canonical(text_mark(said) if number is None else [str(number)])
