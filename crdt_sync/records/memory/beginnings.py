"""What people began a record with who knew nothing of each other: texts and counts that are joined when they meet.

Two devices that enter one customer by natural key, offline, make one record. Of a text and of a counter that both began
it holds both, one after the other or added up: that may be one thing said twice, and nobody can see where a sentence
ends. So whoever makes such a record says what it began with, in the reserved root `c._begun`: for each field an entry
`[said, stamp, actor]`, where `said` is JSON text, field to what was entered, in the form in which memories of sources
have it. Where two of them say different things of a field, or an import that had not seen it says anything, that is a
conflict, until somebody decides.
"""

from collections.abc import Mapping, Set

from crdt_sync.records.memory.sources import encode_said, parse_source, text_said
from crdt_sync.records.roots import Layout

MET = "met"
"""In what is said of a field: an import has seen it, so that what is imported from then on is not joined unseen."""


def begun(contents: Mapping[str, object]) -> list[str]:
    """What new content, by root, says of each field that may be joined: one text for each, so that they are decided one
    by one.

    Of a counter it is the number that one writer has counted.
    """
    said: dict[str, object] = {}
    for root in sorted(contents):
        content = contents[root]
        if root.startswith(Layout.TEXT) and isinstance(content, str) and content:
            said[root[2:]] = text_said(content)
        elif root.startswith(Layout.COUNTS) and isinstance(content, dict):
            for amount in content.values():
                said[root[2:]] = {"=": amount, "+": amount}
    return [encode_said({field: each}) for field, each in said.items()]


def without_field(entry: object, field: str) -> object:
    """An entry of `BEGUN_ROOT` without what it says of a field: itself, or another, or None where nothing is left."""
    said = said_of(entry)
    if field not in said:
        return entry
    return _saying(entry, {name: value for name, value in said.items() if name != field})


def met(entry: object, fields: Set[str]) -> object:
    """An entry of `BEGUN_ROOT` saying that an import has seen what it says of these fields: itself, or another."""
    said = said_of(entry)
    seen = {
        name: {**value, MET: True} if name in fields and isinstance(value, dict) else value
        for name, value in said.items()
    }
    return entry if seen == said else _saying(entry, seen)


def said_of(entry: object) -> Mapping[str, object]:
    """What an entry says; nothing where anybody wrote something else there."""
    if not isinstance(entry, list) or not entry or not isinstance(entry[0], str):
        return {}
    parsed = parse_source("", 0, entry[0])
    return {} if parsed is None else parsed.said


def _saying(entry: object, said: Mapping[str, object]) -> object:
    assert isinstance(entry, list)
    return [encode_said(said), *entry[1:]] if said else None
