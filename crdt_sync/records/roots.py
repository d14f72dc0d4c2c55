"""The root types of a record: one per field, named `<letter>.<field>`. All of them merge under any concurrency.

| root | Yjs type | kinds | holds |
|---|---|---|---|
| `c.` | Array | value, review, stage | entries `[value, stamp, actor]` that nobody has superseded |
| `l.` | Array | log | entries, all kept |
| `n.` | Map | counter | writer to that writer's own total |
| `s.` | Map | set | canonical member, newline, writer: to the member |
| `t.` | Text | text | text |

Each writer adds a member under a key of its own. Under one key for all, of two concurrent adds only one stays in a Yjs
map, and whoever removes that one would remove the other, never seen, with it.
"""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from crdt_sync.errors import InvalidValue
from crdt_sync.records.entries import ordered, timeline, well_formed
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

Contents = dict[str, object]
ABSENT = object()


def field_values(contents: Contents, schema: "Schema | None") -> dict[str, object]:
    """Field to shown carrier, sorted by field; fields that hold nothing are left out.

    A root whose content was all deleted vanishes when a record is reloaded, so an empty root and a missing
    one must read the same.
    """
    values: dict[str, object] = {}
    fields = {} if schema is None else schema.fields
    for root in sorted(contents):
        reader = _READERS.get(root[:2])
        if reader is None or root == DELETED_ROOT:
            continue
        field = root[2:]
        spec = fields.get(field)
        if field in values and (spec is None or PREFIX_OF_KIND[spec.kind] != root[:2]):
            continue  # the field changed its kind; the schema decides which root is read
        value = reader(contents[root], spec)
        if value is not ABSENT:
            values[field] = value
    return dict(sorted(values.items()))


def _shown(raw: object, spec: "FieldSpec | None") -> object:
    entries = well_formed(raw) if isinstance(raw, list) else []
    return ordered(entries, spec)[0][0] if entries else ABSENT


def _members(raw: object, _spec: "FieldSpec | None") -> object:
    if not isinstance(raw, dict) or not raw:
        return ABSENT
    members = {member_of(key): raw[key] for key in sorted(raw)}
    return list(members.values())


def member_key(canonical_member: str, writer: int) -> str:
    """The key under which `writer` adds a member. Canonical JSON holds no newline."""
    return f"{canonical_member}\n{writer}"


def member_of(key: str) -> str:
    """The canonical member of a key."""
    return key.partition("\n")[0]


def _timeline(raw: object, _spec: "FieldSpec | None") -> object:
    entries = well_formed(raw) if isinstance(raw, list) else []
    return timeline(entries) if entries else ABSENT


def _text(raw: object, _spec: "FieldSpec | None") -> object:
    return raw or ABSENT


def _sum(raw: object, _spec: "FieldSpec | None") -> object:
    return total(raw.values()) if isinstance(raw, dict) and raw else ABSENT


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


_READERS: dict[str, Callable[[object, "FieldSpec | None"], object]] = {
    "c.": _shown,
    "l.": _timeline,
    "n.": _sum,
    "s.": _members,
    "t.": _text,
}
