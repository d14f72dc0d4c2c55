"""What masks show of a field, as entries of a document of its own, which a relay derives for whoever has only the mask.

Rules:

1. Only fields of one value are shown in part: of what counts, gathers or grows there is no last part.
2. Of one value its mask is written, of several that wait for a decision the mask of each, in their order.
3. It is written by whom and when its value was. Times are moved apart where the order would not follow from them: what
   it follows from otherwise (ranks, what sources said) is not in the document.
"""

import json
from functools import partial

from crdt_sync.ids import SECTION_MARK, is_collection
from crdt_sync.limits import MASKED_VALUES_MAX
from crdt_sync.policy.masks import masked
from crdt_sync.records.document import Document
from crdt_sync.records.entries import Entry, well_formed
from crdt_sync.records.memory.memory_index import memories_of
from crdt_sync.records.natural_key import is_asked
from crdt_sync.records.replaced import standing
from crdt_sync.records.roots import Layout
from crdt_sync.records.schema import FieldSpec, Schema


def can_be_masked(schema: Schema, field: str, mask: str) -> bool:
    """Whether a field can be shown in part: it is in a section, holds one value, and the companion can be named."""
    spec = schema.fields.get(field)
    if spec is None or not spec.can_mask:
        return False
    return is_collection(f"{schema.collection}{SECTION_MARK}{field}{SECTION_MARK}{mask}")


def masked_schema(schema: Schema, field: str) -> Schema | None:
    """The schema of what a mask shows of a field; None where it can show nothing."""
    spec = schema.fields.get(field)
    if spec is None or not spec.can_mask:
        return None
    kind = "review" if spec.rules.asks else "value"
    shown = FieldSpec(kind=kind, label=spec.label, section=spec.section)
    return Schema(collection=schema.collection, version=schema.version, label=schema.label, fields={field: shown})


def masked_entries(document: Document, schema: Schema, field: str, mask: str) -> list[Entry]:
    """What a mask shows of a field of a companion, the first one first; nothing where the field shows nothing."""
    contents = document.contents()
    raw = contents.get(f"{Layout.ENTRIES}{field}")
    entries = well_formed(raw) if isinstance(raw, list) else []
    if not entries:
        return []
    spec = schema.fields[field]
    memories = memories_of(contents)
    age = partial(memories.age, field=field)
    present = spec.rules.ordered(standing(entries, age), spec, age)
    asked = is_asked(schema, field, [entry[0] for entry in present])
    found: list[Entry] = []
    for entry in present[: MASKED_VALUES_MAX if asked else 1]:
        latest = found[-1][1] - 1 if found else memories.time(field, entry)
        shown = masked(mask, _text(entry[0]))
        found.append([shown or None, max(1, min(latest, memories.time(field, entry))), memories.shown_actor(entry)])
    return found if any(entry[0] for entry in found) else []


def write_masked(document: Document, field: str, entries: list[Entry]) -> bool:
    """Have the field hold these entries and no others; whether that changed anything."""
    with document.transaction() as transaction:
        array = document.array(transaction, f"{Layout.ENTRIES}{field}")
        length = array.len(transaction)
        held = json.loads(array.to_json(transaction)) if length else []
        if held == entries:
            return False
        if length:
            array.remove_range(transaction, 0, length)
        for position, entry in enumerate(entries):
            array.insert(transaction, position, entry)
    return True


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return "" if value is None else str(value)
