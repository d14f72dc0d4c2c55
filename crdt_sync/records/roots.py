"""The root types of a record: one per field, named `<letter>.<field>`. All of them merge under any concurrency.

| root | Yjs type | kinds | holds |
|---|---|---|---|
| `c.` | Array | value, review, stage | entries `[value, stamp, actor]` that nobody has superseded |
| `l.` | Array | log | entries, all kept |
| `n.` | Map | counter | writer to that writer's own total |
| `s.` | Map | set | canonical member, newline, writer: to the member |
| `t.` | Text | text | text |

What begins with an underscore is no field: `c._deleted` holds deletions, `c._source` what imports were told.

Each writer adds a member under a key of its own. Under one key for all, of two concurrent adds only one stays in a Yjs
map, and whoever removes that one would remove the other, never seen, with it.
"""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from crdt_sync.errors import InvalidValue
from crdt_sync.records.comparing import identity
from crdt_sync.records.entries import ordered, timeline, well_formed
from crdt_sync.records.sources import SOURCES_ROOT, Source, age, read_sources, shares, shown_actor
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

RESERVED_ROOTS = frozenset({DELETED_ROOT, SOURCES_ROOT})
"""Roots that hold no field."""

Contents = dict[str, object]
ABSENT = object()
_IMPORTED_KEY = "\nimport"


def field_values(contents: Contents, schema: "Schema | None") -> dict[str, object]:
    """Field to shown carrier, sorted by field; fields that hold nothing are left out.

    A root whose content was all deleted vanishes when a record is reloaded, so an empty root and a missing
    one must read the same.
    """
    values: dict[str, object] = {}
    fields = {} if schema is None else schema.fields
    sources = read_sources(contents.get(SOURCES_ROOT))
    counted = shares(sources)
    for root in sorted(contents.keys() | {f"n.{field}" for field in counted}):
        if root in RESERVED_ROOTS:
            continue
        field = root[2:]
        spec = fields.get(field)
        if field in values and (spec is None or PREFIX_OF_KIND[spec.kind] != root[:2]):
            continue  # the field changed its kind; the schema decides which root is read
        raw = contents.get(root)
        match root[:2]:
            case "c.":
                value = _shown(raw, spec, field, sources)
            case "l.":
                value = _timeline(raw, sources)
            case "n.":
                value = _sum(raw, counted.get(field, []))
            case "s.":
                value = _members(raw, spec)
            case "t.":
                value = raw or ABSENT
            case _:
                continue  # of a layout to come
        if value is not ABSENT:
            values[field] = value
    return dict(sorted(values.items()))


def _shown(raw: object, spec: "FieldSpec | None", field: str, sources: Sequence[Source]) -> object:
    entries = well_formed(raw) if isinstance(raw, list) else []
    return ordered(entries, spec, partial(age, field=field, sources=sources))[0][0] if entries else ABSENT


def _members(raw: object, spec: "FieldSpec | None") -> object:
    """The members in canonical order; of those that say the same, see `comparing`, the first."""
    if not isinstance(raw, dict) or not raw:
        return ABSENT
    members = list({member_of(key): raw[key] for key in sorted(raw)}.values())
    if spec is None or len(members) < 2:
        return members
    return list({identity(member, spec): member for member in reversed(members)}.values())[::-1]


def member_key(canonical_member: str, writer: int, *, imported: bool = False) -> str:
    """The key under which `writer` adds a member, or an import does. Canonical JSON holds no newline."""
    return f"{canonical_member}\n{writer}" + _IMPORTED_KEY * imported


def member_of(key: str) -> str:
    """The canonical member of a key."""
    return key.partition("\n")[0]


def is_imported(key: str) -> bool:
    """Whether an import added the member of that key."""
    return key.endswith(_IMPORTED_KEY)


def _timeline(raw: object, sources: Sequence[Source]) -> object:
    entries = well_formed(raw) if isinstance(raw, list) else []
    return timeline(entries, partial(shown_actor, sources=sources)) if entries else ABSENT


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
