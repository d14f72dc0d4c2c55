"""Versions of one source that were imported without knowing of each other, and what they say differently.

What the newest says of a field is shown. Fields whose entries do not stand beside each other (counter, set, log, text)
show a conflict as long as the record remembers several versions of them: until a person decides, or an import says
something new of the field.
"""

from collections.abc import Mapping, Sequence, Set
from typing import TYPE_CHECKING, Any

from crdt_sync.records.entries import Conflict, ConflictEntry, Entry, well_formed
from crdt_sync.records.sources import (
    IMPORTED,
    SEEN,
    Source,
    counter_said,
    encode_said,
    is_apart,
    is_memory,
    mark,
    mark_entry,
    newest,
    parse_source,
    text_mark,
    text_said,
    whole_text,
)
from crdt_sync.records.values import canonical

if TYPE_CHECKING:
    from crdt_sync.records.schema import Schema

_ROOT_OF_KIND = {"text": "t.", "set": "s.", "log": "l.", "counter": "n."}
KINDS_OF_VERSIONS = frozenset(_ROOT_OF_KIND)
"""Kinds whose conflicts say what imports said; the field shows that of the newest with what people changed."""

PEOPLE = "people"
"""By whom the text is that all who edited it have made of it, beside one that an import said."""

_Placed = tuple[int, object]  # a member or line, after its place among those that a root holds

NO_FIELDS = frozenset({"", SEEN})  # "" has the columns by which a table was read


def differing(versions: Sequence[Source]) -> set[str]:
    """The fields of which the versions of one source say different things."""
    return set(_disputed(versions))


def _disputed(versions: Sequence[Source]) -> dict[str, list[Source]]:
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


def version_conflicts(
    contents: Mapping[str, object], schema: "Schema | None", sources: Sequence[Source]
) -> list[Conflict]:
    """Conflicts between versions, of the kinds that show one value; the newest comes first."""
    by_source: dict[str, list[Source]] = {}
    for source in sources:
        by_source.setdefault(source.name, []).append(source)
    found: dict[str, tuple[str, list[ConflictEntry]]] = {}
    held: dict[str, dict[str, _Placed]] = {}  # by root: many sources may dispute one field
    for versions in by_source.values():
        for field, saying in _disputed(versions).items():
            kind = _kind(field, contents, schema, saying)
            if kind is None:
                continue
            root = f"{_ROOT_OF_KIND[kind]}{field}"
            if root not in held:
                held[root] = _held(kind, contents.get(root))
            found.setdefault(field, (kind, []))[1].extend(_entries(field, kind, saying, held[root]))
    for source in newest(sources).values():
        for field, said in source.said.items():
            if is_apart(said) and field not in found and _kind(field, contents, schema, [source]) == "text":
                found[field] = ("text", _beside(source, field, contents))
    return [
        Conflict(field, kind, _ordered(entries)) for field, (kind, entries) in sorted(found.items()) if len(entries) > 1
    ]


def _entries(field: str, kind: str, versions: Sequence[Source], held: Mapping[str, _Placed]) -> list[ConflictEntry]:
    """One for each version, the newest first."""
    if kind == "log":
        last, *older = versions
        lines = _lines(last.said[field])
        # A log loses no lines: where the newest has them all, nothing is to be decided.
        versions = [last, *(version for version in older if not _lines(version.said[field]) <= lines)]
    return [
        ConflictEntry(_value(kind, version.said[field], held), version.stamp, f"import {version.name}", False)
        for version in (versions if len(versions) > 1 else ())
    ]


def _beside(source: Source, field: str, contents: Mapping[str, object]) -> list[ConflictEntry]:
    """What people wrote, of which no time is known, and the text of the source that stands beside it."""
    held = contents.get(f"{_ROOT_OF_KIND['text']}{field}", "")
    here = ConflictEntry(held, None, PEOPLE, True)
    return [here, ConflictEntry(whole_text(source.said[field]), source.stamp, f"import {source.name}", False)]


def _ordered(entries: list[ConflictEntry]) -> tuple[ConflictEntry, ...]:
    """The newest first; of one stamp and source they stay as they are, in the order of `read_sources`.

    Values are not looked at: many versions may have a long line in common.
    """
    entries.sort(key=lambda entry: (entry.shown, entry.stamp or 0, entry.actor), reverse=True)
    return tuple(entries)


def _kind(
    field: str, contents: Mapping[str, object], schema: "Schema | None", versions: Sequence[Source]
) -> str | None:
    spec = schema.fields.get(field) if schema is not None else None
    if spec is not None:
        return spec.kind if spec.kind in _ROOT_OF_KIND else None
    if any(counter_said(version.said.get(field)) is not None for version in versions):
        return "counter"
    return next((kind for kind, prefix in _ROOT_OF_KIND.items() if f"{prefix}{field}" in contents), None)


def _value(kind: str, said: object, held: Mapping[str, _Placed]) -> object:
    """What a version said, as far as the record holds it; None for a text that is not remembered whole."""
    if kind == "text":
        return whole_text(said)
    if kind == "counter":
        return counter_said(said)
    placed = dict(held[each] for each in _lines(said) if each in held)
    return [placed[place] for place in sorted(placed)]


def _held(kind: str, raw: Any) -> dict[str, _Placed]:
    """The marks of the members or lines that a root holds, to the first of each: said once, it is shown once."""
    held: dict[str, _Placed] = {}
    if kind == "set" and isinstance(raw, dict):
        members = {canonical(raw[key]): raw[key] for key in sorted(raw)}
        for place, member in enumerate(members.values()):
            held.setdefault(canonical(mark(member)), (place, member))
    elif kind == "log" and isinstance(raw, list):
        lines = {canonical(line[:3]): line for line in well_formed(raw)}
        for place, line in enumerate(lines.values()):
            for each in (canonical(mark_entry(line[0])), canonical(mark_entry(*line[:3]))):
                held.setdefault(each, (place, line[0]))
    return held


def disputed_lines(field: str, lines: Sequence[Entry], sources: Sequence[Source]) -> list[Entry]:
    """The entries of a log that only older versions of a source say, of those that imports wrote."""
    newest_said: set[str] = set()
    older_said: set[str] = set()
    seen: set[str] = set()
    for source in sources:  # the newest come first
        if field in source.said:
            (older_said if source.name in seen else newest_said).update(_lines(source.said[field]))
            seen.add(source.name)
    disputed = older_said - newest_said
    return [line for line in lines if canonical(_own_mark(line)) in disputed]


def _own_mark(line: Entry) -> object:
    return mark_entry(line[0]) if line[1] == IMPORTED else mark_entry(*line[:3])


def _lines(said: object) -> set[str]:
    return set(map(canonical, said)) if isinstance(said, list) else set()


def says_same(one: object, other: object) -> bool:
    """Whether two memories of a field say the same of it, whatever is counted or kept for it here."""
    return _form(one) == _form(other)


def _form(said: object) -> str:
    number = counter_said(said)
    return canonical(text_mark(said) if number is None else [str(number)])
