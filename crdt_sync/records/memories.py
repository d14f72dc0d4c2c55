"""Writing the memory of what sources said, see `sources`."""

import json
from collections.abc import Mapping

from crdt_sync.clock import HybridClock
from crdt_sync.records.document import Document
from crdt_sync.records.entries import well_formed
from crdt_sync.records.sources import SOURCES_ROOT, encode_said, newest, read_sources
from crdt_sync.records.versions import differing, disputes, is_of, without_dispute


def remember(document: Document, clock: HybridClock, actor: str, source: str, said: Mapping[str, object]) -> None:
    """Write what `source` says now, of some fields, to what it said of the others before.

    Where imports said different things of one of the others without knowing of each other, that stays open.
    """
    with document.transaction() as transaction:
        array = document.array(transaction, SOURCES_ROOT)
        entries = json.loads(array.to_json(transaction))
        versions = [version for version in read_sources(entries) if version.name == source]
        before = newest(versions)[source].said if versions else {}
        still_open = disputes(entries, source, differing(versions) - said.keys(), before)
        for index in reversed(range(len(entries))):
            if is_of(source, entries[index]):
                array.remove_range(transaction, index, 1)
        for entry in well_formed(entries):
            clock.observe(entry[1])
        now = [encode_said({**before, **said}), clock.tick(), actor, source]
        for entry in (*still_open, now):
            array.insert(transaction, array.len(transaction), entry)


def settle(document: Document, field: str) -> None:
    """Forget what older versions of a source say of a field: somebody decided."""
    with document.transaction() as transaction:
        array = document.array(transaction, SOURCES_ROOT)
        entries = json.loads(array.to_json(transaction)) if array.len(transaction) else []
        sources = newest(read_sources(entries))
        for index in reversed(range(len(entries))):
            again = without_dispute(entries[index], field, sources)
            if again is entries[index]:
                continue
            array.remove_range(transaction, index, 1)
            if again is not None:
                array.insert(transaction, array.len(transaction), again)
