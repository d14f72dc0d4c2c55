"""Conflicts between versions of a source that were imported without knowing of each other.

Fields whose entries do not stand beside each other (counter, set, log, text) show a conflict as long as the record
remembers several versions of them: until a person decides, or an import says something new of the field.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from crdt_sync.records.entries import Conflict, ConflictEntry, well_formed
from crdt_sync.records.kind import FieldKind, Held
from crdt_sync.records.kinds import KINDS, PLAIN
from crdt_sync.records.memory.said_lines import said_lines
from crdt_sync.records.memory.sources import (
    REMOVED,
    Source,
    counter_said,
    mark,
    mark_entry,
    text_of,
    whole_text,
)
from crdt_sync.records.memory.versions import disputed
from crdt_sync.records.roots import Layout
from crdt_sync.records.values import canonical

if TYPE_CHECKING:
    from crdt_sync.records.schema import Schema

_LAYOUTS = (Layout.TEXT, Layout.MEMBERS, Layout.LOG, Layout.COUNTS)  # in the order in which one is looked for

PEOPLE = "people"
"""By whom the text is that all who edited it have made of it, beside one that an import said."""

_Placed = tuple[int, object]  # a member or line, after its place among those that a root holds

KINDS_OF_VERSIONS = frozenset(kind.name for kind in KINDS.values() if kind.layout is not Layout.ENTRIES)
"""Kinds whose conflicts say what imports said; the field shows that of the newest with what people changed."""


def version_conflicts(record: Held, schema: "Schema | None") -> list[Conflict]:
    """Conflicts between versions, of the kinds that show one value; the newest comes first."""
    contents = record.contents
    by_source: dict[str, list[Source]] = {}
    memories = record.memories
    for source in memories.in_accounts if memories.sources else ():
        by_source.setdefault(source.account, []).append(source)
    found: dict[str, tuple[str, list[ConflictEntry]]] = {}
    held: dict[str, dict[str, _Placed]] = {}  # by root: many sources may dispute one field
    for versions in by_source.values():
        for field, saying in disputed(versions).items():
            kind = _kind(field, contents, schema, saying)
            if kind is None:
                continue
            root = f"{kind.layout}{field}"
            if root not in held:
                held[root] = _held(kind.layout, contents.get(root))
            found.setdefault(field, (kind.name, []))[1].extend(_entries(field, kind.layout, saying, held[root]))
    for field in sorted(memories.fields) if memories.sources else ():
        if waiting := record.text[field].waiting if _is_text(field, record, schema) else ():
            entries = found.setdefault(field, (PLAIN[Layout.TEXT].name, []))[1]
            told = {(entry.value, entry.actor) for entry in entries}
            beside = [_shown_text(field, record), *map(partial(_said, field), waiting)]
            entries += [entry for entry in beside if (entry.value, entry.actor) not in told]
    for field, opposed in _removed_unseen(record, schema).items():
        found.setdefault(field, (PLAIN[Layout.MEMBERS].name, opposed))
    return [
        Conflict(field, kind, _ordered(entries)) for field, (kind, entries) in sorted(found.items()) if len(entries) > 1
    ]


def _removed_unseen(record: Held, schema: "Schema | None") -> dict[str, list[ConflictEntry]]:
    """Sets that show a member which somebody removed in an export before it had arrived where that was imported; of
    several exports the first by name."""
    found: dict[str, list[ConflictEntry]] = {}
    members: dict[str, dict[str, object]] = {}  # set to what it shows, by marks: read once
    for _, source in sorted(record.memories.newest.items()):
        for name, marks in source.said.items():
            field = name.removeprefix(REMOVED)
            if (
                field in (name, *found)
                or not isinstance(marks, list)
                or f"{Layout.MEMBERS}{field}" not in record.contents
            ):
                continue
            if field not in members:
                spec = schema.fields.get(field) if schema is not None else None
                shown = PLAIN[Layout.MEMBERS].shown(field, spec, record)
                given = shown if isinstance(shown, list) else []
                members[field] = {canonical(mark(member)): member for member in given}
            removed = said_lines(marks) - said_lines(source.said.get(field))
            if not removed.isdisjoint(members[field]):
                left = [member for key, member in members[field].items() if key not in removed]
                here = ConflictEntry([*members[field].values()], None, PEOPLE, True)
                found[field] = [here, ConflictEntry(left, source.stamp, f"import {source.name}", False)]
    return found


def _is_text(field: str, record: Held, schema: "Schema | None") -> bool:
    kind = _kind(field, record.contents, schema, record.memories.saying(field))
    return kind is not None and kind.layout is Layout.TEXT


def _entries(
    field: str, layout: Layout, versions: Sequence[Source], held: Mapping[str, _Placed]
) -> list[ConflictEntry]:
    """One for each version, the newest first."""
    if layout is Layout.LOG:
        last, *older = versions
        lines = said_lines(last.said[field])
        # A log loses no lines: where the newest has them all, nothing is to be decided.
        versions = [last, *(version for version in older if not said_lines(version.said[field]) <= lines)]
    return [
        ConflictEntry(_value(layout, version.said[field], held), version.stamp, f"import {version.name}", False)
        for version in (versions if len(versions) > 1 else ())
    ]


def _shown_text(field: str, record: Held) -> ConflictEntry:
    """What a text shows, by the source that says just that, or by people: of what they wrote no time is known."""
    text = record.text[field].text
    said = [each for each in record.memories.said_of(field) if text_of(each.said[field]) == text]
    if not said:
        return ConflictEntry(text, None, PEOPLE, True)
    source = max(said, key=lambda each: each.stamp)
    return ConflictEntry(text, source.stamp, f"import {source.name}", True)


def _said(field: str, source: Source) -> ConflictEntry:
    return ConflictEntry(whole_text(source.said[field]), source.stamp, f"import {source.name}", False)


def _ordered(entries: list[ConflictEntry]) -> tuple[ConflictEntry, ...]:
    """The newest first; of one stamp and source they stay as they are, in the order of `read_sources`.

    Values are not looked at: many versions may have a long line in common.
    """
    entries.sort(key=lambda entry: (entry.shown, entry.stamp or 0, entry.actor), reverse=True)
    return tuple(entries)


def _kind(
    field: str, contents: Mapping[str, object], schema: "Schema | None", versions: Sequence[Source]
) -> FieldKind | None:
    """The kind of a field of which versions may say different things; None where its entries stand side by side."""
    spec = schema.fields.get(field) if schema is not None else None
    if spec is not None:
        return spec.rules if spec.rules.layout is not Layout.ENTRIES else None
    if any(counter_said(version.said.get(field)) is not None for version in versions):
        return PLAIN[Layout.COUNTS]
    if any(text_of(version.said.get(field)) is not None for version in versions):
        return PLAIN[Layout.TEXT]
    return next((PLAIN[layout] for layout in _LAYOUTS if f"{layout}{field}" in contents), None)


def _value(layout: Layout, said: object, held: Mapping[str, _Placed]) -> object:
    """What a version said, as far as the record holds it; None for a text that is not remembered whole."""
    if layout is Layout.TEXT:
        return whole_text(said)
    if layout is Layout.COUNTS:
        return counter_said(said)
    placed = dict(held[each] for each in said_lines(said) if each in held)
    return [placed[place] for place in sorted(placed)]


def _held(layout: Layout, raw: Any) -> dict[str, _Placed]:
    """The marks of the members or lines that a root holds, to the first of each: said once, it is shown once."""
    held: dict[str, _Placed] = {}
    if layout is Layout.MEMBERS and isinstance(raw, dict):
        members = {canonical(raw[key]): raw[key] for key in sorted(raw)}
        for place, member in enumerate(members.values()):
            held.setdefault(canonical(mark(member)), (place, member))
    elif layout is Layout.LOG and isinstance(raw, list):
        lines = {canonical(line[:3]): line for line in well_formed(raw)}
        for place, line in enumerate(lines.values()):
            for each in (canonical(mark_entry(line[0])), canonical(mark_entry(*line[:3]))):
                held.setdefault(each, (place, line[0]))
    return held
