"""What people began a record with who knew nothing of each other: texts and counts that are joined when they meet.

Two devices that enter one customer by natural key, offline, make one record. Of a text and of a counter that both began
it holds both, one after the other or added up: that may be one thing said twice, and nobody can see where a sentence
ends. So whoever makes such a record says what it began with, in the reserved root `c._begun`: an entry
`[said, stamp, actor]`, where `said` is JSON text, field to what was entered, in the form in which memories of sources
have it. Where two of them say different things of a field, or an import that had not seen it says anything, that is a
conflict, until somebody decides.
"""

from collections.abc import Iterator, Mapping, Sequence, Set
from typing import TYPE_CHECKING, NamedTuple

from crdt_sync.limits import BEGINNINGS_MAX
from crdt_sync.records.entries import Conflict, ConflictEntry, precedence, well_formed
from crdt_sync.records.kind import FieldKind, Layout
from crdt_sync.records.kinds import PLAIN
from crdt_sync.records.sources import (
    Source,
    counter_said,
    counter_share,
    encode_said,
    is_apart,
    newest,
    parse_source,
    text_mark,
    text_said,
    whole_text,
)
from crdt_sync.records.values import canonical

if TYPE_CHECKING:
    from crdt_sync.records.schema import Schema

BEGUN_ROOT = "c._begun"
_MET = "met"
"""In what is said of a field: an import has seen it, so that what is imported from then on is not joined unseen."""


class _Side(NamedTuple):
    """What somebody said of one field first, or an import that did not know of that."""

    said: object
    stamp: int
    actor: str


def begun(contents: Mapping[str, object]) -> str:
    """What new content, by root, says of the fields that may be joined; empty where it says nothing of any.

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
    return encode_said(said) if said else ""


def without_field(entry: object, field: str) -> object:
    """An entry of `BEGUN_ROOT` without what it says of a field: itself, or another, or None where nothing is left."""
    said = _said(entry)
    if field not in said:
        return entry
    return _saying(entry, {name: value for name, value in said.items() if name != field})


def met(entry: object, fields: Set[str]) -> object:
    """An entry of `BEGUN_ROOT` saying that an import has seen what it says of these fields: itself, or another."""
    said = _said(entry)
    seen = {
        name: {**value, _MET: True} if name in fields and isinstance(value, dict) else value
        for name, value in said.items()
    }
    return entry if seen == said else _saying(entry, seen)


def conflicts_of_beginnings(
    contents: Mapping[str, object], schema: "Schema | None", sources: Sequence[Source]
) -> Iterator[Conflict]:
    """The fields that were begun apart with different content, by field; the newest beginning comes first."""
    raw = contents.get(BEGUN_ROOT)
    entries = well_formed(raw) if isinstance(raw, list) else []
    if not entries or (len(entries) < 2 and not sources):
        return
    found: dict[str, list[_Side]] = {}
    for entry in sorted(entries, key=precedence)[:BEGINNINGS_MAX]:
        for field, said in _said(entry).items():
            found.setdefault(field, []).append(_Side(said, entry[1], entry[2]))
    for field in sorted(found):
        kind = _kind(field, found[field], schema)
        if kind is None:
            continue
        apart = {_form(side.said): side for side in reversed(found[field])}  # of equal ones the first counts
        sides = [*apart.values(), *_sources(kind.layout, field, found[field], sources)]
        if len(sides) > 1:
            sides.sort(key=lambda side: side[1:], reverse=True)
            entries_ = (ConflictEntry(_value(kind.layout, side.said), side.stamp, side.actor, False) for side in sides)
            yield Conflict(field, kind.name, tuple(entries_), begun=True)


def _sources(layout: Layout, field: str, beginnings: Sequence[_Side], sources: Sequence[Source]) -> Iterator[_Side]:
    """What imports said that had not seen a beginning, and is joined with it, also where it is equal."""
    if all(isinstance(side.said, dict) and side.said.get(_MET) for side in beginnings):
        return
    for source in newest(sources).values():
        said = source.said.get(field)
        counted = counter_share(said) not in (0, "0")
        if counted if layout is Layout.COUNTS else said and not is_apart(said):
            yield _Side(said, source.stamp, f"import {source.name}")


def _said(entry: object) -> Mapping[str, object]:
    """What an entry says; nothing where anybody wrote something else there."""
    if not isinstance(entry, list) or not entry or not isinstance(entry[0], str):
        return {}
    parsed = parse_source("", 0, entry[0])
    return {} if parsed is None else parsed.said


def _saying(entry: object, said: Mapping[str, object]) -> object:
    assert isinstance(entry, list)
    return [encode_said(said), *entry[1:]] if said else None


def _kind(field: str, beginnings: Sequence[_Side], schema: "Schema | None") -> FieldKind | None:
    """The kind of a field that was begun; None where it is not joined."""
    spec = schema.fields.get(field) if schema is not None else None
    if spec is not None:
        return spec.rules if spec.rules.layout in (Layout.TEXT, Layout.COUNTS) else None
    counted = any(counter_said(side.said) is not None for side in beginnings)
    return PLAIN[Layout.COUNTS if counted else Layout.TEXT]


def _form(said: object) -> str:
    number = counter_said(said)
    return canonical(text_mark(said) if number is None else [str(number)])


def _value(layout: Layout, said: object) -> object:
    return whole_text(said) if layout is Layout.TEXT else counter_said(said)
