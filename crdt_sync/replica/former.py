"""What fields held before, as far as this device knows: so that a table from then is not taken for news."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from crdt_sync import ids
from crdt_sync.records import Document, Schema, values_of
from crdt_sync.records.entries import Entry, well_formed
from crdt_sync.records.memory.memory_index import memories_of
from crdt_sync.records.memory.sources import IMPORTED
from crdt_sync.records.replaced import replaced_by
from crdt_sync.records.roots import Layout, is_reserved
from crdt_sync.replica.loading import stored_document
from crdt_sync.replica.readable import readable
from crdt_sync.storage.port import Records
from crdt_sync.storage.values import LogEntry

STATES_MAX = 64  # of one record that are looked at, the newest of its log


@dataclass(frozen=True, slots=True)
class Former:
    """Values that fields held, oldest first, as carriers by field; and the members that were taken out of sets.

    The log tells the values, as long as nothing of the record was compacted; removed members stay in the record, and
    it tells which fields of one value were `written_once` and never changed: as far as the log tells, when the record
    came here, as what was filled in later may be younger than a table from then.

    `by_people` are the fields that hold something now which a person typed, counted, or edited in an export.
    `replaced` are the marks of values that people edited in an export, by field, whether they ever arrived here or not.
    """

    values: Sequence[dict[str, object]] = ()
    removed: dict[str, set[str]] | None = None
    written_once: frozenset[str] = frozenset()
    by_people: frozenset[str] = frozenset()
    replaced: Mapping[str, Sequence[object]] = field(default_factory=dict)


def former(store: Records, record: str, schema: Schema | None) -> Former:
    """What a record held, in its sections as well; nothing where it cannot be read, and no values where its log cannot
    be.
    """
    found = _former(store, record, schema)
    for section, fields in () if schema is None or ids.section_of(record) else schema.sections.items():
        companion = ids.in_section(record, section)
        if store.record_head(companion) is not None:
            found = _joined(found, _former(store, companion, fields))
    return found


def _joined(one: Former, other: Former) -> Former:
    """Both, of different fields: of each field the values that it held, the oldest perhaps several times."""
    states = max(len(one.values), len(other.values))
    series = [[*(list(each.values[:1]) or [{}]) * (states - len(each.values)), *each.values] for each in (one, other)]
    return Former(
        [{**left, **right} for left, right in zip(*series, strict=True)],
        {**(one.removed or {}), **(other.removed or {})},
        one.written_once | other.written_once,
        one.by_people | other.by_people,
        {**one.replaced, **other.replaced},
    )


def _former(store: Records, record: str, schema: Schema | None) -> Former:
    held = readable(lambda: _held(store, record))
    if held is None:
        return Former()
    states = readable(lambda: _states(store.history(record), schema))
    if states is None:
        return held
    first, values = states
    once = held.written_once if first is None else held.written_once & first
    return replace(held, values=values, written_once=once)


def _held(store: Records, record: str) -> Former:
    """What the record itself tells, without its log."""
    document = stored_document(store, record)
    once, by_people = frozenset(document.written_once()), frozenset(_by_people(document))
    return Former((), document.removed_members(), once, by_people, _replaced(document))


def _replaced(document: Document) -> dict[str, list[object]]:
    found: dict[str, list[object]] = {}
    for name, entry in _entries(document.contents()):
        found.setdefault(name, []).extend(value for value, _ in replaced_by(entry))
    return found


def _states(
    history: Sequence[LogEntry], schema: Schema | None
) -> tuple[frozenset[str] | None, list[dict[str, object]]]:
    """The fields that were shown first, None where the log does not tell, and all values but those of now."""
    if not history or history[0].previous:
        return None, []
    document = Document()
    first: frozenset[str] | None = None
    values: list[dict[str, object]] = []
    for number, entry in enumerate(history[:-1]):  # the last is what it holds now
        document.join(entry.update)
        if first is None:
            first = frozenset(values_of(document, schema))
        if len(history) - number <= STATES_MAX:
            values.append(values_of(document, schema))
    return first, values


def _by_people(document: Document) -> Iterator[str]:
    contents = document.contents()
    memories = memories_of(contents)
    yield from document.typed_texts()
    for root, raw in contents.items():
        counts = raw.values() if root.startswith(Layout.COUNTS) and isinstance(raw, dict) else ()
        if any(count not in (0, "0") for count in counts):
            yield root.removeprefix(Layout.COUNTS)
    for name, entry in _entries(contents):
        if entry[1] != IMPORTED or memories.age(entry, name)[0]:
            yield name


def _entries(contents: Mapping[str, object]) -> Iterator[tuple[str, Entry]]:
    """The entries of fields of one value, each with its field."""
    for root, raw in contents.items():
        if root.startswith(Layout.ENTRIES) and not is_reserved(root) and isinstance(raw, list):
            yield from ((root.removeprefix(Layout.ENTRIES), entry) for entry in well_formed(raw))
