"""Writing the memory of what sources said, see `sources`."""

import json
from collections.abc import Callable, Mapping

from crdt_sync.clock import HybridClock
from crdt_sync.records.document import Document
from crdt_sync.records.entries import well_formed
from crdt_sync.records.memory.beginnings import without_field
from crdt_sync.records.memory.sources import SEEN, Source, encode_said, is_memory, newest, read_sources
from crdt_sync.records.memory.versions import NO_FIELDS, differing, is_of, joined, without
from crdt_sync.records.roots import BEGUN_ROOT, SOURCES_ROOT

ENTRIES_APART_MAX = 16  # of one source, before its next import says again what all of them say


def sources_of(document: Document) -> list[Source]:
    """What sources of imports said last, the newest first; see `Reading`."""
    with document.transaction() as transaction:
        return read_sources(document.content(transaction, SOURCES_ROOT))


def remember(document: Document, clock: HybridClock, actor: str, source: str, said: Mapping[str, object]) -> None:
    """Write what `source` says now of some fields; what it said of them before is superseded, wherever that stands."""
    with document.transaction() as transaction:
        array = document.array(transaction, SOURCES_ROOT)
        entries = json.loads(array.to_json(transaction))
        for entry in well_formed(entries):
            clock.observe(entry[1])
        versions = read_sources([entry for entry in entries if is_of(source, entry)], None)
        if len(versions) > ENTRIES_APART_MAX:  # so that what is read of a record stays bounded
            before = newest(versions)[source].said
            disputed = differing(versions)
            said = {**{field: each for field, each in before.items() if field not in disputed}, **said}
        left = {(version.stamp, version.text) for version in versions if version.said.keys() - said.keys() - NO_FIELDS}
        seen = []
        for index in reversed(range(len(entries))):
            entry = entries[index]
            if is_of(source, entry) and is_memory(entry) and (entry[1], entry[0]) in left:
                seen.append(entry[1])
            elif is_of(source, entry):
                array.remove_range(transaction, index, 1)
        now = {
            **{field: each for field, each in said.items() if field != SEEN},
            **({SEEN: sorted(seen)} if seen else {}),
        }
        array.insert(transaction, array.len(transaction), [encode_said(now), clock.tick(), actor, source])


def settle(document: Document, field: str) -> None:
    """Forget what older versions of a source say of a field, that a text is apart, and how it was begun: somebody
    decided."""
    rewrite_beginnings(document, lambda entry: without_field(entry, field))
    with document.transaction() as transaction:
        array = document.array(transaction, SOURCES_ROOT)
        entries = json.loads(array.to_json(transaction)) if array.len(transaction) else []
        sources = [source for source in read_sources(entries, None) if field in source.said]
        newest = {(source.name, source.stamp) for source in {each.name: each for each in reversed(sources)}.values()}
        for index in reversed(range(len(entries))):
            entry = entries[index]
            if is_memory(entry):
                again = joined(entry, field) if (entry[3], entry[1]) in newest else without(entry, {field})
                if again is not entry:
                    array.remove_range(transaction, index, 1)
                    if again is not None:
                        array.insert(transaction, array.len(transaction), again)


def rewrite_beginnings(document: Document, again: Callable[[object], object]) -> None:
    """Put what `again` makes of each entry of `BEGUN_ROOT` in its place; nothing for None."""
    with document.transaction() as transaction:
        if BEGUN_ROOT not in document.root_names(transaction):
            return
        array = document.array(transaction, BEGUN_ROOT)
        entries = json.loads(array.to_json(transaction)) if array.len(transaction) else []
        kept: list[
            object
        ] = []  # of equal ones, as several may have written at once, the last in order stays everywhere
        for index in reversed(range(len(entries))):
            entry = again(entries[index])
            if entry is not entries[index] or entry in kept:
                array.remove_range(transaction, index, 1)
                if entry is None or entry in kept:
                    continue
                array.insert(transaction, array.len(transaction), entry)
            kept.append(entry)
