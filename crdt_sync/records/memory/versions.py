"""Versions of one source that were imported without knowing of each other, and what they say differently.

What the newest says of a field is shown; `memories` forgets the others, `version_conflicts` shows them.
"""

from collections.abc import Sequence, Set

from crdt_sync.records.memory.sources import (
    SEEN,
    Source,
    counter_said,
    encode_said,
    is_apart,
    is_memory,
    parse_source,
    text_mark,
    text_said,
    whole_text,
)
from crdt_sync.records.values import canonical

NO_FIELDS = frozenset({"", SEEN})  # "" has the columns by which a table was read


def differing(versions: Sequence[Source]) -> set[str]:
    """The fields of which the versions of one source say different things."""
    return set(disputed(versions))


def disputed(versions: Sequence[Source]) -> dict[str, list[Source]]:
    """Field to the versions of one source that say different things of it: of each thing the first that says it."""
    found: dict[str, dict[str, Source]] = {}
    for version in versions if len(versions) > 1 else ():
        for field, said in version.said.items():
            found.setdefault(field, {}).setdefault(_form(said), version)
    return {
        field: list(saying.values()) for field, saying in found.items() if field not in NO_FIELDS and len(saying) > 1
    }


def is_of(source: str, entry: object) -> bool:
    """Whether an entry of the root of memories is of that source."""
    return isinstance(entry, list) and len(entry) > 3 and bool(entry[3] == source)


def without(entry: object, fields: Set[str]) -> object:
    """An entry as it is without what it says of these fields: itself, or another, or None where nothing is left."""
    if not is_memory(entry):
        return entry
    version = parse_source(entry[3], entry[1], entry[0])
    if version is None or not version.said.keys() & fields:
        return entry
    left = {name: said for name, said in version.said.items() if name not in fields}
    return [encode_said(left), *entry[1:4]] if left.keys() - NO_FIELDS else None


def joined(entry: object, field: str) -> object:
    """An entry as it is, without saying that its text of `field` is apart from what the field holds."""
    if not is_memory(entry):
        return entry
    version = parse_source(entry[3], entry[1], entry[0])
    if version is None or not is_apart(said := version.said.get(field)):
        return entry
    return [encode_said({**version.said, field: text_said(str(whole_text(said)))}), *entry[1:4]]


def says_same(one: object, other: object) -> bool:
    """Whether two memories of a field say the same of it, whatever is counted or kept for it here."""
    return _form(one) == _form(other)


def _form(said: object) -> str:
    number = counter_said(said)
    return canonical(text_mark(said) if number is None else [str(number)])
