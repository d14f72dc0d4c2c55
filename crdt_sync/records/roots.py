"""The root types of a record: one per field, named `<letter>.<field>`. All of them merge under any concurrency.

| root | Yjs type | kinds | holds |
|---|---|---|---|
| `c.` | Array | value, review, stage | entries `[value, stamp, actor]` that nobody has superseded |
| `l.` | Array | log | entries, all kept |
| `n.` | Map | counter | writer to that writer's own total |
| `s.` | Map | set | canonical member, newline, writer: to the member; more after it says that an import added it |
| `t.` | Text | text | text |

What begins with an underscore is no field: `c._deleted` holds deletions, `c._source` what imports were told, and
`t._@...` what a source says of a text, see `source_texts`.

Each writer adds a member under a key of its own. Under one key for all, of two concurrent adds only one stays in a Yjs
map, and whoever removes that one would remove the other, never seen, with it.

A member that an import added is shown as long as its source says it: no import removes what another of the same source
says. Keys of earlier versions do not name their source; these imports remove.
"""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from crdt_sync.errors import InvalidValue
from crdt_sync.records.comparing import identity
from crdt_sync.records.entries import ordered, timeline, well_formed
from crdt_sync.records.memory_index import MemoryIndex
from crdt_sync.records.source_texts import shown_texts
from crdt_sync.records.sources import (
    SOURCES_ROOT,
    Source,
    actor_of,
    mark,
    read_sources,
    shares,
)
from crdt_sync.records.values import decimal_carrier, exact_sum, integer_carrier, parse_decimal

if TYPE_CHECKING:
    from crdt_sync.records.schema import FieldSpec, Schema

PREFIX_OF_KIND = {
    "value": "c.",
    "review": "c.",
    "stage": "c.",
    "counter": "n.",
    "set": "s.",
    "log": "l.",
    "text": "t.",
}
ARRAY_PREFIXES = ("c.", "l.")
MAP_PREFIXES = ("n.", "s.")
TEXT_PREFIX = "t."
DELETED = "_deleted"
DELETED_ROOT = "c._deleted"
LINEAGE_ROOT = "g.lineage"
"""Where a renewed record says what it was made of, see `lineage`. No update may write there: the gate refuses it."""

Contents = dict[str, object]
ABSENT = object()
_IMPORTED_KEY = "\nimport"


def memories_of(contents: Contents) -> MemoryIndex:
    """What sources said, as `contents` hold it."""
    return MemoryIndex(read_sources(contents.get(SOURCES_ROOT)))


def field_values(
    contents: Contents, schema: "Schema | None", memories: MemoryIndex | None = None, *, only: str | None = None
) -> dict[str, object]:
    """Field to shown carrier, sorted by field; fields that hold nothing are left out.

    `memories` are those of `contents`, where they were read already. `only` is the one field that is asked for, where
    not all are.

    A root whose content was all deleted vanishes when a record is reloaded, so an empty root and a missing
    one must read the same.
    """
    values: dict[str, object] = {}
    fields = {} if schema is None else schema.fields
    if memories is None:
        memories = memories_of(contents)
    counted = shares(memories.newest)
    shown_text = shown_texts(contents, memories)
    for root in sorted(contents.keys() | {f"n.{field}" for field in counted} | _texts_of(memories.sources)):
        field = root[2:]
        if is_reserved(root) or (only is not None and field != only):
            continue
        spec = fields.get(field)
        if field in values and (spec is None or PREFIX_OF_KIND[spec.kind] != root[:2]):
            continue  # the field changed its kind; the schema decides which root is read
        raw = contents.get(root)
        match root[:2]:
            case "c.":
                value = _shown(raw, spec, field, memories)
            case "l.":
                value = _timeline(raw, memories)
            case "n.":
                value = _sum(raw, counted.get(field, []))
            case "s.":
                value = _members(raw, spec, field, memories)
            case "t.":
                value = shown_text(field) or ABSENT
            case _:
                continue  # of a layout to come
        if value is not ABSENT:
            values[field] = value
    return dict(sorted(values.items()))


def _shown(raw: object, spec: "FieldSpec | None", field: str, memories: MemoryIndex) -> object:
    entries = well_formed(raw) if isinstance(raw, list) else []
    return ordered(entries, spec, partial(memories.age, field=field))[0][0] if entries else ABSENT


def is_reserved(root: str) -> bool:
    """Whether a root holds no field."""
    return root.startswith("_", 2)


def _texts_of(sources: Sequence[Source]) -> set[str]:
    """The roots of texts that sources say: those may hold nothing and vanish although the source says something."""
    return {
        f"t.{field}"
        for source in sources
        for field, said in source.said.items()
        if isinstance(said, dict) and said.get("text")
    }


def _members(raw: object, spec: "FieldSpec | None", field: str, memories: MemoryIndex) -> object:
    """The members in canonical order; of those that say the same, see `comparing`, the first."""
    if not isinstance(raw, dict) or not raw:
        return ABSENT
    named = {
        actor_of(source.name): {(each.__class__, each) for each in said}
        for source in memories.saying(field)
        if isinstance(said := source.said[field], list)
    }
    members = list({member_of(key): raw[key] for key in sorted(raw) if _is_said(key, raw[key], named)}.values())
    if not members:
        return ABSENT
    if spec is None or len(members) < 2:
        return members
    return list({identity(member, spec): member for member in reversed(members)}.values())[::-1]


def _is_said(key: str, member: object, named: dict[str, set[tuple[type, object]]]) -> bool:
    """Whether a member is a person's, or its source says it still. `named` is what each source says, by its actor."""
    source = source_of(key)
    if source is None or source not in named:
        return True
    said = mark(member)
    return not isinstance(said, (list, dict)) and (said.__class__, said) in named[source]


def member_key(canonical_member: str, writer: int, source: str | None = None) -> str:
    """The key under which a writer adds a member; `source` is the actor of an import. Canonical JSON has no newline."""
    key = f"{canonical_member}\n{writer}"
    return key if source is None else f"{key}\n{source}{_IMPORTED_KEY}"


def member_of(key: str) -> str:
    """The canonical member of a key."""
    return key.partition("\n")[0]


def is_imported(key: str) -> bool:
    """Whether an import added the member of that key."""
    return key.endswith(_IMPORTED_KEY)


def source_of(key: str) -> str | None:
    """The actor of the source whose import added the member of that key, where the key names it."""
    parts = key.split("\n")
    return parts[2] if len(parts) == 4 and is_imported(key) else None


def _timeline(raw: object, memories: MemoryIndex) -> object:
    entries = well_formed(raw) if isinstance(raw, list) else []
    return timeline(entries, memories.shown_actor) if entries else ABSENT


def _sum(raw: object, counted: Sequence[object]) -> object:
    parts = [*raw.values(), *counted] if isinstance(raw, dict) else list(counted)
    return total(parts) if parts else ABSENT


def total(parts: Iterable[object]) -> int | str:
    """The sum of the writers' totals: a number, or decimal text as soon as one of them is text.

    A part that is no number of bounded length counts nothing, so that one writer cannot spoil the sum.
    """
    parts = list(parts)
    if all(type(part) is int for part in parts):
        return integer_carrier(sum(part for part in parts if isinstance(part, int)))
    numbers = []
    for part in parts:
        try:
            numbers.append(parse_decimal("", part))
        except InvalidValue:
            continue
    return decimal_carrier(exact_sum(numbers))
