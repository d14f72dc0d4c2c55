"""The root types of a record: one per field, named `<letter>.<field>`. All of them merge under any concurrency.

| root | Yjs type | kinds | holds |
|---|---|---|---|
| `c.` | Array | value, review, stage | entries `[value, stamp, actor]` that nobody has superseded |
| `l.` | Array | log | entries, all kept |
| `n.` | Map | counter | writer to that writer's own total |
| `s.` | Map | set | canonical member, newline, writer: to the member; more after it says that an import added it |
| `t.` | Text | text | text |

What begins with an underscore is no field: `c._deleted` holds deletions, `c._source` what imports were told, `c._begun`
what people began texts and counters with, see `beginnings`, and `t._@...` what a source says of a text, see
`source_texts`.

Each writer adds a member under a key of its own. Under one key for all, of two concurrent adds only one stays in a Yjs
map, and whoever removes that one would remove the other, never seen, with it.

A member that an import added is shown as long as its source says it: no import removes what another of the same source
says. Keys of earlier versions do not name their source; these imports remove.
"""

from enum import StrEnum


class Layout(StrEnum):
    """How a field is laid out in the CRDT: the prefix of its root."""

    ENTRIES = "c."  # an array of `[value, stamp, actor]`: a write deletes those that it has seen
    LOG = "l."  # an array of the same, of which none is superseded
    COUNTS = "n."  # a map of writer to what it counted
    MEMBERS = "s."  # a map of `member_keys` to members
    TEXT = "t."  # a text


ARRAY_PREFIXES: tuple[str, ...] = (Layout.ENTRIES, Layout.LOG)
MAP_PREFIXES: tuple[str, ...] = (Layout.COUNTS, Layout.MEMBERS)
TEXT_PREFIX: str = Layout.TEXT
DELETED = "_deleted"
DELETED_ROOT = "c._deleted"
SOURCES_ROOT = "c._source"
BEGUN_ROOT = "c._begun"
SIGNERS_ROOT = "c._signers"
"""Whose device signed entries of the record: entries of which the value is a token, see `signatures`."""
MEMORY_ROOTS = frozenset({SOURCES_ROOT, BEGUN_ROOT})
"""What was said and seen, beside the texts of sources; see `is_memory`."""
LINEAGE_ROOT = "g.lineage"
"""Where a renewed record says what it was made of, see `lineage`. No update may write there: the gate refuses it."""

Contents = dict[str, object]


def is_reserved(root: str) -> bool:
    """Whether a root holds no field."""
    return root.startswith("_", 2)


def is_memory(root: str) -> bool:
    """Whether what is written into a root remembers what was said and seen, and is no edit of the record."""
    return root in MEMORY_ROOTS or root.startswith(f"{TEXT_PREFIX}_")
