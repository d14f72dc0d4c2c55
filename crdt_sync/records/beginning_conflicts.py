"""Conflicts between what people began a record with apart, and what imports that had not seen it said."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from crdt_sync.limits import BEGINNINGS_MAX
from crdt_sync.records.entries import Conflict, ConflictEntry, precedence, well_formed
from crdt_sync.records.kind import FieldKind
from crdt_sync.records.kinds import PLAIN
from crdt_sync.records.memory.beginnings import MET, said_of
from crdt_sync.records.memory.source_texts import source_text_root
from crdt_sync.records.memory.sources import (
    Source,
    counter_said,
    counter_share,
    is_apart,
    newest,
    text_mark,
    whole_text,
)
from crdt_sync.records.roots import BEGUN_ROOT, Layout
from crdt_sync.records.values import canonical

if TYPE_CHECKING:
    from crdt_sync.records.schema import Schema


class _Side(NamedTuple):
    """What somebody said of one field first, or an import that did not know of that."""

    said: object
    stamp: int
    actor: str


def beginning_conflicts(
    contents: Mapping[str, object], schema: "Schema | None", sources: Sequence[Source]
) -> Iterator[Conflict]:
    """The fields that were begun apart with different content, by field; the newest beginning comes first."""
    raw = contents.get(BEGUN_ROOT)
    entries = well_formed(raw) if isinstance(raw, list) else []
    if not entries or (len(entries) < 2 and not sources):
        return
    found: dict[str, list[_Side]] = {}
    for entry in sorted(entries, key=precedence)[:BEGINNINGS_MAX]:
        for field, said in said_of(entry).items():
            found.setdefault(field, []).append(_Side(said, entry[1], entry[2]))
    for field in sorted(found):
        kind = _kind(field, found[field], schema)
        if kind is None:
            continue
        apart = {_form(side.said): side for side in reversed(found[field])}  # of equal ones the first counts
        sides = [*apart.values(), *_sources(kind.layout, field, found[field], sources, contents)]
        if len(sides) > 1:
            sides.sort(key=lambda side: side[1:], reverse=True)
            entries_ = (ConflictEntry(_value(kind.layout, side.said), side.stamp, side.actor, False) for side in sides)
            yield Conflict(field, kind.name, tuple(entries_), begun=True)


def _sources(
    layout: Layout,
    field: str,
    beginnings: Sequence[_Side],
    sources: Sequence[Source],
    contents: Mapping[str, object],
) -> Iterator[_Side]:
    """What imports said that had not seen a beginning, and is joined with it, also where it is equal: of a text what
    somebody wrote down, see `source_texts`."""
    if all(isinstance(side.said, dict) and side.said.get(MET) for side in beginnings):
        return
    for source in newest(sources).values():
        said = source.said.get(field)
        counted = counter_share(said) not in (0, "0")
        written = contents.get(source_text_root(source.account, field)) and not is_apart(said)
        if counted if layout is Layout.COUNTS else said and written:
            yield _Side(said, source.stamp, f"import {source.name}")


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
