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

from collections.abc import Sequence
from typing import TYPE_CHECKING

from crdt_sync.records.kind import ABSENT, Held, Layout
from crdt_sync.records.kinds import PLAIN
from crdt_sync.records.memory_index import MemoryIndex
from crdt_sync.records.sources import SOURCES_ROOT, Source, read_sources

if TYPE_CHECKING:
    from crdt_sync.records.schema import Schema

ARRAY_PREFIXES: tuple[str, ...] = (Layout.ENTRIES, Layout.LOG)
MAP_PREFIXES: tuple[str, ...] = (Layout.COUNTS, Layout.MEMBERS)
TEXT_PREFIX: str = Layout.TEXT
DELETED = "_deleted"
DELETED_ROOT = "c._deleted"
LINEAGE_ROOT = "g.lineage"
"""Where a renewed record says what it was made of, see `lineage`. No update may write there: the gate refuses it."""

Contents = dict[str, object]


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
    held = Held(contents, memories)
    for root in sorted(contents.keys() | {f"n.{field}" for field in held.counted} | _texts_of(memories.sources)):
        field = root[2:]
        if is_reserved(root) or (only is not None and field != only):
            continue
        spec = fields.get(field)
        if field in values and (spec is None or spec.rules.layout != root[:2]):
            continue  # the field changed its kind; the schema decides which root is read
        if spec is not None and spec.rules.layout == root[:2]:
            kind = spec.rules
        elif root[:2] in PLAIN:
            kind = PLAIN[root[:2]]
        else:
            continue  # of a layout to come
        value = kind.shown(field, spec, held)
        if value is not ABSENT:
            values[field] = value
    return dict(sorted(values.items()))


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
