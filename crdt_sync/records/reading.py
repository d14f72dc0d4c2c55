"""What a record shows: the values of its fields, open conflicts, and whether it is deleted."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from crdt_sync.records.beginning_conflicts import beginning_conflicts
from crdt_sync.records.deleted import deletion_of
from crdt_sync.records.document import Document
from crdt_sync.records.entries import Conflict, conflict, latest_first, well_formed
from crdt_sync.records.kind import ABSENT, Held
from crdt_sync.records.kinds import PLAIN
from crdt_sync.records.memory.memory_index import memories_of
from crdt_sync.records.memory.sources import Source, text_of
from crdt_sync.records.natural_key import is_asked
from crdt_sync.records.replaced import standing
from crdt_sync.records.roots import SOURCES_ROOT, TEXT_PREFIX, is_reserved
from crdt_sync.records.version_conflicts import version_conflicts

if TYPE_CHECKING:
    from crdt_sync.records.schema import Schema


@dataclass(frozen=True, slots=True)
class Reading:
    """Everything that one record shows: carriers by field, open conflicts, and whether it is deleted.

    `sources` is what sources of imports said last, the newest first: several of one are imports that did not know
    of each other.
    """

    values: dict[str, object]
    conflicts: tuple[Conflict, ...]
    deleted: bool
    sources: tuple[Source, ...] = ()


def reading_of(document: Document, schema: "Schema | None" = None, *, all_kinds: bool = False) -> Reading:
    """Values, open conflicts and deletion in one pass."""
    contents, state_vector = document.contents_at()
    deleted, standing = deletion_of(contents, state_vector, document)
    held = Held(contents, memories_of(contents))
    conflicts = _conflicts(held, schema, all_kinds)
    if standing is not None:
        conflicts.append(standing)
    return Reading(_values(held, schema), tuple(conflicts), deleted, held.memories.sources)


def values_of(document: Document, schema: "Schema | None" = None) -> dict[str, object]:
    """Field to the carrier that is shown, unknown fields included.

    A field holds text, a number, a boolean or None; a set is a list of its members in canonical order; a
    log is a list of `{"value", "at", "by"}`, oldest first. `schema` adds the ranks of stages.
    """
    contents = document.contents()
    return _values(Held(contents, memories_of(contents)), schema)


def value_of(document: Document, field: str, schema: "Schema") -> object:
    """The carrier that one field of the schema shows, as in `values_of`; None when it holds nothing."""
    root = f"{schema.fields[field].rules.layout}{field}"
    with document.transaction() as transaction:
        names = document.root_names(transaction)
        roots = {root, SOURCES_ROOT}
        if SOURCES_ROOT in names:  # the sources' own texts are those of all fields, see `ShownTexts`
            own = f"{TEXT_PREFIX}_"
            roots.update(each for each in names if each == f"{TEXT_PREFIX}{field}" or each.startswith(own))
        contents = {each: document.content(transaction, each) for each in roots}
    held = Held(contents, memories_of(contents))
    if held.memories.sources:
        return _values(held, schema, only=field).get(field)
    spec = schema.fields[field]  # no source says anything: it is in this root, or nowhere
    shown = spec.rules.shown(field, spec, held)
    return None if shown is ABSENT else shown


def conflicts_of(document: Document, schema: "Schema | None" = None, *, all_kinds: bool = False) -> list[Conflict]:
    """Open conflicts: review and stage fields with different concurrent values, and a delete beside an edit;
    texts, counters, sets and logs of which imports that did not know of each other say different things.

    Fields of the natural key are asked about whatever their kind: two keys are two customers in one record.
    `all_kinds` adds fields of kind 'value' and those that the schema does not know.
    """
    return list(reading_of(document, schema, all_kinds=all_kinds).conflicts)


def _values(held: Held, schema: "Schema | None", *, only: str | None = None) -> dict[str, object]:
    """Field to shown carrier, sorted by field; fields that hold nothing are left out.

    `only` is the one field that is asked for, where not all are.

    A root whose content was all deleted vanishes when a record is reloaded, so an empty root and a missing
    one must read the same.
    """
    values: dict[str, object] = {}
    fields = {} if schema is None else schema.fields
    told = {f"n.{field}" for field in held.counted} | _texts_of(held.memories.sources)
    for root in sorted(held.contents.keys() | told):
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


def _conflicts(held: Held, schema: "Schema | None", all_kinds: bool) -> list[Conflict]:
    found: list[Conflict] = []
    contents, memories = held.contents, held.memories
    for root in sorted(contents):
        raw = contents[root]
        if root[:2] != "c." or is_reserved(root) or not isinstance(raw, list) or len(raw) < 2:
            continue
        spec = None if schema is None else schema.fields.get(root[2:])
        kind = PLAIN[root[:2]].name if spec is None else spec.kind
        age = partial(memories.age, field=root[2:])
        present = standing(well_formed(raw), age)
        asked = is_asked(schema, root[2:], [entry[0] for entry in present])
        if all_kinds or asked:
            entries = latest_first(present, age) if spec is None else spec.rules.ordered(present, spec, age)
            open_conflict = conflict(
                root[2:], kind, entries, spec, memories.shown_actor, partial(memories.time, root[2:])
            )
            if open_conflict is not None:
                found.append(open_conflict if asked else replace(open_conflict, open=False))
    found += version_conflicts(held, schema)
    versions = {each.field for each in found}
    begun = beginning_conflicts(contents, schema, memories.sources)
    return found + [each for each in begun if each.field not in versions]


def _texts_of(sources: Sequence[Source]) -> set[str]:
    """The roots of texts that sources say: those may hold nothing and vanish although the source says something."""
    return {f"t.{field}" for source in sources for field, said in source.said.items() if text_of(said)}
